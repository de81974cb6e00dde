"""Identities written as text, for code that has no request: ``"user:42"``."""

from fastapi_throttle.identity.address import address_identity, parse_address
from fastapi_throttle.identity.identity import PLAIN, Identity, encode

_KINDS = frozenset({"user", "api_key", "ip", "peer", "email", "all"})


def parse_identity(text: str) -> Identity:
    """Read an identity as the built-in resolvers would have made it.

    ``"ip:2001:db8::1"`` is the network that this address counts as. Text of no known kind is what
    a resolver of the application would have returned.

    Raises:
        TypeError: It is not a str.
    """
    if not isinstance(text, str):
        message = f"key must be text such as 'user:42', got {text!r}"
        raise TypeError(message)
    kind, colon, value = text.partition(":")
    if not colon or kind not in _KINDS:
        return Identity(PLAIN, encode(text))
    address = parse_address(value.partition("/")[0]) if kind == "ip" else None
    return Identity(kind, encode(value)) if address is None else address_identity(address)
