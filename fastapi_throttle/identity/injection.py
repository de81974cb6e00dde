"""Dependencies of our own callables, declared by FastAPI's rules.

A callable whose ``__signature__`` names other dependencies has them resolved by FastAPI itself:
they run once per request, can be overridden in tests and show in the OpenAPI document.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature
from typing import Any

from fastapi import Depends, params
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

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


def as_dependency(argument: str, value: object) -> "Callable[..., Any] | params.Depends":
    """Return *value* if FastAPI can resolve it; adapt ``lambda request: ...``.

    Raises:
        TypeError: It is neither callable nor ``Depends(...)``, or a bare security scheme, which
            gives whatever the caller sent.
    """
    if isinstance(value, params.Depends):
        if value.dependency is None:
            message = f"{argument} must name its dependency: Depends(get_user), got Depends()"
            raise TypeError(message)
        as_dependency(argument, value.dependency)
        return value
    if isinstance(value, SecurityBase):
        message = (
            f"{argument} must be a verified identity, got the bare scheme {type(value).__name__}: "
            "what the caller sent is not checked, so every invented value would be a new caller. "
            "Pass a dependency that looks it up"
        )
        raise TypeError(message)
    if not callable(value):
        message = f"{argument} must be a FastAPI dependency, got {value!r}"
        raise TypeError(message)
    return _adapt(value)


def _depends(dependency: "Callable[..., Any] | params.Depends") -> params.Depends:
    if isinstance(dependency, params.Depends):
        return dependency
    marker: params.Depends = Depends(dependency)
    return marker


def _adapt(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the lone, unannotated parameter of a function the connection.

    FastAPI would read ``lambda request: ...`` as a required query parameter named request.
    """
    if isinstance(function, type) or not inspect.isroutine(function):
        return function
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 1:
        return function
    lone = parameters[0]
    is_plain = lone.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    if not is_plain or lone.annotation is not Parameter.empty or lone.default is not lone.empty:
        return function

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def adapted(connection: HTTPConnection) -> Any:
            return await function(connection)
    else:

        @wraps(function)
        def adapted(connection: HTTPConnection) -> Any:
            return function(connection)

    takes = Parameter("connection", Parameter.POSITIONAL_OR_KEYWORD, annotation=HTTPConnection)
    adapted.__signature__ = Signature([takes])  # type: ignore[attr-defined]
    del adapted.__wrapped__  # it would lead back to the signature that misleads
    return adapted
