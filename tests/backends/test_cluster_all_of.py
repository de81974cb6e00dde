"""Claims of several callers on a real Cluster: all are charged or none, node by node."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import permutations
from random import Random

import pytest
from clock import Clock
from oracle import Oracle, hit_of, policy_of
from redis_cluster import RedisCluster, slot_of

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.errors import BackendError
from fastapi_throttle.model import AlgorithmName, Hit

HOUR_US = 3_600_000_000
# So long that no fixed window ends while a test runs.
YEAR_US = 366 * 24 * HOUR_US
MANY = policy_of((1_000, HOUR_US))
FEW = policy_of((5, HOUR_US))
BUDGET = 5.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster(is_whole_or_down=False) as cluster:
        yield cluster


@pytest.fixture
async def backend(cluster: RedisCluster) -> AsyncIterator[RedisBackend]:
    for node in cluster.nodes:
        node.client.flushall()
    backend = RedisBackend(cluster.url, budget=BUDGET)
    yield backend
    await backend.aclose()


def names(cluster: RedisCluster) -> list[str]:
    """Return a partition on each node, in the order in which they are charged."""
    found: dict[int, str] = {}
    for number in range(100):
        name = f"user {number}"
        found.setdefault(cluster.owner(hit_of(MANY, 1, name).keys[0]).port, name)
    return sorted(found.values(), key=lambda name: slot_of(hit_of(MANY, 1, name).keys[0]))


async def left(backend: RedisBackend, *hits: Hit) -> list[int]:
    return [(await backend.peek((hit,)))[0].remaining for hit in hits]


async def test_all_are_charged(cluster: RedisCluster, backend: RedisBackend):
    hits = [hit_of(MANY, cost, name) for cost, name in enumerate(names(cluster), 1)]

    for times in (1, 2):
        decisions = await backend.hit(hits)
        assert all(decision.allowed for decision in decisions)
        assert [decision.remaining for decision in decisions] == [
            1_000 - cost * times for cost in (1, 2, 3)
        ]
    assert [decision.remaining for decision in await backend.peek(hits[::-1])] == [994, 996, 998]
    await backend.reset(hits)
    assert await left(backend, *hits) == [1_000] * 3


async def test_what_is_refused_consumes_and_creates_nothing(
    cluster: RedisCluster, backend: RedisBackend
):
    for order in permutations(names(cluster)):
        few = hit_of(FEW, 3, order[1])
        hits = [hit_of(MANY, 1, order[0]), few, hit_of(MANY, 1, order[2])]
        await backend.hit((few,))

        for _ in range(3):
            first, refused, last = await backend.hit(hits)

            assert [one.allowed for one in (first, refused, last)] == [False] * 3
            assert (first.retry_after, last.retry_after) == (0, 0)
            assert refused.retry_after == pytest.approx(3_600, abs=5)
            assert (first.remaining, last.remaining) == (1_000, 1_000)
        assert sum(node.client.dbsize() for node in cluster.nodes) == 1
        await backend.reset(hits)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_any_history_is_decided_as_by_one_server(
    algorithm: AlgorithmName, cluster: RedisCluster
):
    clock, random = Clock(), Random(7)
    oracle, backend = Oracle(clock), RedisBackend(cluster.url, budget=BUDGET, clock=clock)
    policy = policy_of((10, HOUR_US), (25, 4 * HOUR_US), algorithm=algorithm)
    everybody = [f"{algorithm} {number}" for number in range(5)]
    for _ in range(200):
        clock.step(random.choice((0, 1_000, HOUR_US // 60, random.randrange(HOUR_US // 2))))
        chosen = random.sample(everybody, random.randint(2, 4))
        hits = [hit_of(policy, random.randint(0, 4), name) for name in chosen]
        for call in ("peek", "hit", "peek"):
            assert await getattr(backend, call)(hits) == await getattr(oracle, call)(hits)
    await backend.aclose()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scarce", ["first", "last"])
async def test_who_comes_too_late_for_one_gets_the_others_back(
    algorithm: AlgorithmName, scarce: str, cluster: RedisCluster, backend: RedisBackend
):
    """All see that there is enough for them; by the time they are charged there is not."""
    first, _, last = names(cluster)
    many, few = (last, first) if scarce == "first" else (first, last)
    hits = (
        hit_of(policy_of((1_000, YEAR_US), algorithm=algorithm), 2, many),
        hit_of(policy_of((5, YEAR_US), algorithm=algorithm), 1, few),
    )
    await backend.peek(hits)

    answers = await asyncio.gather(*(backend.hit(hits) for _ in range(40)))

    assert sum(one.allowed for one, _ in answers) == 5
    assert all(one.allowed == other.allowed for one, other in answers)
    assert all(other.retry_after > 0 for one, other in answers if not one.allowed)
    assert (await left(backend, hits[1])) == [0]
    # A gcra owes a moment longer what was given back, which may hide one unit for as long.
    assert (await left(backend, hits[0]))[0] in {990, 989 if algorithm == "gcra" else 990}


async def test_of_two_who_want_the_same_last_units_one_gets_them(
    cluster: RedisCluster, backend: RedisBackend
):
    one = policy_of((1, HOUR_US))
    for number in range(20):
        hits = [hit_of(one, 1, f"{number} {name}") for name in ("a", "b", "c")]

        answers = await asyncio.gather(*(backend.hit(order) for order in permutations(hits)))

        assert sum(decisions[0].allowed for decisions in answers) == 1
        assert await left(backend, *hits) == [0, 0, 0]


@pytest.mark.parametrize("how", ["ends", "pauses"])
async def test_if_one_node_does_not_answer_nothing_is_charged_on_the_others(how: str):
    with RedisCluster(is_whole_or_down=False) as cluster:
        backend = RedisBackend(cluster.url, budget=0.25)
        hits = [hit_of(MANY, 1, name) for name in names(cluster)]
        await backend.hit(hits)
        owner = cluster.owner(hits[-1].keys[0])
        before = time.monotonic()
        if how == "pauses":
            with owner.paused(), pytest.raises(BackendError) as raised:
                await backend.hit(hits)
        else:
            owner.stop()
            with pytest.raises(BackendError) as raised:
                await backend.hit(hits)

        assert raised.value.fault == "infrastructure"
        assert time.monotonic() - before < 0.25 + 0.3
        assert await left(backend, *hits[:-1]) == [999, 999]
        await backend.aclose()
