"""One backend, many event loops, threads and processes: each has connections of its own."""

import asyncio
import gc
import os
import subprocess
import sys
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from oracle import hit_of, policy_of
from redis_server import RedisServer

from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.backends.redis.addresses import Server, address_of
from fastapi_throttle.backends.redis.connections import Connections
from fastapi_throttle.backends.redis.per_loop import PerLoop

POLICY = policy_of((1_000, 60_000_000))


def test_one_backend_serves_one_event_loop_after_another(redis_server: RedisServer, redis_url: str):
    """Nobody closes it: every loop's connections are gone with the loop, without a warning."""
    backend = RedisBackend(redis_url, budget=5)

    async def hit_in_parallel() -> int:
        decisions = await asyncio.gather(*(backend.hit((hit_of(POLICY),)) for _ in range(3)))
        return min(decision.remaining for (decision,) in decisions)

    remaining = []
    for _ in range(4):
        remaining.append(asyncio.run(hit_in_parallel()))
        gc.collect()

    assert remaining == [997, 994, 991, 988]
    assert redis_server.has_no_client()


def test_a_backend_that_was_closed_may_be_used_again(redis_server: RedisServer, redis_url: str):
    backend = RedisBackend(redis_url, budget=5)

    async def hit_twice() -> tuple[int, int]:
        (first,) = await backend.hit((hit_of(POLICY),))
        await backend.aclose()
        await backend.aclose()
        assert redis_server.has_no_client()
        (second,) = await backend.hit((hit_of(POLICY),))
        await backend.aclose()
        return first.remaining, second.remaining

    assert asyncio.run(hit_twice()) == (999, 998)
    assert redis_server.has_no_client()


def test_a_backend_that_is_dropped_with_its_loop_leaves_no_connection(redis_url: str):
    """The loop learns of it while it ends, and has only a few turns left."""
    hit = hit_of(POLICY)

    async def use_several_connections() -> None:
        backend = RedisBackend(redis_url)
        await asyncio.gather(*(backend.reset((hit,)) for _ in range(4)))

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        asyncio.run(use_several_connections())
        gc.collect()

    assert [str(each.message) for each in told] == []


def test_one_backend_serves_the_event_loops_of_several_threads(redis_url: str):
    backend = RedisBackend(redis_url, budget=10)

    async def hit(times: int) -> None:
        for _ in range(times):
            await backend.hit((hit_of(POLICY),))

    for _ in range(5):
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(asyncio.run, map(hit, (1, 2, 3, 1, 2, 3))))
    gc.collect()

    (decision,) = asyncio.run(backend.peek((hit_of(POLICY),)))
    assert decision.remaining == 1_000 - 5 * (1 + 2 + 3) * 2


def never_connected() -> PerLoop[Connections]:
    address = address_of("redis://127.0.0.1", budget=1)
    assert isinstance(address, Server)
    return PerLoop(lambda: Connections(address.login.connect))


def test_loops_that_start_and_end_in_other_threads_leave_connections_where_they_are():
    """As many interleavings as can be had in a second; no connection is opened."""
    per_loop = never_connected()

    async def ask_twice() -> bool:
        mine = await per_loop.get()
        await asyncio.sleep(0)
        return await per_loop.get() is mine

    def work(_: int) -> bool:
        return all(asyncio.run(ask_twice()) for _ in range(60))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(12) as pool:
            assert all(pool.map(work, range(12)))
    finally:
        sys.setswitchinterval(interval)


def test_a_loop_that_was_closed_without_ceremony_is_let_go():
    """Nobody ended its generators; there is no connection either, which would complain."""
    per_loop = never_connected()

    async def ask() -> None:
        await per_loop.get()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask())
    loop.close()
    closed = weakref.ref(loop)
    del loop
    asyncio.run(ask())
    gc.collect()

    assert closed() is None


FORK = """
import asyncio, os, redis, sys
from oracle import hit_of, policy_of
from fastapi_throttle.backends import RedisBackend

backend = RedisBackend(sys.argv[1], budget=5)
policy = policy_of((1_000, 60_000_000))

async def hits(partition, cost):
    # Every partition has a cost of its own, so the reply to another's call is noticed.
    wrong = 0
    for number in range(1, 51):
        (decision,) = await backend.hit((hit_of(policy, cost, partition),))
        wrong += decision.remaining != 1_000 - cost * number
    return wrong

async def both(name, cost):
    return sum(await asyncio.gather(hits(f"{name}a", cost), hits(f"{name}b", cost + 1)))

def fork(run, cost):
    if pid := os.fork():
        return pid
    try:
        wrong = run(both(f"child {cost}", cost))
    except BaseException as error:
        print("child", error, repr(error.__cause__), file=sys.stderr, flush=True)
        wrong = 255
    os._exit(min(wrong, 255))
"""
WHILE_A_LOOP_RUNS = """
async def parent():
    wrong = await both("before", 1)
    children = [fork(asyncio.run, 4), fork(asyncio.run, 6)]
    wrong += await both("meanwhile", 8)
    statuses = [(await asyncio.to_thread(os.waitpid, child, 0))[1] for child in children]
    # What the children closed was not ours.
    wrong += await both("after", 10)
    print(wrong, statuses)

asyncio.run(parent())
"""
WHILE_THE_PARENT_WAITS = """
def connections():
    with redis.Redis.from_url(sys.argv[1]) as client:
        return len(client.client_list()) - 1

loop = asyncio.new_event_loop()
run = loop.run_until_complete
wrong = run(both("before", 1))
before = connections()
def run_and_count(call):
    # The sockets of the parent stay open, and stay unused.
    return run(call) + (connections() != before + 2)
status = os.waitpid(fork(run_and_count, 4), 0)[1]
wrong += run(both("after", 10))
run(loop.shutdown_asyncgens())
loop.close()
print(wrong, [status, connections() - (before - 2)])
"""


@pytest.mark.parametrize(
    "when", [WHILE_A_LOOP_RUNS, WHILE_THE_PARENT_WAITS], ids=["running", "waiting"]
)
def test_after_a_fork_nobody_reads_the_replies_of_another_process(when: str, redis_url: str):
    """In a process of its own; the children inherit open connections and an event loop."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK + when, redis_url],
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.stderr == ""
    assert ended.stdout == "0 [0, 0]\n"
