"""Limits in the OpenAPI document: what a client must expect of an operation."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from fastapi_throttle.web.fields import (
    LEGACY_LIMIT,
    LEGACY_REMAINING,
    LEGACY_RESET,
    POLICY,
    STATE,
)
from fastapi_throttle.web.problem import describe_body
from fastapi_throttle.web.routes import RouteTable

Describe = Callable[[tuple[object, ...]], list[dict[str, Any]]]

_RETRY_AFTER = {
    "description": "Seconds to wait; absent when the request can never be admitted.",
    "schema": {"type": "integer", "minimum": 1},
}
_FIELDS = {
    POLICY: ("The limits that were checked.", "string"),
    STATE: ("What is left of them.", "string"),
    LEGACY_LIMIT: ("The limit with the least remaining.", "integer"),
    LEGACY_REMAINING: ("What is left of it.", "integer"),
    LEGACY_RESET: ("When nothing of it is used any more.", "integer"),
}


def install_openapi(
    app: FastAPI,
    table: Callable[[], RouteTable],
    describe: Describe,
    *,
    fields: Sequence[str],
    problem_details: bool,
) -> None:
    """Let the document of *app* show its limits.

    Args:
        app: An app; again when it has replaced its ``openapi`` meanwhile.
        table: Returns the routes as they are when the document is made.
        describe: Returns the policies that the calls of a route's dependencies check.
        fields: The names of the fields that refusals carry.
        problem_details: Whether the body of refusals is a problem.
    """
    original = app.openapi
    if getattr(original, "shows_limits", False):
        return
    documents: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        document = original()
        # FastAPI keeps the document until a route is added.
        if not documents or documents[0] is not document:
            documents[:] = [document]
            refused = _too_many_requests(app, fields, problem_details=problem_details)
            for operation, policies in _limited(document, table(), app, describe):
                operation.setdefault("x-ratelimit", policies)
                operation.setdefault("responses", {}).setdefault("429", deepcopy(refused))
        return document

    openapi.shows_limits = True  # type: ignore[attr-defined]
    app.openapi = openapi  # type: ignore[method-assign]


def _too_many_requests(
    app: FastAPI, fields: Sequence[str], *, problem_details: bool
) -> dict[str, Any]:
    headers: dict[str, Any] = {"Retry-After": _RETRY_AFTER}
    for name in fields:
        description, kind = _FIELDS[name]
        headers[name] = {"description": description, "schema": {"type": kind}}
    content = describe_body(app, problem_details=problem_details)
    response = {"description": "Too Many Requests", "headers": headers}
    return {**response, "content": content} if content else response


def _limited(
    document: dict[str, Any], table: RouteTable, app: FastAPI, describe: Describe
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each limited operation of the document with its policies."""
    for path, methods, calls in table.declared_in(app):
        policies = describe(calls)
        for method in methods if policies else ():
            operation = document.get("paths", {}).get(path, {}).get(method.lower())
            if operation is not None:
                yield operation, policies
