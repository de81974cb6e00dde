"""What a resolver gives: a kind and a value, never compared across kinds."""

import logging
from collections.abc import Hashable
from typing import NamedTuple, Protocol, TypeGuard
from uuid import UUID

from starlette.requests import HTTPConnection

logger = logging.getLogger("fastapi_throttle")

# What a plain resolver returned; it can never name somebody's user:42.
PLAIN = "key"


class Identity(NamedTuple):
    """Who pays for a request.

    Attributes:
        kind: Where it comes from: ``user``, ``api_key``, ``ip``, ``peer``, ``email``, ``all``, or
            ``key`` for what a resolver of the application returned.
        value: The text of the id, encoded.
    """

    kind: str
    value: bytes


class ConnectionResolver(Protocol):
    """A resolver that needs nothing but the connection: FastAPI has no dependencies to solve."""

    def identify(self, connection: HTTPConnection) -> Identity | None:
        """Return who pays, or None: ask the next one."""


def is_connection_only(resolver: object) -> TypeGuard[ConnectionResolver]:
    """Tell whether a resolver can be asked outside FastAPI's dependencies."""
    return getattr(resolver, "connection_only", False) is True


def encode(text: str) -> bytes:
    """Encode any str, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def identity_of(value: object, kind: str = PLAIN, *, source: object = None) -> Identity | None:
    """Turn what a resolver returned into an identity; None means: nobody, ask the next one.

    Ids count by their text, so 42 and "42" are one. Empty and blank text is nobody: it would be
    one bucket for everyone who sends none. So is any other type, which is logged.

    Args:
        value: An id, an `Identity`, or None.
        kind: The kind of a bare id.
        source: Whose value it is, named in the log. The value itself never is.
    """
    if value is None or isinstance(value, Identity):
        return value
    if isinstance(value, bytes):
        text = value
    elif isinstance(value, str | int | UUID) and not isinstance(value, bool):
        text = encode(str(value))
    else:
        warn_once(
            (source, type(value)),
            "%s returned a value of type %s as an identity; it must be str, bytes, int or UUID. "
            "Such requests are limited by the next resolver or by their address.",
            name_of(source),
            type(value).__name__,
        )
        return None
    return Identity(kind, text) if text.strip() else None


_warned: set[Hashable] = set()


def warn_once(cause: Hashable, message: str, *args: object) -> None:
    """Log a warning to the operator, once per cause and process."""
    if cause not in _warned:
        _warned.add(cause)
        logger.warning(message, *args)


def name_of(source: object) -> str:
    """Name a callable for a message."""
    return getattr(source, "__qualname__", type(source).__name__)
