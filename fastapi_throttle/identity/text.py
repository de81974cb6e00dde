"""Identities written as text, for code that has no request: ``"user:42"``."""

from fastapi_throttle.identity.address import parse_address
from fastapi_throttle.identity.client_ip import AddressRules
from fastapi_throttle.identity.email import KIND as EMAIL
from fastapi_throttle.identity.email import normalized
from fastapi_throttle.identity.identity import PLAIN, Identity, encode
from fastapi_throttle.model import new_tuple

_KINDS = frozenset({"user", "api_key", "ip", "peer", EMAIL, "all"})


def parse_identity(text: str, rules: AddressRules) -> Identity:
    """Read an identity as the built-in resolvers would have made it.

    ``"ip:2001:db8::1"`` is the network that this address counts as. Text of no known kind is what
    a resolver of the application would have returned.

    Args:
        text: Kind, colon, id.
        rules: Tell what an address counts as.

    Raises:
        TypeError: *text* is not a str.
    """
    if not isinstance(text, str):
        message = f"key must be text such as 'user:42', got {text!r}"
        raise TypeError(message)
    kind, colon, value = text.partition(":")
    if not colon or kind not in _KINDS:
        return Identity(PLAIN, encode(text))
    if kind == "ip":
        address = parse_address(value.partition("/")[0])
        if address is not None:
            return rules.label(address)
    elif kind == EMAIL:
        value = normalized(value)
    return new_tuple(Identity, (kind, encode(value)))
