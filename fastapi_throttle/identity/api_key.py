"""A verified API key as an identity."""

import inspect
from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated, Any, get_args, get_origin

from fastapi import params
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic.fields import FieldInfo
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, cookie_parser

from fastapi_throttle.identity.identity import Identity, encode, identity_of, name_of
from fastapi_throttle.identity.injection import as_dependency, caught, signature
from fastapi_throttle.identity.principal import user_id

KIND = "api_key"
# In bytes. What is longer is no key that anybody issued.
LONGEST_KEY = 4 * 1024

Scheme = APIKeyHeader | APIKeyQuery | APIKeyCookie | HTTPBearer


class PresentedKey(SecurityBase):
    """The key that a caller presents, not verified yet; None where there is not exactly one.

    In the OpenAPI document it is the scheme it was made from. Unlike that, it works for
    WebSockets too, and never answers a missing key with an error.
    """

    def __init__(self, scheme: Scheme) -> None:
        self.model = scheme.model
        self.scheme_name = scheme.scheme_name
        self._scheme = scheme

    async def __call__(self, connection: HTTPConnection) -> str | None:
        """Return the key without the blanks around it."""
        keys = self._keys(connection)
        # Of two keys, the app's authentication may take the other one.
        key = keys[0].strip(" \t") if len(keys) == 1 else ""
        return key if 0 < len(encode(key)) <= LONGEST_KEY else None

    def _keys(self, connection: HTTPConnection) -> list[str]:
        scheme = self._scheme
        if isinstance(scheme, HTTPBearer):
            fields = [
                field.strip(" \t").partition(" ")
                for field in connection.headers.getlist("authorization")
            ]
            return [value if word.lower() == "bearer" else "" for word, _, value in fields]
        name: str = scheme.model.name
        if isinstance(scheme, APIKeyHeader):
            return connection.headers.getlist(name)
        if isinstance(scheme, APIKeyQuery):
            return connection.query_params.getlist(name)
        pairs = ";".join(connection.headers.getlist("cookie")).split(";")
        return [
            value for pair in pairs for known, value in cookie_parser(pair).items() if known == name
        ]


class ApiKey:
    """See `api_key`."""

    def __init__(self, scheme: Scheme, verify: "Callable[..., Any] | params.Depends") -> None:
        if not isinstance(scheme, Scheme):
            message = (
                "scheme must be an APIKeyHeader, APIKeyQuery, APIKeyCookie or HTTPBearer, "
                f"got {scheme!r}"
            )
            raise TypeError(message)
        dependencies: dict[str, Callable[..., Any] | params.Depends] = {"key": PresentedKey(scheme)}
        self._is_injected = _is_dependency(verify)
        if self._is_injected:
            dependencies["owner"] = as_dependency("verify", verify)
        self._verify: Any = verify
        self.__signature__ = signature(dependencies)

    async def __call__(self, **injected: Any) -> Identity | None:
        """Return the identity of the key's owner."""
        key: str | None = injected["key"]
        if key is None:
            return None
        owner = injected["owner"] if self._is_injected else await self._owner(key)
        if owner is True:
            return Identity(KIND, blake2b(encode(key)).digest())
        if owner is None or owner is False:
            return None
        return identity_of(user_id(owner), KIND, source=self._verify)

    async def _owner(self, key: str) -> object:
        with caught(self._verify):
            if inspect.iscoroutinefunction(self._verify):
                return await self._verify(key)
            owner = await run_in_threadpool(self._verify, key)
            return await owner if inspect.isawaitable(owner) else owner
        return None


def api_key(scheme: Scheme, *, verify: "Callable[..., Any] | params.Depends") -> ApiKey:
    """Make a resolver of a verified API key: only a key that somebody owns is an identity.

    A missing, blank, repeated, unknown or overlong key is nobody: the next resolver answers, so
    inventing keys buys nothing.

    Args:
        scheme: Where the key is: ``APIKeyHeader(name="X-API-Key")``, `APIKeyQuery`,
            `APIKeyCookie` or `HTTPBearer`. It shows in the OpenAPI document.
        verify: Takes the key and returns its owner (an id, or an object that has one), True when
            the key itself is the account, or None. Sync or async. Or a FastAPI dependency, which
            finds the key itself. An exception of a plain callable is logged by its type and
            counts as None.

    Raises:
        TypeError: *scheme* is none of these, or *verify* is not callable.
    """
    return ApiKey(scheme, verify)


def _is_dependency(verify: object) -> bool:
    """Tell a FastAPI dependency, whose parameters say where they come from, from ``verify(key)``.

    Raises:
        TypeError: It is neither, or a mixture of both.
    """
    if isinstance(verify, params.Depends):
        return True
    if not callable(verify):
        message = f"verify must be a callable of the key or a FastAPI dependency, got {verify!r}"
        raise TypeError(message)
    marked = [_is_marked(parameter) for parameter in _parameters(verify)]
    if any(marked) and not all(marked):
        message = (
            f"verify must take the key alone, or say of each parameter where it comes from, got "
            f"{name_of(verify)}: FastAPI would read the others from the query"
        )
        raise TypeError(message)
    return any(marked)


def _parameters(verify: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        # Annotations may be text: from __future__ import annotations.
        return list(inspect.signature(verify, eval_str=True).parameters.values())
    except ValueError:  # a built-in
        return []
    except NameError as error:
        message = (
            f"verify has annotations that cannot be read here ({error}), got {name_of(verify)}; "
            "write verify=Depends(...) if it is a FastAPI dependency"
        )
        raise TypeError(message) from None


def _is_marked(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    if isinstance(annotation, type) and issubclass(annotation, HTTPConnection):
        return True
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    hints = (parameter.default, *metadata)
    return any(isinstance(hint, params.Depends | FieldInfo) for hint in hints)
