"""Every key has a TTL from the moment it exists, and is gone soon after its window."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from random import Random

import pytest
import redis
from clock import START_US, Clock
from oracle import hit_of, policy_of
from redis_server import RedisServer

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.model import AlgorithmName, Hit, Policy

SECOND_US = 1_000_000
NAMES = tuple(ALGORITHMS)


@pytest.fixture
async def backend(redis_url: str) -> AsyncIterator[RedisBackend]:
    backend = RedisBackend(redis_url, budget=5)
    yield backend
    await backend.aclose()


class Watch(threading.Thread):
    """Looks at the TTL of all keys, over and over, until told to stop.

    Attributes:
        forever: Keys that were seen without a TTL.
        longest: The longest TTL that was seen, in milliseconds.
        seen: How many TTLs were looked at.
    """

    # In one step of the server: a key must not be gone or new between its name and its TTL.
    SCRIPT = """
    local all = {}
    for _, name in ipairs(redis.call("KEYS", "*")) do
      all[#all + 1] = name
      all[#all + 1] = redis.call("PTTL", name)
    end
    return all
    """

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self._client = redis.Redis(port=server.port)
        self._is_over = threading.Event()
        self.forever: set[bytes] = set()
        self.longest = self.seen = 0

    def run(self) -> None:
        while not self._is_over.wait(0.002):
            all_of_them = self._client.eval(self.SCRIPT, 0)
            for name, ttl in zip(all_of_them[::2], all_of_them[1::2], strict=True):
                self.seen += 1
                self.longest = max(self.longest, ttl)
                if ttl == -1:
                    self.forever.add(name)

    def stop(self) -> None:
        self._is_over.set()
        self.join()
        self._client.close()


def random_hits(random: Random, policies: list[Policy]) -> tuple[Hit, ...]:
    """Return one or two claims of some of 60 partitions."""
    partitions = random.sample(range(60), random.choice((1, 1, 2)))
    return tuple(
        hit_of(random.choice(policies), random.choice((0, 1, 1, 1, 2, 10, 200)), f"user {number}")
        for number in partitions
    )


async def test_during_a_load_no_key_is_without_a_ttl_and_afterwards_none_is_left(
    backend: RedisBackend, redis_server: RedisServer
):
    random, watch = Random(8), Watch(redis_server)
    policies = [
        policy_of((limit, window_us), (3 * limit, 2 * window_us), algorithm=algorithm)
        for algorithm in NAMES
        for limit in (1, 5, 100, 1_000)
        for window_us in (50_000, SECOND_US)
    ]
    watch.start()
    started = time.monotonic()
    calls = 0
    while time.monotonic() - started < 1.5:
        verbs = random.choices((backend.hit, backend.peek, backend.reset), (20, 2, 1), k=20)
        await asyncio.gather(*(verb(random_hits(random, policies)) for verb in verbs))
        calls += len(verbs)
    # The longest window, the second of slack, and the server's own slowness to expire.
    deadline = time.monotonic() + 2 + 1 + 0.5
    while redis_server.client.dbsize() and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    watch.stop()

    assert calls > 1_000
    assert watch.seen > 1_000
    assert watch.forever == set()
    assert watch.longest <= 2_000 + 2_000 // 60 + 1_002
    assert redis_server.client.dbsize() == 0


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("window_us", [1_000, 1_500_000, 60 * SECOND_US, 366 * 86_400 * SECOND_US])
async def test_a_key_outlives_what_was_used_by_up_to_a_second_and_not_much_more(
    algorithm: AlgorithmName, window_us: int, redis_server: RedisServer, redis_url: str
):
    clock = Clock()
    backend = RedisBackend(redis_url, budget=5, clock=clock)
    hit = hit_of(policy_of((3, window_us), algorithm=algorithm))
    for cost in (1, 1, 2, 1):
        (decision,) = await backend.hit((hit._replace(cost=cost),))
        if not decision.allowed:
            continue

        slack_ms = redis_server.client.pttl(hit.keys[0]) - int(decision.reset_after * 1_000)
        # Less what passed between the two questions. gcra uses the second up, then renews the TTL.
        least_ms = -100 if algorithm == "gcra" else 900
        assert least_ms < slack_ms <= 1_002 + window_us / 60_000
        clock.step(window_us // 10)
    await backend.aclose()


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("cost", [1, 10**12])
async def test_a_refusal_arms_a_ttl_that_somebody_took_away(
    algorithm: AlgorithmName, cost: int, backend: RedisBackend, redis_server: RedisServer
):
    policy = policy_of((1, 60 * SECOND_US), (5, 90 * SECOND_US), algorithm=algorithm)
    hit = hit_of(policy)
    (decision,) = await backend.hit((hit,))
    for key in hit.keys:
        redis_server.client.persist(key)

    (refused,) = await backend.hit((hit._replace(cost=cost),))

    assert decision.allowed
    assert not refused.allowed
    for key, quota in zip(hit.keys, refused.quotas, strict=True):
        most = quota.reset_after + quota.window / 60 + 1.002
        assert quota.reset_after < redis_server.client.pttl(key) / 1_000 <= most


@pytest.mark.parametrize("algorithm", NAMES)
async def test_a_ttl_that_is_too_long_ends_with_the_next_admission(
    algorithm: AlgorithmName, redis_server: RedisServer, redis_url: str
):
    clock = Clock()
    backend = RedisBackend(redis_url, budget=5, clock=clock)
    hit = hit_of(policy_of((5, 600 * SECOND_US), algorithm=algorithm))
    await backend.hit((hit,))
    redis_server.client.expire(hit.keys[0], 10_000)

    # The sliding window renews it once in a sixtieth of the window.
    clock.step(10 * SECOND_US)
    await backend.hit((hit,))
    await backend.aclose()

    assert redis_server.client.pttl(hit.keys[0]) <= (600 + 10) * 1_000 + 1_002


async def test_a_ttl_of_the_sliding_window_lasts_until_it_is_renewed(
    redis_server: RedisServer, redis_url: str
):
    clock = Clock(START_US - START_US % (600 * SECOND_US))
    backend = RedisBackend(redis_url, budget=5, clock=clock)
    hit = hit_of(policy_of((400, 600 * SECOND_US)))
    key, left = hit.keys[0], []
    await backend.hit((hit,))
    for _ in range(40):
        # What would have passed since the hit before.
        redis_server.client.pexpire(key, redis_server.client.pttl(key) - 4_900)
        clock.step(4_900_000)
        await backend.hit((hit,))
        left.append(redis_server.client.pttl(key))
    await backend.aclose()

    # Whenever no other hit follows, what was used just now counts for a whole window.
    assert min(left) >= 600_000
    assert max(left) <= 611_002


@pytest.mark.parametrize("limit", [20, 100, 1_000])
async def test_a_ttl_of_gcra_lasts_until_all_is_paid_back(
    limit: int, redis_server: RedisServer, redis_url: str
):
    clock, random = Clock(), Random(5)
    backend = RedisBackend(redis_url, budget=5, clock=clock)
    hit = hit_of(policy_of((limit, 60 * SECOND_US), algorithm="gcra"))
    slack = []
    for _ in range(300):
        (decision,) = await backend.hit((hit,))
        slack.append(redis_server.client.pttl(hit.keys[0]) - decision.reset_after * 1_000)
        assert redis_server.client.memory_usage(hit.keys[0]) <= 120
        step_ms = random.choice((0, 1, 10, 100, 60_000 // limit))
        # What would have passed since the hit before.
        redis_server.client.pexpire(hit.keys[0], redis_server.client.pttl(hit.keys[0]) - step_ms)
        clock.step(step_ms * 1_000)
    await backend.aclose()

    # Less what passed between the questions, which adds up until the TTL is renewed.
    assert min(slack) > -100
    assert max(slack) <= 1_002


@pytest.mark.parametrize("limit", [128, 129, 1_000, 100_000])
async def test_a_partition_of_the_sliding_window_stays_small(
    limit: int, redis_server: RedisServer, redis_url: str
):
    """The traffic that needs most entries: a few full ones, then one that age closes."""
    clock, share = Clock(), -(-limit // 128)
    backend = RedisBackend(redis_url, budget=5, clock=clock)
    hit = hit_of(policy_of((limit, 60 * SECOND_US)))
    for number in range(240):
        for _ in range(2 if number % 8 else 3):
            await backend.hit((hit._replace(cost=share),))
        await backend.hit((hit,))
        clock.step(SECOND_US)

    most = 1_800 if limit <= 128 else 2_400
    assert redis_server.client.memory_usage(hit.keys[0]) <= most
    await backend.aclose()
