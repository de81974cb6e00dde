"""What was charged a moment ago is taken back: all of it, and never more than that."""

from collections.abc import Iterator
from itertools import combinations
from random import Random
from typing import Any

import pytest
from clock import START_US
from traffic import most_in_a_window

from fastapi_throttle.algorithms import ALGORITHMS, Claim, decide, give_back
from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import AlgorithmName, Quota

WINDOW = 60_000_000
# What lies at most between a charge and taking it back.
MOMENT = 250_000


class Given:
    """One partition, some of whose hits are given back.

    Attributes:
        state: What is stored.
        kept: (time, cost) of every admitted hit that was not given back.
    """

    def __init__(self, quota: Quota, algorithm: AlgorithmName) -> None:
        self.state: Any = None
        self.kept: list[tuple[int, int]] = []
        self._quota = quota
        self._algorithm = ALGORITHMS[algorithm]

    def hit(self, cost: int, now: int) -> Verdict:
        (verdict,), (self.state,) = decide([self._claim(cost)], now)
        if not verdict.wait_us:
            self.kept.append((now, cost))
        return verdict

    def give_back(self, hit: tuple[int, int], at: int, now: int) -> None:
        (self.state,) = give_back([self._claim(hit[1])], at, now)
        self.kept.remove(hit)

    def peek(self, now: int) -> Verdict:
        return decide([self._claim(1)], now, peek=True)[0][0]

    def _claim(self, cost: int) -> Claim:
        return Claim(self._algorithm, self.state, self._quota, cost)


def play(partition: Given, random: Random, most: int) -> Iterator[int]:
    """Hit it in bursts and give some hits back, up to a moment later; yields what time it is."""
    now = START_US + random.randrange(WINDOW)
    for _ in range(120):
        now += random.choice((0, 1, 1_000, WINDOW // 60, random.randrange(WINDOW // 4)))
        started, doomed = now, []
        for _ in range(random.choice((1, 1, 2, 40))):
            asked_at, now = now, now + random.choice((0, 0, 1, 500))
            cost = random.randint(1, most)
            if not partition.hit(cost, now).wait_us and random.random() < 0.6:
                doomed.append(((now, cost), asked_at))
        random.shuffle(doomed)
        for hit, at in doomed:
            now += random.choice((0, 0, 300))
            partition.give_back(hit, at, now)
        assert now - started <= MOMENT
        yield now


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("limit", [1, 100, 1_000, 100_000])
def test_what_nobody_used_meanwhile_is_as_if_it_had_never_been_charged(algorithm, limit):
    partition = Given(Quota(limit, WINDOW, limit), algorithm)
    now = START_US
    before = limit
    for cost in (1, limit // 3 + 1, limit):
        if not partition.hit(cost, now).wait_us:
            partition.give_back((now, cost), now, now)
        assert partition.peek(now).remaining == before
    assert partition.state is None

    partition.hit(-(-limit // 2), now)
    before = partition.peek(now + 1_000)
    if not partition.hit(limit // 2 or 1, now + 1_000).wait_us:
        partition.give_back((now + 1_000, limit // 2 or 1), now + 1_000, now + 1_000)
    assert partition.peek(now + 1_000) == before


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("limit", [1, 5, 128, 129, 1_000, 20_000])
def test_no_trailing_window_holds_more_than_the_limit(limit, seed):
    random = Random(seed)
    partition = Given(Quota(limit, WINDOW, limit), "sliding-window")

    for _ in play(partition, random, max(limit // 5, 1)):
        entries = partition.state.entries if partition.state else ()
        times = [time for time, _ in entries]
        assert times == sorted(times)
        assert all(units > 0 for _, units in entries)
        assert not entries or partition.state.used == sum(units for _, units in entries)

    assert most_in_a_window(partition.kept, WINDOW) <= limit


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("limit", [5, 1_000, 20_000])
def test_no_span_of_time_holds_more_than_burst_and_rate(limit, seed):
    partition = Given(Quota(limit, WINDOW, limit), "gcra")
    for _ in play(partition, Random(seed), max(limit // 5, 1)):
        pass

    interval = -(-WINDOW // limit)
    sums = [0]
    for _, cost in partition.kept:
        sums.append(sums[-1] + cost)
    for first, last in combinations(range(len(partition.kept)), 2):
        span = partition.kept[last][0] - partition.kept[first][0]
        assert sums[last + 1] - sums[first] <= limit + span / interval


@pytest.mark.parametrize("seed", range(10))
def test_a_fixed_window_holds_no_more_than_the_limit(seed):
    partition = Given(Quota(100, WINDOW, 100), "fixed-window")
    for _ in play(partition, Random(seed), 20):
        pass

    used: dict[int, int] = {}
    for time, cost in partition.kept:
        used[time // WINDOW] = used.get(time // WINDOW, 0) + cost
    assert max(used.values()) <= 100


@pytest.mark.parametrize("algorithm", ["sliding-window", "gcra"])
@pytest.mark.parametrize("seed", range(10))
def test_what_is_left_is_late_by_no_more_than_the_moment(algorithm, seed):
    """Beside one who was never charged what was given back; nobody is refused."""
    quota = Quota(100_000 if algorithm == "gcra" else 128, WINDOW, 100_000)
    partition, other = Given(quota, algorithm), Given(quota, algorithm)
    random = Random(seed)
    now = START_US
    for _ in range(100):
        now += random.randrange(WINDOW // 10)
        at, started = now, now
        partition.hit(1, now)
        now += random.randrange(1_000)
        assert not partition.hit(1, now).wait_us
        assert not other.hit(1, now).wait_us
        now += random.randrange(1_000)
        partition.give_back((started, 1), at, now)

        for later in range(now, now + 2 * WINDOW, WINDOW // 37):
            left = partition.peek(later).remaining
            assert left <= other.peek(later).remaining
            assert partition.peek(later + MOMENT).remaining >= other.peek(later).remaining


def test_after_the_clock_stepped_back_nothing_is_given_back():
    for algorithm in ALGORITHMS:
        partition = Given(Quota(10, WINDOW, 10), algorithm)
        partition.hit(10, START_US)
        state = partition.state
        partition.give_back((START_US, 10), START_US, START_US - 1)
        assert partition.state is state
