"""Who pays: resolvers that turn a request into a partition key, and the digest that stores it."""

from fastapi_throttle.identity.api_key import api_key
from fastapi_throttle.identity.client_ip import AddressRules, client_ip
from fastapi_throttle.identity.digest import Digest
from fastapi_throttle.identity.email import email
from fastapi_throttle.identity.identity import Identity, identity_of, is_connection_only
from fastapi_throttle.identity.principal import principal
from fastapi_throttle.identity.resolvers import everyone, first_of
from fastapi_throttle.identity.text import parse_identity

__all__ = [
    "AddressRules",
    "Digest",
    "Identity",
    "api_key",
    "client_ip",
    "email",
    "everyone",
    "first_of",
    "identity_of",
    "is_connection_only",
    "parse_identity",
    "principal",
]
