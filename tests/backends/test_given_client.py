"""A client handed in serves as an address: it is neither used nor closed nor imitated."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import redis
from oracle import hit_of, policy_of
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis_server import RedisServer
from tcp_proxy import Proxy

from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.errors import BackendError

POLICY = policy_of((100, 60_000_000), (1_000, 3_600_000_000))
HIT = hit_of(POLICY)

CLIENTS: dict[str, Callable[[str], Redis]] = {
    "default": Redis.from_url,
    "host and port": lambda url: Redis(port=int(url.rpartition(":")[2])),
    "text": lambda url: Redis.from_url(url, decode_responses=True),
    "bytes": lambda url: Redis.from_url(url, decode_responses=False),
    "RESP3": lambda url: Redis.from_url(url, protocol=3),
    "RESP3 and text": lambda url: Redis.from_url(url, protocol=3, decode_responses=True),
    "RESP2": lambda url: Redis.from_url(url, protocol=2),
    "no retries": lambda url: Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0)),
    "health checks": lambda url: Redis.from_url(url, health_check_interval=1),
    "no timeouts": lambda url: Redis.from_url(url, socket_timeout=None),
    "one connection": lambda url: Redis.from_url(url, single_connection_client=True),
    # These close their pools when they are closed.
    "a pool": lambda url: Redis.from_pool(ConnectionPool.from_url(url)),
    "a blocking pool": lambda url: Redis.from_pool(
        BlockingConnectionPool.from_url(url, timeout=None)
    ),
}


def connections(server: RedisServer) -> dict[str, str]:
    """Return the last command of each connection, by its id; our own left out."""
    clients: list[dict[str, Any]] = server.client.client_list()
    return {one["id"]: one["cmd"] for one in clients if one["cmd"] != "client|list"}


@pytest.mark.parametrize("kind", CLIENTS)
async def test_it_is_neither_used_nor_closed(kind: str, redis_server: RedisServer, redis_url: str):
    async with CLIENTS[kind](redis_url) as client:
        await client.ping()
        (own,) = connections(redis_server)
        backend = RedisBackend(client, budget=5)

        remaining = [(await backend.hit((HIT,)))[0].remaining for _ in range(3)]
        await backend.peek((HIT,))
        await backend.reset((HIT,))

        assert remaining == [99, 98, 97]
        assert connections(redis_server).pop(own) == "ping"
        assert len(connections(redis_server)) == 2
        await backend.aclose()
        assert redis_server.has_no_client(own)
        assert connections(redis_server) == {own: "ping"}
        assert await client.ping()
        await client.connection_pool.disconnect()


async def test_its_database_user_and_password_count(redis_url: str):
    with RedisServer(password="swordfish") as server:
        client = Redis(port=server.port, db=3, username="default", password="swordfish")
        backend = RedisBackend(client, budget=5)
        await backend.hit((HIT,))
        await backend.aclose()

        server.client.select(3)
        assert server.client.dbsize() == 2


async def test_its_unix_socket_counts(tmp_path: Path):
    path = str(tmp_path / "redis.sock")
    with RedisServer("--unixsocket", path) as server:
        for source in (Redis(unix_socket_path=path), f"unix://{path}"):
            backend = RedisBackend(source, budget=5)
            await backend.hit((HIT,))
            await backend.aclose()

        assert server.client.dbsize() == 2


@pytest.mark.parametrize("replies", ["cut", "lost"])
async def test_what_it_would_ask_again_is_asked_once(
    replies: Literal["cut", "lost"], redis_server: RedisServer, redis_url: str
):
    """The script ran and its reply is lost: it must not run again, though redis-py would."""
    again = {"retry_on_error": [RedisError]}
    async with Proxy(redis_server.port) as proxy:
        client = Redis(port=proxy.port, retry=AsyncRetry(NoBackoff(), 10), **again)
        backend = RedisBackend(client, budget=1)
        await backend.hit((HIT,))
        proxy.replies = replies
        proxy.concerned = b"EVALSHA"
        with pytest.raises(BackendError):
            await backend.hit((HIT,))
        proxy.concerned = b"INCR"
        with (
            redis.Redis(
                port=proxy.port, retry=Retry(NoBackoff(), 10), socket_timeout=0.05, **again
            ) as control,
            pytest.raises(RedisError),
        ):
            await asyncio.to_thread(control.incr, "asked again")
        proxy.replies = "pass"

        (decision,) = await backend.peek((HIT,))
        assert decision.remaining == 98
        assert int(redis_server.client.get("asked again")) > 1
        await backend.aclose()
