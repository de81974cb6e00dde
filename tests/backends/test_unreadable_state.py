"""State that others wrote or cut costs one more budget at most, and nobody notices otherwise."""

import asyncio
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import pytest
from clock import START_US, Clock
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import Oracle, hit_of, policy_of
from redis_server import RedisServer
from traffic import most_in_a_window

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.decision import Decision
from fastapi_throttle.model import AlgorithmName

WINDOW = 60_000_000
NAMES = tuple(ALGORITHMS)
LIMITS = (1, 20, 128, 1_000)


@dataclass
class Case:
    """One partition on a real Redis with a clock of its own, emptied before each use."""

    runner: asyncio.Runner
    server: RedisServer
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.backend = RedisBackend(self.server.url, budget=30, clock=self.clock)

    def start(self, algorithm: AlgorithmName, limit: int) -> None:
        self.server.client.flushall()
        self.clock.now = START_US
        self.admitted: list[tuple[int, int]] = []
        self.limit = limit
        self.policy = policy_of((limit, WINDOW), algorithm=algorithm)
        self.key = hit_of(self.policy).keys[0]

    def hit(self, cost: int = 1) -> Decision:
        (decision,) = self.runner.run(self.backend.hit((hit_of(self.policy, cost),)))
        if decision.allowed:
            self.admitted.append((self.clock.now, cost))
        return decision

    def used_for_a_while(self, seed: int, hits: int) -> bytes:
        """Return the state of a partition that is in use."""
        random = Random(seed)
        for _ in range(hits):
            self.clock.step(random.choice((1, 1_000, WINDOW // 60, 3 * WINDOW // self.limit)))
            self.hit(random.choice((1, 1, 1, self.limit // 128 + 1)))
        return self.server.client.get(self.key) or b""

    def check(self, seed: int = 1, budgets: int = 1) -> None:
        """Go on with whatever is stored: sane answers, one budget, and over after one window."""
        random = Random(seed)
        for _ in range(40):
            cost = random.choice((1, 1, 1, 2, self.limit // 2 + 1, self.limit, self.limit + 1))
            decision = self.hit(cost)
            self.check_sane(decision, cost)
            self.clock.step(random.choice((0, 1, 1_000, WINDOW // 60, WINDOW // 7)))
        if self.policy.algorithm != "sliding-window":
            budgets *= 2  # which is all they promise about a trailing window
        assert most_in_a_window(self.admitted, WINDOW) <= budgets * self.limit
        # What others wrote is over by now, and what was used since leaves in a window.
        self.clock.step(WINDOW + WINDOW // 60)
        oracle = Oracle(self.clock)
        for cost in (self.limit, 1, 1):
            (expected,) = self.runner.run(oracle.hit((hit_of(self.policy, cost),)))
            assert self.hit(cost) == expected
            self.clock.step(1_000)

    def check_sane(self, decision: Decision, cost: int) -> None:
        window = WINDOW / 1_000_000
        assert 0 <= decision.remaining <= self.limit
        assert 0 <= decision.quotas[0].more_after <= window
        assert 0 <= decision.reset_after <= window
        if decision.allowed:
            assert decision.retry_after == 0.0
            assert cost <= self.limit
        elif cost > self.limit:
            assert decision.retry_after is None
        else:
            assert 0 < decision.retry_after <= window


@pytest.fixture(scope="module")
def case(redis_server: RedisServer) -> Iterator[Case]:
    with asyncio.Runner() as runner:
        case = Case(runner, redis_server)
        yield case
        runner.run(case.backend.aclose())


OF_OTHER_TYPES: dict[str, Callable[[RedisServer, str], object]] = {
    "list": lambda server, key: server.client.rpush(key, "1", "2"),
    "hash": lambda server, key: server.client.hset(key, "used", "3"),
    "set": lambda server, key: server.client.sadd(key, "1"),
    "sorted set": lambda server, key: server.client.zadd(key, {"1": 1}),
    "stream": lambda server, key: server.client.xadd(key, {"used": "3"}),
}
TEXTS = (b"", b"garbage", b"0", b"-1", b"nan", b"-nan", b"inf", b"-inf", b"1e400", b"0x10", b" 7 ")
TEXTS += (b"1:2:3", b":", b"0:1", b"1:-1", b"99999999999999999999:1", b"\x00" * 36, b"\xff" * 36)


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("kind", OF_OTHER_TYPES)
def test_a_key_of_another_type(case: Case, algorithm: AlgorithmName, kind: str):
    case.start(algorithm, 20)
    OF_OTHER_TYPES[kind](case.server, case.key)

    refused, admitted = case.hit(21), case.hit(2)

    assert (refused.retry_after, refused.remaining) == (None, 20)
    assert (admitted.allowed, admitted.remaining) == (True, 18)
    assert case.server.client.type(case.key) == b"string"
    assert case.server.client.pttl(case.key) > 0
    case.check()


@pytest.mark.parametrize("algorithm", NAMES)
def test_a_key_of_another_type_among_those_of_one_call(case: Case, algorithm: AlgorithmName):
    case.start(algorithm, 20)
    hits = [(hit_of(case.policy, 3, f"user {number}"),) for number in range(9)]
    case.server.client.rpush(hits[5][0].keys[0], "1", "2")

    async def hit_at_once() -> list[int]:
        decisions = await asyncio.gather(*map(case.backend.hit, hits))
        return [decision.remaining for (decision,) in decisions]

    assert case.runner.run(hit_at_once()) == [17] * 9
    assert case.runner.run(hit_at_once()) == [14] * 9


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_is_no_state(case: Case, algorithm: AlgorithmName, text: bytes):
    case.start(algorithm, 20)
    case.server.client.set(case.key, text)

    case.check()

    assert case.server.client.pttl(case.key) > 0


@pytest.mark.parametrize("algorithm", NAMES)
@settings(max_examples=150)
@given(data=st.data(), limit=st.sampled_from(LIMITS), seed=st.integers(0, 9))
def test_random_bytes(
    case: Case, algorithm: AlgorithmName, data: st.DataObject, limit: int, seed: int
):
    size = data.draw(st.sampled_from((1, 5, 35, 36, 37, 46, 196, 200)))
    case.start(algorithm, limit)
    case.server.client.set(case.key, data.draw(st.binary(min_size=size, max_size=size)))

    case.check(seed)


@settings(max_examples=300)
@given(
    distance=st.integers(-3 * WINDOW, 3 * WINDOW) | st.integers(-(10**19), 10**19),
    fraction=st.sampled_from(("", ".5", "e3", "00000000000000000000")),
    limit=st.sampled_from(LIMITS),
    seed=st.integers(0, 9),
)
def test_numbers_where_gcra_keeps_its_own(
    case: Case, distance: int, fraction: str, limit: int, seed: int
):
    case.start("gcra", limit)
    case.server.client.set(case.key, f"{START_US + distance}{fraction}")

    case.check(seed)


@settings(max_examples=300)
@given(
    distance=st.integers(-2, 2) | st.integers(-(10**19), 10**19),
    used=st.integers(0, 2_000) | st.integers(0, 10**25),
    limit=st.sampled_from(LIMITS),
    seed=st.integers(0, 9),
)
def test_numbers_where_the_fixed_window_keeps_its_own(
    case: Case, distance: int, used: int, limit: int, seed: int
):
    case.start("fixed-window", limit)
    case.server.client.set(case.key, f"{START_US // WINDOW + distance}:{used}")

    case.check(seed)


AGES = st.sampled_from((0, 0, 1, 1_000, WINDOW // 60, WINDOW // 2, WINDOW - 1, WINDOW)) | (
    st.integers(-2 * WINDOW, 3 * WINDOW) | st.integers(0, 2**48 - 1)
)
UNITS = st.integers(0, 30) | st.integers(0, 2**32 - 1)
SMALL = st.sampled_from((0, 0, 1, 2, 16)) | st.integers(0, 40) | st.integers(0, 2**16 - 1)


@settings(max_examples=600)
@given(
    ages=st.tuples(AGES, AGES, AGES),
    units=st.tuples(UNITS, UNITS, UNITS),
    ring=st.tuples(SMALL, SMALL, SMALL),
    slots=st.lists(st.tuples(AGES, UNITS), max_size=40),
    is_whole=st.booleans(),
    limit=st.sampled_from(LIMITS),
    seed=st.integers(0, 9),
)
@example(
    ages=(0, 2 * WINDOW, 5),
    units=(0, 20, 1),
    ring=(0, 0, 0),
    slots=[],
    is_whole=True,
    limit=20,
    seed=1,
)
def test_a_forged_sliding_window(
    case: Case,
    *,
    ages: tuple[int, int, int],
    units: tuple[int, int, int],
    ring: tuple[int, int, int],
    slots: list[tuple[int, int]],
    is_whole: bool,
    limit: int,
    seed: int,
):
    """Who can forge a state may give away what he likes, but not for ever."""
    opened, first, newest = ((START_US - age) % 2**48 for age in ages)
    base, used, last = units
    size, head, count = (len(slots), *ring[1:]) if is_whole else ring
    state = wide(">6s4s6s4s6s4s2s2s2s", opened, base, first, used, newest, last, size, head, count)
    for age, total in slots:
        state += wide(">6s4s", (START_US - age) % 2**48, total)
    case.start("sliding-window", limit)
    case.server.client.set(case.key, state)

    case.check(seed, budgets=40)


def wide(layout: str, *numbers: int) -> bytes:
    """Pack big-endian integers, also of six bytes."""
    widths = (int(part) for part in layout[1:].rstrip("s").split("s"))
    fields = (number.to_bytes(width) for number, width in zip(numbers, widths, strict=True))
    return struct.pack(layout, *fields)


@pytest.mark.parametrize("algorithm", NAMES)
@settings(max_examples=200)
@given(
    limit=st.sampled_from(LIMITS),
    hits=st.integers(1, 60),
    cut=st.integers(0, 500),
    extra=st.binary(max_size=60),
    seed=st.integers(0, 99),
)
def test_a_state_that_was_cut_or_extended(
    case: Case,
    algorithm: AlgorithmName,
    *,
    limit: int,
    hits: int,
    cut: int,
    extra: bytes,
    seed: int,
):
    case.start(algorithm, limit)
    state = case.used_for_a_while(seed, hits)
    case.server.client.set(case.key, state[: max(len(state) - cut, 0)] + extra)

    case.check(seed, budgets=2)
