"""Whatever the store does, a call ends within its budget: with a decision or a BackendError."""

import asyncio
import socket
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

import pytest
from oracle import hit_of, policy_of
from redis_server import RedisServer, free_port
from tcp_proxy import Proxy

from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.errors import BackendError

HIT = hit_of(policy_of((1_000, 60_000_000)))
BUDGET = 0.2
# What a busy machine may add to a budget.
SLACK = 0.3

CALLS: dict[str, Callable[[RedisBackend], Awaitable[object]]] = {
    "hit": lambda backend: backend.hit((HIT,)),
    "peek": lambda backend: backend.peek((HIT,)),
    "reset": lambda backend: backend.reset((HIT,)),
}


async def error_of(call: Awaitable[object]) -> BackendError:
    """Return the error of *call*, which must come within the budget."""
    started = time.monotonic()
    with pytest.raises(BackendError) as raised:
        await call

    assert time.monotonic() - started < BUDGET + SLACK
    assert isinstance(raised.value.__cause__, Exception)
    return raised.value


@pytest.fixture
async def own_server() -> AsyncIterator[RedisServer]:
    """A server that a test may pause and stop."""
    with RedisServer() as server:
        yield server


@pytest.fixture
async def own_backend(own_server: RedisServer) -> AsyncIterator[RedisBackend]:
    backend = RedisBackend(own_server.url, budget=BUDGET)
    yield backend
    await backend.aclose()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_refused_connection(call: Callable[[RedisBackend], Awaitable[object]]):
    backend = RedisBackend(f"redis://:swordfish@127.0.0.1:{free_port()}", budget=BUDGET)

    error = await error_of(call(backend))

    assert "swordfish" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_server_that_accepts_and_never_answers(
    call: Callable[[RedisBackend], Awaitable[object]],
):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        backend = RedisBackend(f"redis://127.0.0.1:{listener.getsockname()[1]}", budget=BUDGET)

        # The connections it did open must not help, nor must they run out.
        for _ in range(2):
            errors = await asyncio.gather(*(error_of(call(backend)) for _ in range(60)))

        assert "within 0.2 s" in str(errors[0])
        await backend.aclose()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_wrong_password(call: Callable[[RedisBackend], Awaitable[object]]):
    with RedisServer(password="swordfish") as server:
        backend = RedisBackend(f"redis://:sturgeon@127.0.0.1:{server.port}", budget=BUDGET)

        for _ in range(3):
            error = await error_of(call(backend))

            assert "sturgeon" not in "".join(traceback.format_exception(error))
        await backend.aclose()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_server_that_pauses_and_goes_on(
    call: Callable[[RedisBackend], Awaitable[object]],
    own_server: RedisServer,
    own_backend: RedisBackend,
):
    await own_backend.hit((HIT,))

    with own_server.paused():
        for _ in range(2):
            await error_of(call(own_backend))

    (decision,) = await own_backend.hit((HIT,))
    assert decision.allowed


async def test_a_server_that_stops_and_starts_again(
    own_server: RedisServer, own_backend: RedisBackend
):
    """It knows neither the script nor the connections from before; nobody needs to tell."""
    await asyncio.gather(*(own_backend.hit((HIT,)) for _ in range(10)))

    for _ in range(2):
        own_server.stop()
        for call in CALLS.values():
            await error_of(call(own_backend))
        own_server.start()

        decisions = await asyncio.gather(*(own_backend.hit((HIT,)) for _ in range(10)))
        assert sorted(decision.remaining for (decision,) in decisions) == list(range(990, 1_000))


@pytest.mark.parametrize(
    "command",
    [
        ("CONFIG", "SET", "maxmemory", "1"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("ACL", "SETUSER", "default", "-eval", "-evalsha"),
        ("CONFIG", "SET", "min-replicas-to-write", "1"),
    ],
    ids=["full", "read-only", "forbidden", "without replicas"],
)
async def test_a_server_that_refuses_to_write(
    command: tuple[str, ...], own_server: RedisServer, own_backend: RedisBackend
):
    own_server.client.execute_command(*command)

    await error_of(own_backend.hit((HIT,)))


@pytest.mark.parametrize("replies", ["cut", "lost"])
async def test_a_lost_reply_is_charged_once_at_most(
    replies: str, redis_server: RedisServer, redis_url: str
):
    async with Proxy(redis_server.port) as proxy:
        backend = RedisBackend(f"redis://127.0.0.1:{proxy.port}", budget=BUDGET)
        await backend.hit((HIT,))
        proxy.replies = replies
        for _ in range(3):
            await error_of(backend.hit((HIT,)))
        proxy.replies = "pass"

        (decision,) = await backend.hit((HIT,))
        assert decision.remaining == 1_000 - 5
        await backend.aclose()


async def test_a_late_reply_is_not_taken_for_the_next_one(
    own_server: RedisServer, own_backend: RedisBackend
):
    """Partitions differ in what is left, so a reply to another's call would be noticed."""
    hits = [hit_of(HIT.policy, cost, f"user {cost}") for cost in range(1, 21)]
    for number in range(1, 4):
        with own_server.paused():
            await asyncio.gather(*(error_of(own_backend.hit((hit,))) for hit in hits))

        for hit in hits:
            (decision,) = await own_backend.peek((hit,))
            assert decision.remaining in range(1_000 - number * hit.cost, 1_001, hit.cost)


async def test_cancellation_stays_a_cancellation():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        backend = RedisBackend(f"redis://127.0.0.1:{listener.getsockname()[1]}", budget=5)
        for call in CALLS.values():
            task = asyncio.ensure_future(call(backend))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await backend.aclose()


@pytest.mark.parametrize("connections", [1, 4])
async def test_a_storm_of_cancellations_loses_no_connection_and_charges_nobody_twice(
    connections: int, redis_server: RedisServer, redis_url: str
):
    random = Random(connections)
    backend = RedisBackend(redis_url, budget=5, max_connections=connections)
    completed = issued = 0
    for _ in range(60):
        tasks = [asyncio.ensure_future(backend.hit((HIT,))) for _ in range(12)]
        issued += len(tasks)
        for _ in range(random.randrange(12)):
            await asyncio.sleep(random.random() / 1_000)
            random.choice(tasks).cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        completed += sum(isinstance(outcome, tuple) for outcome in outcomes)
        assert not any(isinstance(outcome, BackendError) for outcome in outcomes)

    (decision,) = await backend.peek((HIT,))
    assert completed <= 1_000 - decision.remaining <= issued
    assert completed < issued
    assert len(redis_server.client.client_list()) <= connections + 1
    await backend.aclose()


async def test_waiting_for_a_connection_is_part_of_the_budget(own_server: RedisServer):
    backend = RedisBackend(own_server.url, budget=BUDGET, max_connections=1)
    await backend.hit((HIT,))

    with own_server.paused():
        await asyncio.gather(*(error_of(backend.hit((HIT,))) for _ in range(20)))

    assert (await backend.hit((HIT,)))[0].allowed
    await backend.aclose()
