"""Dependencies of our own callables, declared by FastAPI's rules.

A callable whose ``__signature__`` names other dependencies has them resolved by FastAPI itself:
they run once per request, can be overridden in tests and show in the OpenAPI document.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import partial, wraps
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
    """Give the lone, unannotated parameter of a function the connection.

    FastAPI would read ``lambda request: ...`` as a required query parameter named request.
    """
    if not _takes_the_request(function):
        return function
    guard = partial(caught, function) if is_resolver else nullcontext

    if inspect.iscoroutinefunction(function):

        @wraps(function, updated=())
        async def adapted(connection: HTTPConnection) -> Any:
            with guard():
                return await function(connection)
    else:

        @wraps(function, updated=())
        def adapted(connection: HTTPConnection) -> Any:
            with guard():
                return function(connection)

    takes = Parameter("connection", Parameter.POSITIONAL_OR_KEYWORD, annotation=HTTPConnection)
    adapted.__signature__ = Signature([takes])  # type: ignore[attr-defined]
    del adapted.__wrapped__  # it would lead back to the signature that misleads
    return adapted


def _takes_the_request(function: Callable[..., Any]) -> bool:
    if isinstance(function, type) or getattr(function, "__signature__", None) is not None:
        return False
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # a built-in
        return False
    if len(parameters) != 1:
        return False
    (lone,) = parameters
    is_positional = lone.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return is_positional and lone.annotation is lone.default is Parameter.empty


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
