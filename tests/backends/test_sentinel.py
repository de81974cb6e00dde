"""A real master with replicas under three Sentinels: calls follow the master, wherever it is."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from oracle import hit_of, policy_of
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import ReadOnlyError
from redis_sentinel import SERVICE, RedisSentinel
from redis_server import RedisServer, free_port

from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.backends.redis.login import Host
from fastapi_throttle.backends.redis.sentinel import DOUBTED_SECONDS, STALE_SECONDS
from fastapi_throttle.decider import Decider
from fastapi_throttle.errors import BackendError

HIT = hit_of(policy_of((1_000_000, 3_600_000_000)))
BUDGET = 0.25
# What a busy machine may add to a budget.
SLACK = 0.3
# In this time after a planned failover, checks are decided where they will not be lost.
FOLLOW_SECONDS = 2.0
# Given up after a second, then the Sentinels agree, then a replica is told.
FAIL_OVER_SECONDS = 8.0


def url_of(port: int, *sentinels: RedisServer) -> str:
    hosts = ",".join(f"127.0.0.1:{each}" for each in (port, *(s.port for s in sentinels)))
    return f"redis+sentinel://{hosts}/{SERVICE}"


def calls_of_the_script(server: RedisServer) -> int:
    """Return how often the script was run by clients: replicas are sent what it wrote."""
    stats = server.client.info("commandstats")
    return sum(stats.get(f"cmdstat_{verb}", {}).get("calls", 0) for verb in ("eval", "evalsha"))


@pytest.fixture(scope="module")
def trio() -> Iterator[RedisSentinel]:
    with RedisSentinel() as trio:
        yield trio


@pytest.fixture
def own_trio() -> Iterator[RedisSentinel]:
    """One whose servers a test may end."""
    with RedisSentinel() as trio:
        yield trio


@pytest.fixture
async def backend(trio: RedisSentinel) -> AsyncIterator[RedisBackend]:
    trio.master.client.flushall()
    backend = RedisBackend(trio.url, budget=BUDGET)
    yield backend
    await backend.aclose()


async def decided_again(backend: RedisBackend) -> float:
    """Ask until there is a decision, and return how many seconds that took."""
    started = time.monotonic()
    while time.monotonic() - started < FAIL_OVER_SECONDS:
        asked = time.monotonic()
        with contextlib.suppress(BackendError):
            await backend.hit((HIT,))
            return time.monotonic() - started
        assert time.monotonic() - asked < BUDGET + SLACK
        await asyncio.sleep(0.02)
    pytest.fail(f"After {FAIL_OVER_SECONDS} s there is still no decision.")


@pytest.mark.matrix
async def test_the_master_decides(trio: RedisSentinel, backend: RedisBackend):
    told = await asyncio.gather(*(backend.hit((HIT,)) for _ in range(20)))

    assert sorted(d.remaining for (d,) in told) == list(range(1_000_000 - 20, 1_000_000))
    assert trio.master.client.exists(HIT.keys[0])
    await backend.reset((HIT,))
    assert not trio.master.client.exists(HIT.keys[0])


@pytest.mark.matrix
async def test_a_given_client_serves_as_an_address(trio: RedisSentinel, backend: RedisBackend):
    await backend.hit((HIT,))
    manager = Sentinel([("127.0.0.1", sentinel.port) for sentinel in trio.sentinels])
    client = manager.master_for(SERVICE, decode_responses=True)
    given = RedisBackend(client, budget=BUDGET)

    (decision,) = await given.hit((HIT,))

    assert decision.remaining == 1_000_000 - 2
    await given.aclose()


async def test_its_findings_are_those_of_the_master(trio: RedisSentinel, backend: RedisBackend):
    trio.master.client.config_set("maxmemory-policy", "allkeys-lru")
    trio.master.client.config_set("maxmemory", "1gb")
    try:
        found = await backend.findings()
    finally:
        trio.master.client.config_set("maxmemory", "0")

    assert [finding.is_harmful for finding in found] == [True, False]


async def test_passwords_of_servers_and_sentinels_differ():
    with RedisSentinel(password="swordfish", sentinel_password="sturgeon") as trio:
        scheme, _, address = trio.url.partition("://")
        right = f"{scheme}://:swordfish@{address}?sentinel_password=sturgeon"
        wrong = f"{scheme}://:swordfish@{address}?sentinel_password=swordfish"

        backend = RedisBackend(right, budget=BUDGET)
        assert (await backend.hit((HIT,)))[0].allowed
        await backend.aclose()
        for url in (wrong, right.replace("swordfish", "sturgeon")):
            backend = RedisBackend(url, budget=BUDGET)
            with pytest.raises(BackendError) as raised:
                await backend.hit((HIT,))
            assert raised.value.fault == "configuration"
            await backend.aclose()


@contextlib.asynccontextmanager
async def out_of_date(port: int) -> AsyncIterator[int]:
    """Serve as a Sentinel that missed a failover; yields its port."""
    address = f"*2\r\n$9\r\n127.0.0.1\r\n${len(str(port))}\r\n{port}\r\n"
    state = "*2\r\n$12\r\nconfig-epoch\r\n$1\r\n0\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write((address + state).encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_one_of_several_sentinels_may_be_gone_or_slow(trio: RedisSentinel):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for odd in (free_port(), silent.getsockname()[1]):
            backend = RedisBackend(url_of(odd, *trio.sentinels[:2]), budget=BUDGET)
            started = time.monotonic()

            assert (await backend.hit((HIT,)))[0].allowed

            assert time.monotonic() - started < BUDGET / 2
            await backend.aclose()


async def test_calls_follow_a_planned_failover(own_trio: RedisSentinel):
    """The old master takes writes for ten seconds more, and loses them: nobody gets an error."""
    old = own_trio.master
    backend = RedisBackend(own_trio.url, budget=BUDGET)
    await backend.hit((HIT,))

    await asyncio.to_thread(own_trio.fail_over)
    started = time.monotonic()
    new = own_trio.master
    before = calls_of_the_script(new)
    while calls_of_the_script(new) == before:
        await backend.hit((HIT,))
        await asyncio.sleep(0.02)

    assert time.monotonic() - started < FOLLOW_SECONDS
    # One that missed it is not believed, though it may be the first to answer.
    async with out_of_date(old.port) as port:
        another = RedisBackend(url_of(port, *own_trio.sentinels[:2]), budget=BUDGET)
        before = calls_of_the_script(new)
        await another.hit((HIT,))
        assert calls_of_the_script(new) == before + 1
        await another.aclose()
    await backend.aclose()


@pytest.mark.matrix
async def test_who_may_not_write_any_more_is_left_at_once(own_trio: RedisSentinel):
    """READONLY: no need to wait until the Sentinels are asked again anyway."""
    backend = RedisBackend(own_trio.url, budget=BUDGET)
    old = own_trio.master
    await asyncio.to_thread(own_trio.fail_over)
    old.client.replicaof("127.0.0.1", own_trio.master.port)
    # As if they had been asked before it happened.
    way = await backend._lanes.get()
    way._connections._lookup.answer = Host("127.0.0.1", old.port)
    way._connections._lookup.asked_at = asyncio.get_running_loop().time()

    with pytest.raises(BackendError) as raised:
        await backend.hit((HIT,))

    assert isinstance(raised.value.__cause__, ReadOnlyError)
    assert (await backend.hit((HIT,)))[0].allowed
    await backend.aclose()


async def test_a_master_that_stops_is_replaced(own_trio: RedisSentinel):
    backend = RedisBackend(own_trio.url, budget=BUDGET)
    await backend.hit((HIT,))

    old = own_trio.master
    old.stop()
    await decided_again(backend)

    await asyncio.to_thread(own_trio.wait_for_another, old)
    assert own_trio.master.client.exists(HIT.keys[0])
    await backend.aclose()


async def test_who_was_given_up_with_the_old_master_is_decided_by_the_new_one_at_once(
    own_trio: RedisSentinel,
):
    """Nobody waits until the store that was given up is asked again."""
    backend = RedisBackend(own_trio.url, budget=BUDGET)
    decider = Decider(backend, budget=BUDGET)
    await decider.hit((HIT,))
    old = own_trio.master
    old.stop()
    elected = asyncio.create_task(asyncio.to_thread(own_trio.wait_for_another, old))
    while not elected.done():
        await decider.hit((HIT,))
        await asyncio.sleep(0.02)
    await elected

    started = time.monotonic()
    while (await decider.hit((HIT,)))[0].degraded:
        assert time.monotonic() - started < 2 * DOUBTED_SECONDS + 0.1
        await asyncio.sleep(0.02)
    assert decider.health().failures["infrastructure"] > 3
    await backend.aclose()


async def test_a_master_that_pauses_is_replaced_and_not_asked_when_it_is_back(
    own_trio: RedisSentinel,
):
    backend = RedisBackend(own_trio.url, budget=BUDGET)
    await backend.hit((HIT,))

    old = own_trio.master
    with old.paused():
        await decided_again(backend)
    for _ in range(3):
        old.client.ping()  # what was asked meanwhile comes first
    before = calls_of_the_script(old)
    for _ in range(20):
        await backend.hit((HIT,))
        await asyncio.sleep(0.01)

    assert calls_of_the_script(old) == before
    await backend.aclose()


async def test_sentinels_are_needed_to_find_the_master_and_not_to_go_on(own_trio: RedisSentinel):
    own_trio.stop_sentinels()
    backend = RedisBackend(own_trio.url, budget=BUDGET)
    for _ in range(2):
        with pytest.raises(BackendError) as raised:
            await backend.hit((HIT,))
        assert raised.value.fault == "infrastructure"

    for sentinel in own_trio.sentinels:
        await asyncio.to_thread(sentinel.start)
    assert await decided_again(backend) < 1

    own_trio.stop_sentinels()
    ends = time.monotonic() + 2 * STALE_SECONDS
    while time.monotonic() < ends:
        assert (await backend.hit((HIT,)))[0].allowed
        await asyncio.sleep(0.05)
    await backend.aclose()
