"""Limits in the OpenAPI document: what a client must expect of an operation."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from fastapi_throttle.web.fields import POLICY, STATE
from fastapi_throttle.web.problem import MEDIA_TYPE, SCHEMA
from fastapi_throttle.web.routes import RouteTable

Describe = Callable[[tuple[object, ...]], list[dict[str, Any]]]

_TEXT = {"schema": {"type": "string"}}
_HEADERS = {
    "Retry-After": {
        "description": "Seconds to wait; absent when the request can never be admitted.",
        "schema": {"type": "integer", "minimum": 1},
    },
    POLICY: {"description": "The limits that were checked.", **_TEXT},
    STATE: {"description": "What is left of them.", **_TEXT},
}
_TOO_MANY_REQUESTS = {
    "description": "Too Many Requests",
    "headers": _HEADERS,
    "content": {MEDIA_TYPE: {"schema": SCHEMA}},
}


def install_openapi(app: FastAPI, table: Callable[[], RouteTable], describe: Describe) -> None:
    """Let the document of *app* show its limits.

    Args:
        app: An app; again when it has replaced its ``openapi`` meanwhile.
        table: Returns the routes as they are when the document is made.
        describe: Returns the policies that the calls of a route's dependencies check.
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
            _annotate(document, table(), app, describe)
        return document

    openapi.shows_limits = True  # type: ignore[attr-defined]
    app.openapi = openapi  # type: ignore[method-assign]


def _annotate(
    document: dict[str, Any], table: RouteTable, app: FastAPI, describe: Describe
) -> None:
    for path, methods, calls in table.declared_in(app):
        policies = describe(calls)
        for method in methods if policies else ():
            operation = document.get("paths", {}).get(path, {}).get(method.lower())
            if operation is not None:
                operation.setdefault("x-ratelimit", policies)
                operation.setdefault("responses", {}).setdefault("429", _TOO_MANY_REQUESTS)
