"""Connections to one Redis: for short questions, asked once."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ResponseError

from fastapi_throttle.backends.redis import script
from fastapi_throttle.errors import ConfigurationError

# What a client's pool adds for itself.
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
# Whether there is something to read, in the words of the installed redis-py.
_HAS_DATA = "can_read" if hasattr(AbstractConnection, "can_read") else "can_read_destructive"

Connect = Callable[[], AbstractConnection]


def connector(source: "str | Redis", *, budget: float) -> Connect:
    """Return what makes a connection, not open yet, to the address of *source*.

    A client serves as an address only: its own pool is shared with the application, retries
    what may have been executed, and belongs to one event loop.

    Raises:
        ConfigurationError: *source* is neither a usable URL nor a client of one Redis server.
    """
    pool = _pool_of_url(source) if isinstance(source, str) else _pool_of_client(source)
    options = {
        name: value for name, value in pool.connection_kwargs.items() if name not in _OF_ONE_POOL
    }
    options |= _options(budget)
    connection_class: type[AbstractConnection] = pool.connection_class

    def connect() -> AbstractConnection:
        return connection_class(**options)

    if isinstance(source, str):
        try:
            connect()
        except (TypeError, ValueError):
            raise _unusable(source) from None
    return connect


def _pool_of_url(url: str) -> Any:
    try:
        return ConnectionPool.from_url(url)
    except (TypeError, ValueError):
        raise _unusable(url) from None


def _pool_of_client(client: object) -> Any:
    pool = getattr(client, "connection_pool", None)
    if not isinstance(pool, ConnectionPool) or isinstance(pool, SentinelConnectionPool):
        message = (
            "url or client must be a URL or a redis.asyncio.Redis client of one server, "
            f"got {type(client).__module__}.{type(client).__qualname__}"
        )
        raise ConfigurationError(message)
    return pool


def _unusable(url: str) -> ConfigurationError:
    # What redis-py says may quote a part of the password.
    scheme = url.partition("://")[0] if "://" in url else "none"
    return ConfigurationError(
        "url must be redis://, rediss:// or unix:// and readable by redis-py, "
        f"got one with scheme {scheme!r}"
    )


def _options(budget: float) -> dict[str, Any]:
    """Return the settings that differ from redis-py's defaults, and why they do."""
    return {
        "protocol": 2,  # with RESP3 nobody looks for stale data
        "retry": Retry(NoBackoff(), 0),  # a retry could charge twice
        "decode_responses": False,
        "socket_timeout": None,  # a call has one deadline for all it does, see `Lane`
        "socket_connect_timeout": budget,
        "health_check_interval": 0,
        "encoding": "utf-8",
        "encoding_errors": "strict",
        **_without_introduction(),
    }


def _without_introduction() -> dict[str, None]:
    """Save the round trip of CLIENT SETINFO, in the words of the installed redis-py."""
    if "driver_info" in signature(AbstractConnection.__init__).parameters:
        return {"driver_info": None}
    return {"lib_name": None, "lib_version": None}


class Connections:
    """The connections of one event loop to one Redis.

    redis-py's pools serve commands that may be repeated, at a price per command that is higher
    than that of the question itself. Here a connection is either idle or used by one call, and
    who interrupts a call ends its connection: nobody reads a reply that is not theirs.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._idle: list[AbstractConnection] = []

    async def run_script(self, arguments: list[str | bytes | int]) -> Any:
        """Run the script, at most once, and return its reply."""
        try:
            return await self.ask("EVALSHA", script.SHA, *arguments)
        except NoScriptError:
            # Answered before anything ran, so this is still the first execution.
            return await self.ask("EVAL", script.TEXT, *arguments)

    async def ask(self, *command: str | bytes | int) -> Any:
        """Send *command* once and return its reply.

        Raises:
            ResponseError: Redis refused it.
            Exception: Whatever else the client library raises.
        """
        # redis-py leaves its methods untyped.
        connection: Any = self._idle.pop() if self._idle else self._connect()
        try:
            if connection.is_connected and await getattr(connection, _HAS_DATA)():
                # Closed by the server while it was idle.
                await connection.disconnect(nowait=True)
            await connection.connect()
            await connection.send_command(*command, check_health=False)
            reply = await connection.read_response()
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        return reply

    async def aclose(self) -> None:
        """Close those that are idle."""
        while self._idle:
            await self._idle.pop().disconnect()
