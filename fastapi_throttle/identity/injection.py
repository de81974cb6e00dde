"""Dependencies of our own callables, declared by FastAPI's rules.

A callable whose ``__signature__`` names other dependencies has them resolved by FastAPI itself:
they run once per request, can be overridden in tests and show in the OpenAPI document.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import partial
from inspect import Parameter, Signature
from typing import Any

from fastapi import Depends, params
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from fastapi_throttle.identity.identity import name_of, warn_once

CONNECTION = "_connection"


def signature(dependencies: dict[str, "Callable[..., Any] | params.Depends"]) -> Signature:
    """Return the signature of a callable that takes the connection and *dependencies* by name."""
    connection = Parameter(CONNECTION, Parameter.KEYWORD_ONLY, annotation=HTTPConnection)
    # As a default, never as Annotated[..., Depends(...)]: equal Depends share one entry of
    # typing's cache, and an unrelated route would get our callable.
    others = [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=Any, default=_depends(dependency))
        for name, dependency in dependencies.items()
    ]
    return Signature([connection, *others])


def as_dependency(
    argument: str, value: object, *, is_resolver: bool = False
) -> "Callable[..., Any] | params.Depends":
    """Return *value* if FastAPI can resolve it; adapt ``lambda request: ...``.

    Args:
        argument: What it was given as, for messages.
        value: What was given.
        is_resolver: What an adapted callable raises is then logged, and it knows nobody.

    Raises:
        TypeError: It is neither callable nor ``Depends(...)``, or a bare security scheme, which
            gives whatever the caller sent.
    """
    if isinstance(value, params.Depends):
        if value.dependency is None:
            message = f"{argument} must name its dependency: Depends(get_user), got Depends()"
            raise TypeError(message)
        adapted = as_dependency(argument, value.dependency, is_resolver=is_resolver)
        if adapted is value.dependency:
            return value
        value = copy(value)
        object.__setattr__(value, "dependency", adapted)  # frozen since FastAPI 0.121
        return value
    if isinstance(value, SecurityBase):
        message = (
            f"{argument} must be a verified identity, got the bare scheme {type(value).__name__}: "
            "what the caller sent is not checked, so every invented value would be a new caller. "
            "Use api_key(scheme, verify=...)"
        )
        raise TypeError(message)
    if not callable(value):
        message = f"{argument} must be a FastAPI dependency, got {value!r}"
        raise TypeError(message)
    if inspect.isfunction(value) and value.__module__.startswith("fastapi_throttle."):
        message = f"{argument} must be a resolver, with parentheses: {value.__name__}(...)"
        raise TypeError(message)
    return _adapt(value, is_resolver=is_resolver)


def _depends(dependency: "Callable[..., Any] | params.Depends") -> params.Depends:
    if isinstance(dependency, params.Depends):
        return dependency
    marker: params.Depends = Depends(dependency)
    return marker


def _adapt(function: Callable[..., Any], *, is_resolver: bool) -> Callable[..., Any]:
    """Give the lone, unannotated parameter of a callable the connection.

    FastAPI would read ``lambda request: ...`` as a required query parameter named request.

    Raises:
        TypeError: It takes a request and more, or is a generator: FastAPI needs the annotation.
    """
    parameters = _parameters(function)
    unknown = [each for each in parameters if each.annotation is each.default is Parameter.empty]
    if not unknown or getattr(function, "__signature__", None) is not None:
        return function
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if len(parameters) == 1 and unknown[0].kind not in _VARIADIC and not is_generator:
        call = getattr(function, "__call__", function)  # noqa: B004 - an instance may be async
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
        adapted = _AdaptedAsync if is_async else _Adapted
        return adapted(function, unknown[0], is_resolver=is_resolver)
    if unknown[0].name in _REQUESTS:
        message = (
            f"the parameter {unknown[0].name} of {name_of(function)} must be annotated, as in "
            f"{unknown[0].name}: Request; FastAPI would read it from the query"
        )
        raise TypeError(message)
    return function


_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_REQUESTS = ("request", "req", "connection", "conn", "websocket", "ws")


class _Adapted:
    """A callable of the connection as FastAPI reads it.

    It equals the original, so that overrides of that reach it.
    """

    def __init__(
        self, original: Callable[..., Any], parameter: Parameter, *, is_resolver: bool
    ) -> None:
        self.original = original
        self.__qualname__ = name_of(original)
        self.__signature__ = Signature(
            [Parameter("connection", Parameter.KEYWORD_ONLY, annotation=HTTPConnection)]
        )
        self._keyword = parameter.name if parameter.kind is Parameter.KEYWORD_ONLY else None
        self._guard = partial(caught, original) if is_resolver else nullcontext

    def __eq__(self, other: object) -> bool:
        return self.original == (other.original if isinstance(other, _Adapted) else other)

    def __hash__(self) -> int:
        return hash(self.original)

    def __call__(self, connection: HTTPConnection) -> Any:
        with self._guard():
            return self._call(connection)

    def _call(self, connection: HTTPConnection) -> Any:
        if self._keyword:
            return self.original(**{self._keyword: connection})
        return self.original(connection)


class _AdaptedAsync(_Adapted):
    """The same for one that is awaited."""

    async def __call__(self, connection: HTTPConnection) -> Any:
        with self._guard():
            return await self._call(connection)


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    if isinstance(function, type):
        return []
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:  # a built-in
        return []


@contextmanager
def caught(function: object) -> Iterator[None]:
    """Log what *function* raises, by its type alone: the message may quote a key."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the application's code
        warn_once(
            (name_of(function), type(error)),
            "%s raised %s; such requests are limited by the next resolver or by their address.",
            name_of(function),
            type(error).__name__,
        )
