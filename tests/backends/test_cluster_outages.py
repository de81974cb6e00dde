"""Nodes of a real Cluster end, pause and come back: their callers notice, the others do not."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from oracle import hit_of, policy_of
from redis_cluster import NODE_TIMEOUT, RedisCluster

from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.decider import Decider
from fastapi_throttle.errors import BackendError
from fastapi_throttle.model import Hit
from fastapi_throttle.resilience import Store, look_at

LIMIT = 100_000
POLICY = policy_of((LIMIT, 3_600_000_000))
BUDGET = 0.25
# What a busy machine may add to a budget.
SLACK = 0.3
# The others give a node up, agree, and a replica takes over: so many times the node timeout.
TAKE_OVER_SECONDS = 8 * NODE_TIMEOUT / 1_000


@pytest.fixture
def pairs() -> Iterator[RedisCluster]:
    """Three masters, each with a replica."""
    with RedisCluster(replicas=True, is_whole_or_down=False) as cluster:
        yield cluster


@pytest.fixture
async def backend(pairs: RedisCluster) -> AsyncIterator[RedisBackend]:
    backend = RedisBackend(pairs.url, budget=BUDGET)
    yield backend
    await backend.aclose()


def hits_by_node(cluster: RedisCluster) -> list[Hit]:
    """Return a claim for every master, in their order."""
    found: dict[int, Hit] = {}
    for number in range(1_000):
        hit = hit_of(POLICY, 1, f"user {number}")
        found.setdefault(cluster.owner(hit.keys[0]).port, hit)
        if len(found) == len(cluster.masters):
            break
    return [found[node.port] for node in cluster.masters]


class Asked:
    """What became of the checks of one caller.

    Attributes:
        admitted: How many were admitted.
        errors: How many had no answer.
        longest: Seconds that the longest one took.
        decided_at: When the last decision came.
    """

    def __init__(self) -> None:
        self.admitted = self.errors = 0
        self.longest = self.decided_at = 0.0

    async def go_on(self, backend: RedisBackend, hit: Hit, until: asyncio.Event) -> None:
        """Ask until the event is set."""
        while not until.is_set():
            started = time.monotonic()
            try:
                (decision,) = await backend.hit((hit,))
            except BackendError:
                self.errors += 1
            else:
                self.admitted += decision.allowed
                self.decided_at = time.monotonic()
            self.longest = max(self.longest, time.monotonic() - started)
            await asyncio.sleep(0.005)


async def until_decided_again(asked: Asked, since: float) -> float:
    """Return how many seconds after *since* the first decision came."""
    while asked.decided_at < since:
        assert time.monotonic() - since < TAKE_OVER_SECONDS
        await asyncio.sleep(0.01)
    return asked.decided_at - since


@pytest.mark.parametrize("how", ["ends", "pauses"])
async def test_a_replica_takes_over_under_load(
    how: str, pairs: RedisCluster, backend: RedisBackend
):
    first, *others = hits_by_node(pairs)
    owner = pairs.owner(first.keys[0])
    over = asyncio.Event()
    callers = {hit: Asked() for hit in (first, *others)}
    tasks = [asyncio.create_task(a.go_on(backend, hit, over)) for hit, a in callers.items()]
    await asyncio.sleep(0.3)

    failed_at = time.monotonic()
    if how == "ends":
        owner.stop()
        await asyncio.sleep(0.5)
        await until_decided_again(callers[first], failed_at + 0.5)
    else:
        with owner.paused():
            await asyncio.sleep(0.5)
            await until_decided_again(callers[first], failed_at + 0.5)
    await asyncio.sleep(0.3)  # one that comes back finds out that it is a replica
    over.set()
    await asyncio.gather(*tasks)

    assert callers[first].errors > 0
    assert callers[first].longest < BUDGET + SLACK
    for hit in others:
        assert callers[hit].errors == 0
        assert callers[hit].admitted > 50
    for hit, asked in callers.items():
        used = LIMIT - (await backend.peek((hit,)))[0].remaining
        # What was never answered may have been charged; what the replica was not told is lost.
        if hit is not first:
            assert used == asked.admitted


async def test_without_a_replica_all_say_so_and_go_on_when_it_is_back():
    """CLUSTERDOWN: a Cluster that misses slots answers nobody, unless it is told otherwise."""
    with RedisCluster() as cluster:
        backend = RedisBackend(cluster.url, budget=BUDGET)
        first, *others = hits_by_node(cluster)
        owner = cluster.owner(first.keys[0])
        for hit in (first, *others):
            await backend.hit((hit,))

        owner.stop()
        with pytest.raises(BackendError) as raised:
            await backend.hit((first,))
        assert raised.value.fault == "infrastructure"
        assert (await backend.hit((others[0],)))[0].allowed  # before anybody knows
        said = ""
        started = time.monotonic()
        while "cluster is down" not in said.lower():
            assert time.monotonic() - started < TAKE_OVER_SECONDS
            try:
                await backend.hit((others[0],))
            except BackendError as error:
                said = f"{error.fault}: {error.__cause__}"
            await asyncio.sleep(0.02)
        assert said.startswith("infrastructure")

        await asyncio.to_thread(owner.start)
        await asyncio.to_thread(cluster.wait_until_ok)
        for hit in (first, *others):
            assert (await backend.hit((hit,)))[0].allowed
        await backend.aclose()


async def test_callers_of_a_dead_node_stop_waiting_and_the_others_never_start():
    with RedisCluster(is_whole_or_down=False) as cluster:
        backend = RedisBackend(cluster.url, budget=BUDGET)
        decider = Decider(backend, budget=BUDGET)
        dead, *well = hits_by_node(cluster)
        with cluster.owner(dead.keys[0]).paused():
            # Who asks first waits, and then nobody but one in a second.
            for _ in range(3):
                assert (await decider.hit((dead,)))[0].degraded
            started = time.monotonic()
            for _ in range(100):
                assert (await decider.hit((dead,)))[0].degraded
                for hit in well:
                    assert not (await decider.hit((hit,)))[0].degraded
            assert time.monotonic() - started < 2 * BUDGET + SLACK
            assert decider.health().state == "degraded"

        ends = time.monotonic() + 1.5
        while (await decider.hit((dead,)))[0].degraded:
            assert time.monotonic() < ends
            await asyncio.sleep(0.02)
        assert decider.health().state == "ok"
        await backend.aclose()


async def test_all_nodes_gone():
    with RedisCluster() as cluster:
        known = RedisBackend(cluster.url, budget=BUDGET)
        await known.hit((hit_of(POLICY),))
        for node in cluster.nodes:
            node.stop()
        for backend in (known, RedisBackend(cluster.url, budget=BUDGET)):
            for _ in range(3):
                started = time.monotonic()
                with pytest.raises(BackendError) as raised:
                    await backend.hit((hit_of(POLICY),))
                assert raised.value.fault == "infrastructure"
                assert time.monotonic() - started < BUDGET + SLACK
            await backend.aclose()


async def test_a_node_that_does_not_answer_at_start_up_is_told(
    pairs: RedisCluster, backend: RedisBackend, caplog: pytest.LogCaptureFixture
):
    """Though the one that is asked for a decision works."""
    (first, *_), last = hits_by_node(pairs), pairs.masters[-1]
    store = Store(backend, BUDGET)
    await store.hit((first,), None)
    last.stop()

    await look_at(store, first, "warn")
    with pytest.raises(BackendError, match="startup='require' needs a store that works"):
        await look_at(store, first, "require")

    (told,) = caplog.messages
    assert "at start-up: not all of it answers" in told
    assert "ConnectionError" in told


async def test_who_looks_at_nodes_leaves_nobody_behind(pairs: RedisCluster, backend: RedisBackend):
    """An event loop may end when an app does not start: connections in use would stay open."""
    first, *others = pairs.masters
    await backend.hit(hits_by_node(pairs)[:1])
    first.stop()
    for node in others:
        node.client.execute_command("CLIENT", "PAUSE", 100, "ALL")
    before = asyncio.all_tasks()

    with pytest.raises(BackendError):
        await backend.findings()

    assert asyncio.all_tasks() == before
