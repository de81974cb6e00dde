"""What is refused consumes nothing: in Redis not a byte changes, in no quota."""

from collections.abc import AsyncIterator

import pytest
from clock import Clock
from oracle import hit_of, policy_of
from redis_server import RedisServer

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends import Backend, MemoryBackend, RedisBackend
from fastapi_throttle.model import AlgorithmName

SECOND_US = 1_000_000
NAMES = tuple(ALGORITHMS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def backend(redis_url: str, clock: Clock) -> AsyncIterator[RedisBackend]:
    backend = RedisBackend(redis_url, budget=5, clock=clock)
    yield backend
    await backend.aclose()


@pytest.fixture(params=["memory", "redis"])
def either(request: pytest.FixtureRequest, backend: RedisBackend, clock: Clock) -> Backend:
    """Each backend in turn."""
    return backend if request.param == "redis" else MemoryBackend(clock=clock)


def contents(server: RedisServer) -> dict[bytes, bytes]:
    """Return the raw value of every key."""
    return {key: server.client.dump(key) for key in server.client.keys("*")}


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("cost", [1, 3, 4, 10**12])
@pytest.mark.parametrize("tightest", [0, 1, 2])
async def test_a_refusal_changes_no_key(
    *,
    algorithm: AlgorithmName,
    cost: int,
    tightest: int,
    backend: RedisBackend,
    clock: Clock,
    redis_server: RedisServer,
):
    """Whichever of the quotas refuses; and an unused one is not created."""
    limits = [3 if number == tightest else 1_000 for number in range(3)]
    windows = (60 * SECOND_US, 61 * SECOND_US, 62 * SECOND_US)
    policy = policy_of(*zip(limits, windows, strict=True), algorithm=algorithm)
    other = hit_of(policy_of((500, windows[0]), algorithm=algorithm), 2, "other")
    unused = hit_of(other.policy, 2, "somebody new")
    for _ in range(3):
        clock.step(17)
        await backend.hit((hit_of(policy), other))
    before = contents(redis_server)

    clock.step(1_000)
    decisions = await backend.hit((hit_of(policy, cost), other, unused))

    assert not any(decision.allowed for decision in decisions)
    assert [bool(quota.retry_after != 0) for quota in decisions[0].quotas] == [
        cost > 1_000 or number == tightest for number in range(3)
    ]
    assert len(before) == 4
    assert contents(redis_server) == before


@pytest.mark.parametrize("algorithm", NAMES)
async def test_what_only_tells_changes_no_key(
    algorithm: AlgorithmName, backend: RedisBackend, clock: Clock, redis_server: RedisServer
):
    policy = policy_of((3, 60 * SECOND_US), (1_000, 61 * SECOND_US), algorithm=algorithm)
    await backend.hit((hit_of(policy, 2),))
    before = contents(redis_server)

    for step in (0, 1_000, -2_000, -3_600 * SECOND_US):
        clock.step(step)
        for cost in (0, 1, 2, 4):
            await backend.peek((hit_of(policy, cost), hit_of(policy, cost, "somebody new")))
        await backend.hit((hit_of(policy, 0), hit_of(policy, 0, "somebody new")))

    assert len(before) == 2
    assert contents(redis_server) == before


@pytest.mark.parametrize("algorithm", NAMES)
async def test_a_refusal_says_which_quota_refused(algorithm: AlgorithmName, either: Backend):
    policy = policy_of((2, 60 * SECOND_US), (1_000, 90 * SECOND_US), algorithm=algorithm)
    other = hit_of(policy_of((5, 60 * SECOND_US), algorithm=algorithm), 1, "other")
    await either.hit((hit_of(policy, 2), other))

    mine, others = await either.hit((hit_of(policy), other))

    assert (mine.allowed, others.allowed) == (False, False)
    assert mine.limit == 2
    assert mine.retry_after == mine.quotas[0].retry_after > 0
    assert mine.quotas[1].retry_after == 0.0
    assert others.retry_after == 0.0
    assert [quota.remaining for quota in (*mine.quotas, *others.quotas)] == [0, 998, 4]


@pytest.mark.parametrize("algorithm", NAMES)
async def test_a_cost_that_can_never_fit_has_no_wait(algorithm: AlgorithmName, either: Backend):
    policy = policy_of((2, 60 * SECOND_US), (1_000, 90 * SECOND_US), algorithm=algorithm)

    (decision,) = await either.hit((hit_of(policy, 3),))

    assert not decision.allowed
    assert decision.retry_after is None
    assert [quota.retry_after for quota in decision.quotas] == [None, 0.0]
    assert decision.remaining == 2


@pytest.mark.parametrize("algorithm", NAMES)
async def test_reset_forgets_all_windows_of_a_partition_and_of_no_other(
    algorithm: AlgorithmName, either: Backend
):
    policy = policy_of((3, 60 * SECOND_US), (1_000, 90 * SECOND_US), algorithm=algorithm)
    for partition in ("a", "b"):
        await either.hit((hit_of(policy, 3, partition),))

    await either.reset((hit_of(policy, 1, "a"),))

    (a, b) = await either.peek((hit_of(policy, 0, "a"), hit_of(policy, 0, "b")))
    assert [quota.remaining for quota in a.quotas] == [3, 1_000]
    assert [quota.remaining for quota in b.quotas] == [0, 997]
