"""How connections to Redis are set up: for short questions, asked once."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from inspect import signature
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    ConnectionPool,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from fastapi_throttle.errors import ConfigurationError

# What a client's pool adds for itself; a pool made from the rest adds its own.
_OF_ONE_POOL = (
    "maint_notifications_config",
    "maint_notifications_pool_handler",
    "oss_cluster_maint_notifications_handler",
    "orig_host_address",
    "orig_socket_timeout",
    "orig_socket_connect_timeout",
    "himport_registry",
    "event_dispatcher",
    "retry_on_timeout",
    "retry_on_error",
    "driver_info",
    "lib_name",
    "lib_version",
)

PoolFactory = Callable[[], ConnectionPool]


def pool_factory(source: "str | Redis", *, budget: float, max_connections: int) -> PoolFactory:
    """Return what makes a pool for the address of *source*.

    A client serves as an address only: its own pool is shared with the application, retries
    what may have been executed, and belongs to one event loop.

    Raises:
        ConfigurationError: *source* is neither a usable URL nor a client of one Redis server.
    """
    options = _options(budget, max_connections)
    if isinstance(source, str):
        url = source
        try:
            trial: Any = BlockingConnectionPool.from_url(url, **options)
            trial.make_connection()
        except (TypeError, ValueError):
            # What redis-py says may quote a part of the password.
            scheme = url.partition("://")[0] if "://" in url else "none"
            message = (
                "url must be redis://, rediss:// or unix:// and readable by redis-py, "
                f"got one with scheme {scheme!r}"
            )
            raise ConfigurationError(message) from None
        return lambda: BlockingConnectionPool.from_url(url, **options)
    pool: Any = getattr(source, "connection_pool", None)
    if not isinstance(pool, ConnectionPool) or isinstance(pool, SentinelConnectionPool):
        message = (
            "url or client must be a URL or a redis.asyncio.Redis client of one server, "
            f"got {type(source).__module__}.{type(source).__qualname__}"
        )
        raise ConfigurationError(message)
    address = {
        name: value for name, value in pool.connection_kwargs.items() if name not in _OF_ONE_POOL
    }
    connection_class: type[AbstractConnection] = pool.connection_class
    return lambda: BlockingConnectionPool(
        connection_class=connection_class, **{**address, **options}
    )


def _options(budget: float, max_connections: int) -> dict[str, Any]:
    """Return the settings that differ from redis-py's defaults, and why they do."""
    return {
        "protocol": 2,  # with RESP3 a pool hands out connections without looking for stale data
        "retry": Retry(NoBackoff(), 0),  # a retry could charge twice
        "decode_responses": False,
        "socket_timeout": budget,
        "socket_connect_timeout": budget,
        "health_check_interval": 0,
        "timeout": None,  # who waits for a free connection waits for a place, in `PerLoop`
        "encoding": "utf-8",
        "encoding_errors": "strict",
        "max_connections": max_connections,
        **_without_introduction(),
    }


def _without_introduction() -> dict[str, None]:
    """Save the round trip of CLIENT SETINFO, in the words of the installed redis-py."""
    if "driver_info" in signature(AbstractConnection.__init__).parameters:
        return {"driver_info": None}
    return {"lib_name": None, "lib_version": None}


class _Opened(NamedTuple):
    """What one event loop uses.

    Attributes:
        client: Asks and is answered.
        places: One per connection. Who waits for a free connection waits here: a pool of redis-py
            wakes nobody else when the one it woke is cancelled.
        closing: Closes the connections when it ends.
    """

    client: Redis
    places: asyncio.Semaphore
    closing: AsyncGenerator[None]


class PerLoop:
    """One client per running event loop and process.

    Connections belong to the loop that opened them, and after a fork two processes would read
    each other's replies.
    """

    def __init__(self, make_pool: PoolFactory) -> None:
        self._make_pool = make_pool
        self._opened: dict[asyncio.AbstractEventLoop, _Opened] = {}
        self._inherited: list[object] = []
        self._pid = os.getpid()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Redis]:
        """Lend the client of the running loop, to as many at a time as it has connections."""
        if self._pid != os.getpid():
            # Never let go of: to close a socket would end the parent's watch over it, which a
            # fork shares.
            self._inherited.append(self._opened)
            self._opened, self._pid = {}, os.getpid()
        loop = asyncio.get_running_loop()
        opened = self._opened.get(loop)
        if opened is None:
            for known in list(self._opened):  # a copy: other threads open and close theirs
                if known.is_closed():
                    self._opened.pop(known, None)
            opened = self._opened[loop] = self._open()
            await anext(opened.closing)
        async with opened.places:
            yield opened.client

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        if self._pid == os.getpid():
            opened = self._opened.pop(asyncio.get_running_loop(), None)
            if opened is not None:
                await opened.closing.aclose()

    def _open(self) -> _Opened:
        pool = self._make_pool()
        places = asyncio.Semaphore(pool.max_connections)
        return _Opened(Redis(connection_pool=pool), places, _closing(pool))


async def _closing(pool: ConnectionPool) -> AsyncGenerator[None]:
    """Close the connections of *pool* when this generator ends: at the latest with its loop.

    A loop ends its generators before it closes, and nobody else tells that it does.
    """
    try:
        yield
    finally:
        await pool.disconnect(inuse_connections=True)
