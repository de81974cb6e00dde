"""What a resolver gives: a kind and a value, never compared across kinds."""

import inspect
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

    def __repr__(self) -> str:
        """The kind alone: the value may be a secret."""
        return f"Identity({self.kind!r}, ...)"


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
    one bucket for everyone who sends none. So is any other type, which is logged. A tuple is one
    identity if all of its parts are.

    Args:
        value: An id, an `Identity`, or None.
        kind: The kind of a bare id.
        source: Whose value it is, named in the log. The value itself never is.
    """
    if value is None or isinstance(value, Identity):
        return value
    if isinstance(value, tuple):
        parts = [identity_of(part, kind, source=source) for part in value]
        known = [part for part in parts if part is not None]
        # A tuple is another kind than what its parts, put together, could spell.
        return Identity(f"{kind}()", _framed(known)) if known and len(known) == len(value) else None
    text = _text_of(value)
    if text is None:
        _refuse(value, source)
        return None
    return Identity(kind, text) if text.strip() else None


def _text_of(value: object) -> bytes | None:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        return None
    if isinstance(value, str):
        return encode(str.__str__(value))  # a subclass may show something else
    try:
        return str(value if isinstance(value, UUID) else int(value)).encode()
    except ValueError:  # more digits than Python writes
        return None


def _framed(parts: list[Identity]) -> bytes:
    fields = [field for part in parts for field in (part.kind.encode(), part.value)]
    return b"".join(len(field).to_bytes(8, "big") + field for field in fields)


def _refuse(value: object, source: object) -> None:
    if inspect.iscoroutine(value):
        value.close()
    warn_once(
        (name_of(source), type(value)),
        "%s returned a value of type %s as an identity; it must be str, bytes, int, UUID or a "
        "tuple of these. Such requests are limited by the next resolver or by their address.",
        name_of(source),
        type(value).__name__,
    )


_warned: set[Hashable] = set()


def warn_once(cause: Hashable, message: str, *args: object) -> None:
    """Log a warning to the operator, once per cause and process."""
    if cause not in _warned:
        _warned.add(cause)
        logger.warning(message, *args)


def name_of(source: object) -> str:
    """Name a callable for a message."""
    source = getattr(source, "dependency", source)
    return getattr(source, "__qualname__", type(source).__name__)
