"""What storage keys are made of."""

import re
import string
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot
from starlette.applications import Starlette

from fastapi_throttle import MemoryBackend, RateLimit, Throttle, ThrottleSettings
from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.dependency import Runtime
from fastapi_throttle.identity import identity_of

POLICY = RateLimit("5/second; 100/minute; 1000/hour", name="api").policy_outside_requests()
BUCKET = ("name", "api")
NASTY = st.sampled_from([":", "|", "{", "}", "{}", "\x00", "%", "\ud800", "a:b", "user:", "\n"])
PARTS = st.lists(
    NASTY | st.text(st.characters(), min_size=1).filter(str.strip), min_size=1, max_size=4
)


def runtime(**settings):
    return Runtime(ThrottleSettings(**settings), MemoryBackend(), Starlette())


def keys(identity, its_runtime=None):
    return (its_runtime or runtime()).hit(BUCKET, POLICY, identity_of(identity), 1).keys


@given(PARTS.map(tuple), PARTS.map(tuple))
def test_distinct_tuples_never_share_a_key(one, other):
    if identity_of(one) is None or identity_of(other) is None:
        return

    assert (set(keys(one)) & set(keys(other)) == set()) == (one != other)


@given(PARTS.map(tuple) | st.binary(min_size=1, max_size=2000).filter(bytes.strip))
def test_the_length_is_constant_and_the_braces_are_the_librarys(identity):
    if identity_of(identity) is None:
        return

    for key in keys(identity):
        assert re.fullmatch(r"ft:1:\{[A-Za-z0-9_-]{22}\}:[A-Za-z0-9_-]{22}", key)


def test_a_megabyte_of_identity_is_as_long_as_a_letter():
    assert len(keys("x" * 1_000_000)[0]) == len(keys("x")[0])
    assert keys("x" * 1_000_000) != keys("x" * 999_999)


async def test_no_long_identity_is_kept():
    """A request may bring one of any size, and another one each time."""
    its_own, limit = runtime(), RateLimit(1, "1m", name="api")
    throttle = Throttle(backend=MemoryBackend(max_partitions=1))
    policy = limit.policy_outside_requests()

    async def ask(number):
        identity = f"{number} {'x' * 100_000}"
        its_own.hit(BUCKET, policy, identity_of(identity), 1)
        await throttle.peek(limit, identity)
        await throttle.hit(limit, identity)

    await ask(0)
    tracemalloc.start()
    try:
        for number in range(1, 20):
            await ask(number)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 100_000


def test_all_keys_of_one_check_share_a_slot_and_callers_spread():
    slots = set()
    for user in range(1000):
        mine = {key_slot(key.encode()) for key in keys(f"user-{user}")}
        assert len(mine) == 1
        slots |= mine

    assert len(slots) > 900


def test_windows_buckets_prefixes_and_secrets_have_keys_of_their_own():
    its_own = runtime()
    identity = identity_of("a")
    all_keys = [
        *its_own.hit(BUCKET, POLICY, identity, 1).keys,
        *its_own.hit(("name", "other"), POLICY, identity, 1).keys,
        *keys("a", runtime(key_prefix="other")),
        *keys("a", runtime(secret="s")),
    ]

    assert len(set(all_keys)) == 12


def test_each_algorithm_has_keys_of_its_own():
    its_own, identity = runtime(), identity_of("a")
    policies = [RateLimit(5, "1m", algorithm=name).policy_outside_requests() for name in ALGORITHMS]

    assert len({its_own.hit(BUCKET, policy, identity, 1).keys for policy in policies}) == 3


def test_the_limit_is_no_part_of_the_key():
    its_own, identity = runtime(), identity_of("a")
    five, fifty = (RateLimit(n, "1m", name="api").policy_outside_requests() for n in (5, 50))

    assert (
        its_own.hit(BUCKET, five, identity, 1).keys == its_own.hit(BUCKET, fifty, identity, 1).keys
    )


def test_nothing_of_the_identity_shows():
    letters = string.ascii_letters * 4

    assert all(letters[:8] not in key for key in keys(letters))
