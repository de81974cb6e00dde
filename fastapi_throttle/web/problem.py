"""The body of a refusal: application/problem+json with the registered problem types.

Source: RFC 9457; types: draft-ietf-httpapi-ratelimit-headers-10, section 5.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.exception_handlers import http_exception_handler
from starlette import status
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fastapi_throttle.model import Decision
from fastapi_throttle.web.fields import item_names
from fastapi_throttle.web.ledger import ledger_of
from fastapi_throttle.web.refusal import RateLimitExceeded, RateLimitUnavailable

MEDIA_TYPE = "application/problem+json"
_TYPES = "https://iana.org/assignments/http-problem-types#"
_REFUSALS: dict[type[HTTPException], tuple[str, str]] = {
    RateLimitExceeded: ("quota-exceeded", "Quota Exceeded"),
    RateLimitUnavailable: ("temporary-reduced-capacity", "Temporary Reduced Capacity"),
}

SCHEMA: dict[str, Any] = {
    "title": "RateLimitProblem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "violated-policies"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "violated-policies": {"type": "array", "items": {"type": "string"}},
    },
}


def install_problem_details(app: FastAPI) -> None:
    """Answer refusals of *app* with problem details, unless it has a handler of its own."""
    handlers = app.exception_handlers
    for refusal, code in (
        (RateLimitExceeded, status.HTTP_429_TOO_MANY_REQUESTS),
        (RateLimitUnavailable, status.HTTP_503_SERVICE_UNAVAILABLE),
    ):
        if code not in handlers and not _has_own(handlers, HTTPException, StarletteHTTPException):
            handlers.setdefault(refusal, _respond)


def _has_own(handlers: dict[Any, Any], *exceptions: type[Exception]) -> bool:
    return any(
        handlers.get(exception, http_exception_handler) is not http_exception_handler
        for exception in exceptions
    )


async def _respond(request: Request, error: Any) -> Response:
    kind, title = next(_REFUSALS[each] for each in type(error).__mro__ if each in _REFUSALS)
    ledger = ledger_of(request)
    made = list(ledger.decisions.values()) if ledger else error.decisions
    body = {
        "type": _TYPES + kind,
        "title": title,
        "status": error.status_code,
        "detail": error.detail,
        "violated-policies": list(_violated(error.decisions, made)),
    }
    return JSONResponse(body, error.status_code, error.headers, MEDIA_TYPE)


def _violated(refused: Sequence[Decision], made: Sequence[Decision]) -> Iterator[str]:
    """Yield the violated policies by the names that the fields of this response give them."""
    names = {id(decision): names for decision, names in zip(made, item_names(made), strict=True)}
    for decision in refused:
        if decision.degraded:
            yield from decision.policy.labels
        labels = names.get(id(decision), decision.policy.labels)
        states = zip(labels, decision.quotas, strict=False)
        yield from (label for label, state in states if state.retry_after != 0.0)
