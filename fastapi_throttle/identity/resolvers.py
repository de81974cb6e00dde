"""Resolvers made of resolvers, and the one that means everybody."""

from collections.abc import Callable
from typing import Any

from fastapi import params
from starlette.requests import HTTPConnection

from fastapi_throttle.identity.identity import Identity, identity_of, is_connection_only
from fastapi_throttle.identity.injection import as_dependency, signature

_EVERYONE = Identity("all", b"")


class Everyone:
    """See `everyone`."""

    connection_only = True

    async def __call__(self) -> Identity:
        """Return the one identity there is."""
        return _EVERYONE

    def identify(self, connection: HTTPConnection) -> Identity:  # noqa: ARG002 - see ConnectionResolver
        """See `__call__`."""
        return _EVERYONE


def everyone() -> Everyone:
    """Make a resolver that puts all callers into one partition: a limit of the service itself."""
    return Everyone()


class FirstOf:
    """See `first_of`."""

    def __init__(self, *resolvers: "Callable[..., Any] | params.Depends") -> None:
        if not resolvers:
            message = "first_of needs at least one resolver, got none"
            raise TypeError(message)
        self._resolvers = {
            f"resolver_{index}": as_dependency("first_of", resolver, is_resolver=True)
            for index, resolver in enumerate(resolvers)
        }
        self.__signature__ = signature(self._resolvers)
        self._by_connection = [each for each in resolvers if is_connection_only(each)]
        self.connection_only = len(self._by_connection) == len(resolvers)

    async def __call__(self, **injected: Any) -> Identity | None:
        """Return what the first resolver that knows the caller says."""
        for name, resolver in self._resolvers.items():
            identity = identity_of(injected[name], source=resolver)
            if identity is not None:
                return identity
        return None

    def identify(self, connection: HTTPConnection) -> Identity | None:
        """See `__call__`; only resolvers that need nothing but the connection are asked."""
        for resolver in self._by_connection:
            identity = resolver.identify(connection)
            if identity is not None:
                return identity
        return None


def first_of(*resolvers: "Callable[..., Any] | params.Depends") -> FirstOf:
    """Make a resolver that asks *resolvers* in order; the first that knows the caller decides.

    When none does, the caller's address pays.

    Raises:
        TypeError: There is none, or one is not a FastAPI dependency.
    """
    return FirstOf(*resolvers)
