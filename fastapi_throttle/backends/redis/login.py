"""How connections are set up: for short questions, asked once."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, NamedTuple

import redis.asyncio.cluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

# What a client adds for itself, or for a connection to which server it is.
_OF_ONE_CLIENT = (
    "connection_pool",
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
# The same for a client of a Cluster, which it may ask to be served by replicas.
_OF_ONE_CLUSTER = (
    "connection_class",
    "max_connections",
    "redis_connect_func",
    "response_callbacks",
    "db",
)

Connect = Callable[[], AbstractConnection]


class Host(NamedTuple):
    """Where a server listens."""

    name: str
    port: int


class Login(NamedTuple):
    """How to connect, in the words of redis-py: to one server, or to any one of several."""

    connection_class: type[AbstractConnection]
    options: Mapping[str, Any]

    def connect(self) -> AbstractConnection:
        """Return a connection that is not open yet."""
        return self.connection_class(**self.options)

    def at(self, host: Host) -> "Login":
        """Return how to connect to *host*."""
        options = {**self.options, "host": host.name, "port": host.port}
        return Login(self.connection_class, options)


def login_of(
    connection_class: type[AbstractConnection], options: Mapping[str, Any], *, budget: float
) -> Login:
    """Return how to connect as *options* of a client say, with settings of our own."""
    kept = {name: value for name, value in options.items() if name not in _OF_ONE_CLIENT}
    return Login(connection_class, {**kept, **_settings(budget)})


def login_of_node(
    connection_class: type[AbstractConnection], options: Mapping[str, Any], *, budget: float
) -> Login:
    """Return how to connect to the nodes of a Cluster."""
    kept = {name: value for name, value in options.items() if name not in _OF_ONE_CLUSTER}
    login = login_of(connection_class, kept, budget=budget)
    # Only this one knows redirections, where it exists; elsewhere all do.
    parser = getattr(redis.asyncio.cluster, "ClusterParser", None)
    return (
        login
        if parser is None
        else Login(connection_class, {**login.options, "parser_class": parser})
    )


def _settings(budget: float) -> dict[str, Any]:
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
