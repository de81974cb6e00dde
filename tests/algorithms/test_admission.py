"""Above 128 the sliding window still admits nearly all of what the exact log admits."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from clock import START_US
from traffic import ExactLog, Partition

from fastapi_throttle.model import Quota

LIMITS = (129, 1_000, 100_000)
WINDOW = 60_000_000
WINDOWS = 6
# Arrivals are drawn in slices this short, which is far below what an entry spans.
SLICE = 10_000

# (time, single hits at that time), in order of time
Arrivals = Iterator[tuple[int, int]]


def flow(rate: Callable[[int], float], limit: int, random: Random | None = None) -> Arrivals:
    """Yield single hits at *rate* times the limit per window; evenly, or at *random* moments."""
    due = 0.0
    for at in range(0, WINDOWS * WINDOW, SLICE):
        due += rate(at) * limit * SLICE / WINDOW
        number = poisson(due, random) if random else int(due)
        due = 0.0 if random else due - number
        if number:
            yield START_US + at, number


def poisson(mean: float, random: Random) -> int:
    """Return how many arrivals fall in a slice in which *mean* are expected."""
    number, passed = 0, random.expovariate(1)
    while passed <= mean:
        passed += random.expovariate(1)
        number += 1
    return number


def steady(pressure: float) -> Callable[[int, Random], Arrivals]:
    return lambda limit, _: flow(lambda _: pressure, limit)


def at_random(pressure: float) -> Callable[[int, Random], Arrivals]:
    return lambda limit, random: flow(lambda _: pressure, limit, random)


def in_bursts(limit: int, random: Random) -> Arrivals:
    """Ten seconds on at eight times the rate, fifty off."""
    return flow(lambda at: 8.0 if at % WINDOW < WINDOW // 6 else 0.0, limit, random)


def in_short_bursts(limit: int, random: Random) -> Arrivals:
    """Half a second on at six times the rate, two off."""
    return flow(lambda at: 6.0 if at % 2_500_000 < 500_000 else 0.0, limit, random)


def at_once_evenly(limit: int, _: Random) -> Arrivals:
    """Send the whole limit within the first half second of every window."""
    for start in range(START_US, START_US + WINDOWS * WINDOW, WINDOW):
        yield from spread(start, limit, [500_000 * number // 500 for number in range(500)])


def at_once_at_random(limit: int, random: Random) -> Arrivals:
    """Send the whole limit within some half second of every window, never the same moments."""
    for start in range(START_US, START_US + WINDOWS * WINDOW, WINDOW):
        yield from spread(start, limit, sorted(random.sample(range(500_000), 500)))


def spread(start: int, limit: int, moments: list[int]) -> Arrivals:
    """Spread *limit* single hits over *moments* after *start*."""
    for number, moment in enumerate(moments):
        share = limit * (number + 1) // len(moments) - limit * number // len(moments)
        if share:
            yield start + moment, share


TRAFFIC = {
    "steady at the rate": steady(1.0),
    "steady at 1.5 times the rate": steady(1.5),
    "steady at 4 times the rate": steady(4.0),
    "random at the rate": at_random(1.0),
    "random at 1.5 times the rate": at_random(1.5),
    "random at 4 times the rate": at_random(4.0),
    "bursts": in_bursts,
    "short bursts": in_short_bursts,
    "all at once, evenly": at_once_evenly,
    "all at once, at random": at_once_at_random,
}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("kind", TRAFFIC)
def test_admits_98_percent_of_what_the_exact_log_admits(kind: str, limit: int):
    partition, log = Partition(Quota(limit, WINDOW, limit)), ExactLog(limit, WINDOW)
    admitted = exact = 0
    for now, number in TRAFFIC[kind](limit, Random(1)):
        admitted += partition.hits_of_one(number, now)
        exact += log.hits_of_one(number, now)

    assert exact >= 3 * limit
    assert admitted >= 0.98 * exact


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("largest", [0.005, 0.02, 0.1, 0.5])
@pytest.mark.parametrize("pressure", [1.0, 1.5, 4.0])
def test_admits_98_percent_of_the_batches_the_exact_log_admits(
    limit: int, largest: float, pressure: float
):
    """Hits of many units, each all or nothing."""
    random = Random(1)
    partition, log = Partition(Quota(limit, WINDOW, limit)), ExactLog(limit, WINDOW)
    admitted = exact = 0
    at = 0.0
    while at < 5 * WINDOWS * WINDOW:
        cost = random.randint(1, max(int(limit * largest), 1))
        now = START_US + int(at)
        admitted += 0 if partition.hit(cost, now).wait_us else cost
        exact += cost if log.hit(cost, now) else 0
        at += random.expovariate(pressure * limit / WINDOW / (limit * largest / 2))

    assert admitted >= 0.98 * exact
