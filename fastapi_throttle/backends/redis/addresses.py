"""What a URL or a client stands for: one server, one that Sentinels watch, or a Cluster."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import RedisError

from fastapi_throttle.backends.redis.login import Host, Login, login_of, login_of_node
from fastapi_throttle.errors import ConfigurationError

Source = str | Redis | RedisCluster
# Translates the host that a server tells into the one that can be reached from here.
Remap = Callable[[tuple[str, int]], Sequence[Any]]

_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*")
_REDIS_PORT = 6379
_SENTINEL_PORT = 26379
# What Sentinels have of their own, or not at all.
_OF_SERVERS = ("host", "port", "db", "username", "password")


class Server(NamedTuple):
    """One Redis."""

    login: Login


class Service(NamedTuple):
    """The master among the servers that Sentinels watch.

    Attributes:
        name: What the Sentinels call it.
        sentinels: How to connect to each of them.
        login: How to connect to the servers.
        remap: Translates their hosts; None: as told.
    """

    name: str
    sentinels: tuple[Login, ...]
    login: Login
    remap: Remap | None = None


class Nodes(NamedTuple):
    """A Cluster.

    Attributes:
        hosts: Some of its nodes; they know the others.
        login: How to connect to any of them.
        remap: Translates their hosts; None: as told.
    """

    hosts: tuple[Host, ...]
    login: Login
    remap: Remap | None = None


Address = Server | Service | Nodes


def address_of(source: Source, *, budget: float) -> Address:
    """Return what *source* stands for.

    A client serves as an address only: its own connections are shared with the application, retry
    what may have been executed, and belong to one event loop.

    Raises:
        ConfigurationError: *source* is neither a usable URL nor a usable client.
    """
    if not isinstance(source, str):
        return _address_of_client(source, budget)
    try:
        return _address_of_url(source, budget)
    except (TypeError, ValueError, RedisError):
        # What redis-py says may quote a part of the password, and so may what is no scheme.
        scheme, separator, _ = source.partition("://")
        named = scheme if separator and _SCHEME.fullmatch(scheme) else "none"
        message = (
            "url must be redis://, rediss://, unix://, redis+sentinel:// with hosts and a service "
            "or redis+cluster:// with hosts and no database, and readable by redis-py, got one "
            f"with scheme {named!r}"
        )
        raise ConfigurationError(message) from None


def _address_of_url(url: str, budget: float) -> Address:
    scheme, separator, rest = url.partition("://")
    plain, _, kind = scheme.partition("+")
    if not kind:
        # Of what it cannot read there, redis-py makes a server on this host and database 0.
        database = urlsplit(url).path.strip("/") if plain.lower() != "unix" else ""
        if not separator or (database and not database.isdecimal()):
            raise ValueError
        server = _server(ConnectionPool.from_url(url), budget)
        server.login.connect()
        return server
    if plain not in {"redis", "rediss"}:
        raise ValueError
    rest, _, query = rest.partition("?")
    hosts, _, path = rest.partition("/")
    user, _, hosts = hosts.rpartition("@")
    # One of each, so that redis-py reads all the rest.
    pools = [
        ConnectionPool.from_url(f"{plain}://{user}@{_named(host)}?{query}")
        for host in hosts.split(",")
    ]
    if kind == "sentinel" and path and "/" not in path:
        return _service(pools, unquote(path), budget)
    if kind == "cluster" and path in {"", "0"}:
        return _nodes(pools, budget)
    raise ValueError


def _named(host: str) -> str:
    """Return *host* unless redis-py would make it up."""
    if not host or host.startswith(":"):
        raise ValueError
    return host


def _server(pool: ConnectionPool, budget: float) -> Server:
    return Server(login_of(pool.connection_class, pool.connection_kwargs, budget=budget))


def _service(pools: Sequence[ConnectionPool], name: str, budget: float) -> Service:
    connection_class, options = pools[0].connection_class, dict(pools[0].connection_kwargs)
    own = {option: options.pop(f"sentinel_{option}", None) for option in ("username", "password")}
    shared = {option: value for option, value in options.items() if option not in _OF_SERVERS}
    to_sentinel = login_of(connection_class, {**shared, **own}, budget=budget)
    sentinels = tuple(to_sentinel.at(_host(pool, _SENTINEL_PORT)) for pool in pools)
    login = login_of(connection_class, options, budget=budget)
    for trial in (login, *sentinels):
        trial.connect()
    return Service(name, sentinels, login)


def _nodes(pools: Sequence[ConnectionPool], budget: float) -> Nodes:
    connection_class, options = pools[0].connection_class, pools[0].connection_kwargs
    if options.get("db"):
        raise ValueError
    login = login_of_node(connection_class, options, budget=budget)
    login.connect()
    return Nodes(tuple(_host(pool, _REDIS_PORT) for pool in pools), login)


def _host(pool: ConnectionPool, port: int) -> Host:
    options = pool.connection_kwargs
    return Host(options["host"], int(options.get("port", port)))


def _address_of_client(client: object, budget: float) -> Address:
    if isinstance(client, RedisCluster):
        return _nodes_of_client(client, budget)
    pool: Any = getattr(client, "connection_pool", None)
    if isinstance(pool, SentinelConnectionPool):
        if pool.is_master:
            return _service_of_client(pool, budget)
    elif isinstance(pool, ConnectionPool):
        return _server(pool, budget)
    message = (
        "url or client must be a URL, a redis.asyncio.Redis client of one server or of the master "
        "that Sentinels watch, or a redis.asyncio.RedisCluster, "
        f"got {type(client).__module__}.{type(client).__qualname__}"
    )
    raise ConfigurationError(message)


def _service_of_client(pool: Any, budget: float) -> Service:
    manager = pool.sentinel_manager
    sentinels = [sentinel.connection_pool for sentinel in manager.sentinels]
    is_encrypted = issubclass(pool.connection_class, SSLConnection)
    login = login_of(
        SSLConnection if is_encrypted else Connection, pool.connection_kwargs, budget=budget
    )
    # How the client is told that servers are reached by another name than the one they tell.
    forced = getattr(manager, "_force_master_ip", None)
    return Service(
        pool.service_name,
        tuple(_server(sentinel, budget).login for sentinel in sentinels),
        login,
        (lambda host: (forced, host[1])) if forced else None,
    )


def _nodes_of_client(client: RedisCluster, budget: float) -> Nodes:
    options, known = client.connection_kwargs, client.nodes_manager
    return Nodes(
        tuple(Host(node.host, int(node.port)) for node in known.startup_nodes.values()),
        login_of_node(options["connection_class"], options, budget=budget),
        known.address_remap,
    )
