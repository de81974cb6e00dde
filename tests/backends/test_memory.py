"""The in-process backend: bounded, and nobody profits from a flood."""

import asyncio
import gc
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from clock import Clock
from oracle import hit_of, policy_of

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends import MemoryBackend
from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.model import AlgorithmName

WINDOW = 60_000_000
HOUR_US = 3_600_000_000
PLACES = 50
POLICY = policy_of((3, WINDOW))
BUCKETS = {name: policy_of((3, WINDOW), algorithm=name) for name in ALGORITHMS}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend(clock: Clock) -> MemoryBackend:
    return MemoryBackend(PLACES, clock=clock)


async def flood(backend: MemoryBackend, policy=POLICY, tag: str = "flood") -> int:
    """Hit once for each of ten times as many partitions as there are places; count admissions."""
    decisions = [
        (await backend.hit((hit_of(policy, 1, f"{tag} {number}"),)))[0]
        for number in range(10 * PLACES)
    ]
    return sum(decision.allowed for decision in decisions)


async def test_a_flood_takes_no_more_than_the_places_there_are(backend: MemoryBackend):
    """Newcomers share one place per bucket besides."""
    several = policy_of((3, WINDOW), (9, 2 * WINDOW), (27, 3 * WINDOW))
    for policy in (several, *BUCKETS.values()):
        await flood(backend, policy)

    places_of_newcomers = 3 + len(BUCKETS) - 1
    other_windows_of_the_last_to_find_a_place = 2
    assert backend.partitions <= (
        PLACES + other_windows_of_the_last_to_find_a_place + places_of_newcomers
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_whoever_is_blocked_stays_blocked_in_a_flood(
    algorithm: AlgorithmName, backend: MemoryBackend, clock: Clock
):
    blocked = hit_of(BUCKETS[algorithm], 1, "blocked")
    for _ in range(3):
        await backend.hit((blocked,))

    for number in range(5):
        await flood(backend, tag=f"flood {number}")
        clock.step(WINDOW // 30)
        (decision,) = await backend.hit((blocked,))
        assert not decision.allowed


async def test_newcomers_share_a_place_per_bucket(backend: MemoryBackend):
    admitted = [await flood(backend, policy) for policy in BUCKETS.values()]

    assert admitted == [PLACES + 3, 3, 3]


async def test_who_has_a_place_counts_alone_during_a_flood(backend: MemoryBackend):
    regular = hit_of(POLICY, 1, "regular")
    await backend.hit((regular,))
    await flood(backend)

    allowed = [(await backend.hit((regular,)))[0].allowed for _ in range(3)]

    assert allowed == [True, True, False]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_places_become_free_with_the_window(
    algorithm: AlgorithmName, backend: MemoryBackend, clock: Clock
):
    newcomer = hit_of(BUCKETS[algorithm], 1, "newcomer")
    await flood(backend, BUCKETS[algorithm])
    before = (await backend.hit((newcomer,)))[0].allowed

    clock.step(WINDOW)
    after = [(await backend.hit((newcomer,)))[0].remaining for _ in range(3)]

    assert not before
    assert after == [2, 1, 0]
    assert backend.partitions == 1


async def test_a_place_that_is_used_again_does_not_become_free(
    backend: MemoryBackend, clock: Clock
):
    """What is over is looked up where it stands now, not where it stood when it was new."""
    regular = hit_of(POLICY, 1, "regular")
    for _ in range(4):
        clock.step(WINDOW // 2)
        await backend.hit((regular,))
        await flood(backend, tag=f"{clock.now}")

    assert (await backend.peek((regular,)))[0].remaining == 1


async def test_what_is_over_lingers_while_there_is_room(backend: MemoryBackend, clock: Clock):
    """A clock that jumped hours ahead and comes back finds what was used."""
    regular, other = (hit_of(POLICY, 3, name) for name in ("regular", "other"))
    await backend.hit((regular,))

    clock.step(2 * HOUR_US)
    await backend.hit((other,))
    clock.step(-2 * HOUR_US)
    (early,) = await backend.peek((regular,))
    clock.step(8 * HOUR_US)
    await backend.peek((regular,))

    assert early.remaining == 0
    assert backend.partitions == 0


async def test_a_reset_frees_the_place(backend: MemoryBackend):
    """The place that newcomers share is one of them, as long as it is in use."""
    for number in range(PLACES + 1):
        await backend.hit((hit_of(POLICY, 1, f"flood {number}"),))
    for number in range(2):
        await backend.reset((hit_of(POLICY, 1, f"flood {number}"),))

    names = ("new", "new", "newer", "newest")
    remaining = [(await backend.hit((hit_of(POLICY, 1, name),)))[0].remaining for name in names]

    assert remaining == [1, 0, 1, 0]
    assert backend.partitions == PLACES


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_newcomer_takes_along_what_was_used_in_the_shared_place(
    algorithm: AlgorithmName, backend: MemoryBackend, clock: Clock
):
    """Or a place of its own would be a second budget."""
    newcomer = hit_of(policy_of((3, 2 * WINDOW), algorithm=algorithm), 1, "newcomer")
    await flood(backend)
    admitted = [(await backend.hit((newcomer,)))[0].allowed for _ in range(4)]

    clock.step(WINDOW)
    (decision,) = await backend.hit((newcomer._replace(cost=3),))

    assert admitted == [True, True, True, False]
    assert not decision.allowed


async def test_event_loops_in_several_threads_count_together():
    backend = MemoryBackend()
    hit = hit_of(policy_of((1_000, HOUR_US)))

    async def hits() -> int:
        return sum([(await backend.hit((hit,)))[0].allowed for _ in range(500)])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            admitted = sum(pool.map(lambda _: asyncio.run(hits()), range(8)))
    finally:
        sys.setswitchinterval(interval)

    assert admitted == 1_000


async def test_resetting_many_partitions_takes_no_memory(backend: MemoryBackend):
    """As an app does that resets the counter of every user who logs in."""
    await backend.hit((hit_of(POLICY, 1, "warm up"),))
    gc.collect()
    tracemalloc.start()
    for number in range(200 * PLACES):
        hit = hit_of(POLICY, 1, f"user {number}")
        await backend.hit((hit,))
        await backend.reset((hit,))
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert backend.partitions == 1
    assert taken < 100_000


async def test_a_counter_that_was_reset_is_still_found_when_it_is_over(
    backend: MemoryBackend, clock: Clock
):
    again = hit_of(POLICY, 3, "again")
    for _ in range(5 * PLACES):
        await backend.hit((again,))
        await backend.reset((again,))
        clock.step(1)
    await backend.hit((again,))
    await flood(backend)
    assert not (await backend.peek((again._replace(cost=1),)))[0].allowed

    clock.step(WINDOW)
    await flood(backend, tag="second flood")

    assert (await backend.hit((again,)))[0].allowed is False
    assert backend.partitions == PLACES + 1


async def test_its_clock_is_that_of_the_wall():
    """So windows are aligned as in Redis."""
    backend = MemoryBackend()
    hit = hit_of(policy_of((1, 86_400_000_000), algorithm="fixed-window"))
    await backend.hit((hit,))

    (decision,) = await backend.hit((hit,))

    assert decision.retry_after == pytest.approx(86_400 - time.time() % 86_400, abs=5)


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_of_places_out_of_range_is_named(number: int):
    with pytest.raises(
        ConfigurationError, match=f"max_partitions must be at least 1, got {number}"
    ):
        MemoryBackend(max_partitions=number)
