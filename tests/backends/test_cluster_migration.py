"""Slots of a real Cluster move: every check is decided once, wherever its keys are by then."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Self

import pytest
from oracle import hit_of, policy_of
from redis.exceptions import TryAgainError
from redis_cluster import RedisCluster

from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.decision import Decision
from fastapi_throttle.errors import BackendError
from fastapi_throttle.model import Policy

pytestmark = pytest.mark.matrix  # redis-py's words for redirections change.

HOUR_US = 3_600_000_000
MANY = policy_of((1_000_000, HOUR_US))
TWO = policy_of((3, 60_000_000), (100, HOUR_US))
# What nothing here comes near to: it is about counts, on a machine that is busy.
BUDGET = 5.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
async def backend(cluster: RedisCluster) -> AsyncIterator[RedisBackend]:
    for node in cluster.nodes:
        node.client.flushall()
        node.client.script_flush()
    backend = RedisBackend(cluster.url, budget=BUDGET)
    yield backend
    await backend.aclose()


def elsewhere(cluster: RedisCluster, key: str):
    """Return a node that does not hold *key*."""
    return next(node for node in cluster.nodes if node is not cluster.owner(key))


class Load:
    """Asks for *partitions* all the time, and keeps what it was told."""

    def __init__(self, backend: RedisBackend, policy: Policy, *partitions: str) -> None:
        self._backend = backend
        self._policy = policy
        self._is_over = False
        self.partitions = partitions
        self.decisions: dict[str, list[Decision]] = {name: [] for name in partitions}
        self.errors: list[BackendError] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ask(name)) for name in self.partitions * 4]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def _ask(self, name: str) -> None:
        while not self._is_over:
            try:
                (decision,) = await self._backend.hit((hit_of(self._policy, 1, name),))
            except BackendError as error:
                self.errors.append(error)
            else:
                self.decisions[name].append(decision)

    async def go_on(self, number: int = 50) -> None:
        """Wait until everybody was told *number* times more."""
        wanted = {name: len(told) + number for name, told in self.decisions.items()}
        async with asyncio.timeout(4 * BUDGET):
            for name, told in self.decisions.items():
                while len(told) < wanted[name]:  # noqa: ASYNC110 - not worth an event each
                    await asyncio.sleep(0.001)


async def test_a_slot_that_moves_under_load_loses_no_count_and_counts_nothing_twice(
    cluster: RedisCluster, backend: RedisBackend
):
    """ASK while it is on its way, to a node that does not know the script, then MOVED."""
    key = hit_of(MANY).keys[0]
    target = elsewhere(cluster, key)
    target.client.script_flush()
    async with Load(backend, MANY, "somebody", "somebody else", "a third") as load:
        await load.go_on()
        with cluster.migrating(key, target) as source:
            await load.go_on()
            cluster.move([key.encode()], source, target)
            await load.go_on()
        await load.go_on()

    assert load.errors == []
    assert target.client.exists(key)
    for name, told in load.decisions.items():
        assert all(decision.allowed for decision in told)
        assert len({decision.remaining for decision in told}) == len(told)
        (decision,) = await backend.peek((hit_of(MANY, 1, name),))
        assert decision.remaining == 1_000_000 - len(told)


async def test_keys_of_a_check_that_move_one_by_one_under_load(
    cluster: RedisCluster, backend: RedisBackend
):
    """TRYAGAIN while they are apart, which nobody executed."""
    policy = policy_of((1_000_000, HOUR_US), (2_000_000, 2 * HOUR_US))
    keys = hit_of(policy).keys
    target = elsewhere(cluster, keys[0])
    async with Load(backend, policy, "somebody", "somebody else") as load:
        await load.go_on()
        with cluster.migrating(keys[0], target) as source:
            for key in keys:
                cluster.move([key.encode()], source, target)
                await asyncio.sleep(0.03)
            await load.go_on()
        await load.go_on()

    assert load.errors == []
    for name, told in load.decisions.items():
        (decision,) = await backend.peek((hit_of(policy, 1, name),))
        used = [state.limit - state.remaining for state in decision.quotas]
        assert used == [len(told), len(told)]


async def test_a_new_caller_is_decided_where_the_slot_is_on_its_way_to(
    cluster: RedisCluster, backend: RedisBackend
):
    hit = hit_of(MANY, 1, "new")
    target = elsewhere(cluster, hit.keys[0])
    with cluster.migrating(hit.keys[0], target):
        told = [(await backend.hit((hit,)))[0].remaining for _ in range(3)]

        await backend.reset((hit,))
        told += [(await backend.hit((hit,)))[0].remaining for _ in range(2)]

    assert told == [999_999, 999_998, 999_997, 999_999, 999_998]


async def test_while_the_keys_of_a_check_are_apart_it_waits_for_them(
    cluster: RedisCluster, backend: RedisBackend
):
    hit = hit_of(TWO)
    await backend.hit((hit,))
    target = elsewhere(cluster, hit.keys[0])
    with cluster.migrating(hit.keys[0], target) as source:
        cluster.move([hit.keys[0].encode()], source, target)
        waiting = asyncio.create_task(backend.hit((hit,)))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        cluster.move([hit.keys[1].encode()], source, target)

        (decision,) = await waiting
        assert [state.remaining for state in decision.quotas] == [1, 98]


async def test_keys_that_stay_apart_are_the_matter_of_their_caller_alone(
    cluster: RedisCluster,
):
    hit = hit_of(TWO)
    backend = RedisBackend(cluster.url, budget=0.2)
    await backend.hit((hit,))
    target = elsewhere(cluster, hit.keys[0])
    with cluster.migrating(hit.keys[0], target) as source:
        cluster.move([hit.keys[0].encode()], source, target)
        with pytest.raises(BackendError) as raised:
            await backend.hit((hit,))

        assert raised.value.fault == "key"
        assert isinstance(raised.value.__cause__, TryAgainError)
    await backend.aclose()
