"""The authenticated user as an identity."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import params
from starlette.requests import HTTPConnection

from fastapi_throttle.identity.identity import Identity, identity_of
from fastapi_throttle.identity.injection import as_dependency, caught, signature

KIND = "user"
_ATTRIBUTES = ("id", "sub", "username", "identity")
_BARE = (str, bytes, int, UUID, tuple)


class AuthenticatedUser:
    """The user that Starlette's AuthenticationMiddleware left in the scope."""

    connection_only = True

    async def __call__(self, connection: HTTPConnection) -> Identity | None:
        """See `identify`."""
        return self.identify(connection)

    def identify(self, connection: HTTPConnection) -> Identity | None:
        """Return the user's identity when authenticated."""
        user = connection.scope.get("user")
        # A method of that name, not called, would be true of everybody.
        if user is None or _read(user, "is_authenticated") is not True:
            return None
        return identity_of(user_id(user), KIND, source=type(user))


class Principal:
    """The user that a dependency of the application returns."""

    def __init__(self, dependency: "Callable[..., Any] | params.Depends", by: str | None) -> None:
        self.__signature__ = signature(
            {"user": as_dependency("dependency", dependency, is_resolver=True)}
        )
        self._source = dependency
        self._by = by

    async def __call__(self, **injected: Any) -> Identity | None:
        """Return the identity of the user that FastAPI resolved."""
        user = injected["user"]
        if user is None or isinstance(user, Identity):
            return user
        return identity_of(user_id(user, self._by), KIND, source=self._source)


def principal(
    dependency: "Callable[..., Any] | params.Depends | None" = None, *, by: str | None = None
) -> "Principal | AuthenticatedUser":
    """Make a resolver of the authenticated user.

    Args:
        dependency: Any FastAPI dependency that returns the user, or None for nobody. It runs
            once per request, also when the endpoint depends on it. Without it: Starlette's
            ``request.user``, when authenticated.
        by: The attribute or mapping key that holds the user's id. Default: the first of id, sub,
            username, identity that is there; a str, bytes, int or UUID is an id itself.

    Raises:
        TypeError: *dependency* is not a FastAPI dependency, or a bare security scheme.
    """
    if dependency is None:
        return AuthenticatedUser()
    return Principal(dependency, by)


def user_id(user: object, by: str | None = None) -> object:
    """Read the id off a user; None when it has none, the user itself when it could have none."""
    if by is not None:
        return _read(user, by)
    if isinstance(user, _BARE):
        return user
    for name in _ATTRIBUTES:
        value = _read(user, name)
        if value is not None:
            return value
    return None if isinstance(user, Mapping) or any(map(partial(_has, user), _ATTRIBUTES)) else user


def _read(user: object, name: str) -> object:
    with caught(type(user)):
        return user.get(name) if isinstance(user, Mapping) else getattr(user, name, None)
    return None


def _has(user: object, name: str) -> bool:
    # Without asking a property, which may raise.
    return hasattr(type(user), name) or name in getattr(user, "__dict__", ())
