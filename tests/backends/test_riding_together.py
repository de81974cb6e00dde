"""What arrives while calls are under way rides in the next one, and nobody pays for another."""

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest
from oracle import hit_of, policy_of
from redis_server import RedisServer
from tcp_proxy import Proxy

from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.backends.redis import lane
from fastapi_throttle.backends.redis.batch import FEWEST_CHECKS, MOST_CHECKS
from fastapi_throttle.backends.redis.lane import MOST_CALLS
from fastapi_throttle.errors import BackendError
from fastapi_throttle.model import AlgorithmName

HOUR_US = 3_600_000_000
BUDGET = 0.3
TEN = policy_of((10, HOUR_US))
MANY = policy_of((1_000_000, HOUR_US))


@pytest.fixture
async def own_server() -> AsyncIterator[RedisServer]:
    """A server that a test may pause."""
    with RedisServer() as server:
        yield server


def calls_of_the_script(server: RedisServer) -> int:
    """Return how often the script was run."""
    stats = server.client.info("commandstats")
    return sum(stats.get(f"cmdstat_{verb}", {}).get("calls", 0) for verb in ("eval", "evalsha"))


async def test_of_1000_at_once_on_ten_connections_the_limit_is_admitted(own_server: RedisServer):
    backend = RedisBackend(own_server.url, budget=5, max_connections=10)

    decisions = await asyncio.gather(*(backend.hit((hit_of(TEN),)) for _ in range(1_000)))

    assert sum(decision.allowed for (decision,) in decisions) == 10
    # One leaves alone; the first call of each connection may meet a server without the script.
    calls = 1 + -(-1_000 // MOST_CHECKS)
    assert calls_of_the_script(own_server) <= calls + MOST_CALLS + 1
    assert own_server.client.info("clients")["connected_clients"] <= MOST_CALLS + 1
    await backend.aclose()


async def test_peeks_hits_and_different_rules_ride_together(own_server: RedisServer):
    backend = RedisBackend(own_server.url, budget=5)
    both = hit_of(TEN, 3, "a"), hit_of(MANY, 2, "b")

    _, *answers = await asyncio.gather(
        backend.hit((hit_of(MANY, 1, "first"),)),
        *(backend.hit(both) for _ in range(4)),
        *(backend.hit((hit_of(TEN, 1, "c"),)) for _ in range(3)),
        *(backend.peek((hit_of(TEN, 11, "d"),)) for _ in range(2)),
        backend.hit((hit_of(TEN, 0, "e"),)),
    )

    told = [[(decision.allowed, decision.remaining) for decision in answer] for answer in answers]
    assert told == [
        [(True, 7), (True, 999_998)],
        [(True, 4), (True, 999_996)],
        [(True, 1), (True, 999_994)],
        [(False, 1), (False, 999_994)],
        [(True, 9)],
        [(True, 8)],
        [(True, 7)],
        [(False, 10)],
        [(False, 10)],
        [(True, 10)],
    ]
    assert calls_of_the_script(own_server) <= 4
    await backend.aclose()


@pytest.mark.parametrize("algorithm", ["sliding-window", "gcra", "fixed-window"])
async def test_one_partition_under_several_rules_of_one_call(
    algorithm: AlgorithmName, own_server: RedisServer
):
    backend = RedisBackend(own_server.url, budget=5, clock=lambda: HOUR_US)
    policy = policy_of((10, HOUR_US), algorithm=algorithm)
    other = policy_of((20, 2 * HOUR_US), algorithm=algorithm)
    partitions = ("a", "b", "c")

    _, *answers = await asyncio.gather(
        backend.hit((hit_of(MANY, 1, "first"),)),
        *(backend.hit((hit_of(policy, cost, who),)) for cost in (1, 2) for who in partitions),
        *(backend.hit((hit_of(policy, 3, "a"), hit_of(other, 3, who))) for who in partitions),
        backend.hit((hit_of(policy, 1, "a"),)),
    )

    told = [[(decision.allowed, decision.remaining) for decision in answer] for answer in answers]
    # The cost of 1 for "a" is asked for twice, and both go first.
    assert told == [
        [(True, 9)],
        [(True, 9)],
        [(True, 9)],
        [(True, 6)],
        [(True, 7)],
        [(True, 7)],
        [(True, 3), (True, 17)],
        [(True, 0), (True, 17)],
        [(False, 0), (False, 20)],
        [(True, 8)],
    ]
    assert calls_of_the_script(own_server) <= 4
    await backend.aclose()


async def calls_of(server: RedisServer, backend: RedisBackend, partitions: list[str]) -> int:
    """Return how many calls it takes to decide one check of each of *partitions* at once."""
    before = calls_of_the_script(server)
    await asyncio.gather(*(backend.hit((hit_of(MANY, 1, each),)) for each in partitions))
    return calls_of_the_script(server) - before


async def test_those_who_wait_are_shared_out_over_the_free_calls(own_server: RedisServer):
    """But only if each gets enough, and what is equal is decided at once anyway."""
    backend = RedisBackend(own_server.url, budget=5)
    await calls_of(own_server, backend, [f"warm {number}" for number in range(1_000)])

    # The first one always leaves alone.
    few = await calls_of(own_server, backend, [f"{number}" for number in range(FEWEST_CHECKS + 1)])
    different = await calls_of(
        own_server, backend, [f"{number}" for number in range(3 * FEWEST_CHECKS + 1)]
    )
    equal = await calls_of(own_server, backend, ["same"] * (3 * FEWEST_CHECKS + 1))

    assert (few, different, equal) == (2, 4, 2)
    await backend.aclose()


async def test_callers_who_ask_again_at_once_stay_together(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    # However slow this machine is at the moment.
    monkeypatch.setattr(lane, "PATIENCE", 5)
    backend = RedisBackend(own_server.url, budget=5)
    await backend.hit((hit_of(MANY, partition="warm"),))

    async def caller() -> None:
        for _ in range(50):
            await backend.hit((hit_of(MANY),))

    before = calls_of_the_script(own_server)
    await asyncio.gather(*(caller() for _ in range(16)))

    assert calls_of_the_script(own_server) - before <= 50 + MOST_CALLS
    await backend.aclose()


async def test_who_waits_for_company_does_not_wait_long(redis_server: RedisServer):
    """A Redis that is far away is asked again before it has answered."""
    async with Proxy(redis_server.port) as proxy:
        backend = RedisBackend(f"redis://127.0.0.1:{proxy.port}", budget=5)
        everybody = [hit_of(MANY, 1, f"{number}") for number in range(1_000)]
        await asyncio.gather(*(backend.hit((hit,)) for hit in everybody))

        proxy.delay = 0.4
        crowd = [asyncio.ensure_future(backend.hit((hit,))) for hit in everybody[:40]]
        await asyncio.sleep(0.05)
        arrived_at = time.monotonic()
        await backend.hit((hit_of(MANY),))
        elapsed = time.monotonic() - arrived_at
        await asyncio.gather(*crowd)
        await backend.aclose()

    assert proxy.delay <= elapsed < 1.5 * proxy.delay


async def test_who_is_cancelled_takes_nobody_along(own_server: RedisServer):
    """Before their call leaves, and while it is under way."""
    backend = RedisBackend(own_server.url, budget=5)
    await backend.hit((hit_of(MANY, partition="warm"),))

    with own_server.paused():
        tasks = [asyncio.ensure_future(backend.hit((hit_of(MANY),))) for _ in range(90)]
        for turn, is_cancelled in enumerate([False, True, False, True]):
            for task in tasks[turn::9] if is_cancelled else ():
                task.cancel()
            await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    cancelled = [error for error in outcomes if isinstance(error, asyncio.CancelledError)]
    assert len(cancelled) == 20
    answered = [outcome[0] for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(answered) == 70
    assert all(decision.allowed for decision in answered)
    # Everybody has a count of their own: no reply is read twice or by somebody else.
    assert len({decision.remaining for decision in answered}) == 70
    used = 1_000_000 - (await backend.peek((hit_of(MANY),)))[0].remaining
    assert 70 <= used <= 90
    await backend.aclose()


async def test_who_cancels_every_task_keeps_nobody_waiting(own_server: RedisServer):
    """As some do when they shut down, and then go on."""
    backend = RedisBackend(own_server.url, budget=5)
    await asyncio.gather(*(backend.hit((hit_of(MANY),)) for _ in range(9)))

    for turns in range(6):
        before = asyncio.all_tasks()
        tasks = [asyncio.ensure_future(backend.hit((hit_of(MANY),))) for _ in range(9)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - before - set(tasks):
            task.cancel()
        async with asyncio.timeout(2):
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            (decision,) = await backend.hit((hit_of(MANY),))

        assert {type(outcome) for outcome in outcomes} <= {tuple, BackendError}
        assert decision.allowed
    await backend.aclose()


async def test_while_redis_hangs_everybody_is_told_in_time_and_then_it_works_again(
    own_server: RedisServer,
):
    backend = RedisBackend(own_server.url, budget=BUDGET)
    await backend.hit((hit_of(MANY, partition="warm"),))

    with own_server.paused():
        started = time.monotonic()
        outcomes = await asyncio.gather(
            *(backend.hit((hit_of(MANY),)) for _ in range(MOST_CALLS * MOST_CHECKS + 100)),
            return_exceptions=True,
        )
        elapsed = time.monotonic() - started
    (decision,) = await backend.hit((hit_of(MANY, partition="warm"),))

    assert all(isinstance(outcome, BackendError) for outcome in outcomes)
    # Those that never left as well: it is the server that is to blame.
    assert {outcome.fault for outcome in outcomes} == {"infrastructure"}
    assert BUDGET <= elapsed < BUDGET + 0.25
    assert decision.remaining == 1_000_000 - 2
    await backend.aclose()


async def test_a_lost_reply_is_not_asked_for_again(redis_server: RedisServer, redis_url: str):
    policy = policy_of((1_000, HOUR_US), algorithm="fixed-window")
    direct = RedisBackend(redis_url, budget=5)
    async with Proxy(redis_server.port) as proxy:
        backend = RedisBackend(f"redis://127.0.0.1:{proxy.port}", budget=BUDGET)
        await backend.hit((hit_of(policy, partition="warm"),))

        proxy.replies = "cut"
        outcomes = await asyncio.gather(
            *(backend.hit((hit_of(policy, partition="lost"),)) for _ in range(50)),
            return_exceptions=True,
        )
        await backend.aclose()

    assert all(isinstance(outcome, BackendError) for outcome in outcomes)
    used = 1_000 - (await direct.peek((hit_of(policy, partition="lost"),)))[0].remaining
    assert 1 <= used <= 50
    await direct.aclose()


async def test_a_process_that_was_too_busy_to_look_does_not_blame_redis(redis_url: str):
    backend = RedisBackend(redis_url, budget=0.02)
    await backend.hit((hit_of(MANY, partition="warm"),))

    tasks = [asyncio.ensure_future(backend.hit((hit_of(MANY),))) for _ in range(3)]
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251, TID251 - the event loop is what is to be kept busy
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    faults = {outcome.fault for outcome in outcomes if isinstance(outcome, BackendError)}
    assert faults <= {"overload"}
    await backend.aclose()


async def test_who_waits_while_the_backend_is_closed_is_told(own_server: RedisServer):
    backend = RedisBackend(own_server.url, budget=5)
    await backend.hit((hit_of(MANY, partition="warm"),))

    with own_server.paused():
        tasks = [asyncio.ensure_future(backend.hit((hit_of(MANY),))) for _ in range(600)]
        await asyncio.sleep(0.05)
        await backend.aclose()
        outcomes = await asyncio.gather(*tasks[1:], return_exceptions=True)
        tasks[0].cancel()

    assert all(isinstance(outcome, BackendError) for outcome in outcomes)


class Request:
    """What an application keeps in a context variable."""


current: ContextVar[Request] = ContextVar("current")


async def test_a_call_keeps_nothing_of_the_request_that_it_began_in(own_server: RedisServer):
    """It goes on for as long as others ask."""
    backend = RedisBackend(own_server.url, budget=5)
    await backend.hit((hit_of(MANY, partition="warm"),))

    async def first() -> weakref.ref[Request]:
        current.set(Request())
        await asyncio.gather(*(backend.hit((hit_of(MANY),)) for _ in range(5)))
        return weakref.ref(current.get())

    async def others() -> None:
        while not is_over:
            await backend.hit((hit_of(MANY),))

    is_over = False
    came_first = asyncio.create_task(first())
    await asyncio.sleep(0)
    crowd = [asyncio.create_task(others()) for _ in range(5)]
    request = await came_first
    del came_first
    await asyncio.gather(*(backend.hit((hit_of(MANY),)) for _ in range(20)))
    gc.collect()
    kept = request()
    is_over = True
    await asyncio.gather(*crowd)
    await backend.aclose()

    assert kept is None


async def test_nothing_is_left_to_do_for_a_backend_that_was_closed(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    """While some ride, and one waits for company."""
    monkeypatch.setattr(lane, "PATIENCE", 60)
    async with Proxy(redis_server.port) as proxy:
        backend = RedisBackend(f"redis://127.0.0.1:{proxy.port}", budget=60)
        await backend.hit((hit_of(MANY, partition="warm"),))
        closed = weakref.ref(backend._lanes.known())

        proxy.delay = 60
        tasks = [asyncio.ensure_future(backend.hit((hit_of(MANY),))) for _ in range(40)]
        await asyncio.sleep(0.05)
        tasks.append(asyncio.ensure_future(backend.hit((hit_of(MANY),))))
        await asyncio.sleep(0.05)
        await backend.aclose()
        tasks[0].cancel()
        await asyncio.wait(tasks)

        told = [type(task.exception()) for task in tasks[1:]]
        assert told == 40 * [BackendError]
        del tasks
        gc.collect()
        assert closed() is None
