"""The body of a refusal: application/problem+json with the registered problem types.

Source: RFC 9457; types: draft-ietf-httpapi-ratelimit-headers-10, section 5.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.exception_handlers import http_exception_handler
from starlette import status
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fastapi_throttle.decision import Decision, Outage
from fastapi_throttle.model import Policy
from fastapi_throttle.web.fields import named
from fastapi_throttle.web.ledger import ledger_of
from fastapi_throttle.web.refusal import RateLimitExceeded, RateLimitUnavailable, Refusal

MEDIA_TYPE = "application/problem+json"
_TYPES = "https://iana.org/assignments/http-problem-types#"
_REFUSALS: dict[type[Refusal], tuple[str, str]] = {
    RateLimitExceeded: ("quota-exceeded", "Quota Exceeded"),
    RateLimitUnavailable: ("temporary-reduced-capacity", "Temporary Reduced Capacity"),
}

_PROBLEM: dict[str, Any] = {
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


# What FastAPI itself makes of an HTTPException.
_DETAIL: dict[str, Any] = {
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"type": "string"}},
}


def describe_body(app: FastAPI, *, problem_details: bool) -> dict[str, Any]:
    """Return the body of a 429 as OpenAPI has it; empty where *app* answers by its own handler."""
    code = status.HTTP_429_TOO_MANY_REQUESTS
    if _has_own_handler(app.exception_handlers, RateLimitExceeded, code):
        return {}
    if problem_details:
        return {MEDIA_TYPE: {"schema": _PROBLEM}}
    return {"application/json": {"schema": _DETAIL}}


def install_problem_details(app: FastAPI) -> None:
    """Answer refusals of *app* with problem details, unless it has a handler of its own."""
    handlers = app.exception_handlers
    for refusal, code in (
        (RateLimitExceeded, status.HTTP_429_TOO_MANY_REQUESTS),
        (RateLimitUnavailable, status.HTTP_503_SERVICE_UNAVAILABLE),
    ):
        if not _has_own_handler(handlers, refusal, code):
            handlers[refusal] = _respond


def _has_own_handler(handlers: dict[Any, Any], refusal: type[HTTPException], code: int) -> bool:
    usual = (_respond, http_exception_handler)
    keys = (code, refusal, HTTPException, StarletteHTTPException)
    return any(key in handlers and handlers[key] not in usual for key in keys)


async def _respond(request: Request, error: Any) -> Response:
    ledger = ledger_of(request)
    made = ledger.decisions if ledger else error.decisions
    violated = tuple(_violated(error.decisions, made))
    kind = RateLimitUnavailable if isinstance(error, RateLimitUnavailable) else RateLimitExceeded
    # What an app says instead may be anything that can be written, also what cannot be compared.
    body = (_known_body if type(error.detail) is str else _body)(
        kind, error.status_code, error.detail, violated
    )
    # The layer writes the RateLimit fields; but what somebody looked at may have been changed.
    is_written = ledger is not None and ledger.is_written
    headers = error.waiting() if is_written and "headers" not in vars(error) else error.headers
    return Response(body, error.status_code, headers, MEDIA_TYPE)


def _body(kind: type[Refusal], code: int, detail: Any, violated: tuple[str, ...]) -> bytes:
    name, title = _REFUSALS[kind]
    problem = {
        "type": _TYPES + name,
        "title": title,
        "status": code,
        "detail": detail,
        "violated-policies": violated,
    }
    return bytes(JSONResponse(problem).body)


# Who is refused mostly asks again within the second that the text speaks of.
_known_body = lru_cache(maxsize=1024)(_body)


def _violated(refused: Sequence[Decision], made: Sequence[Decision]) -> Iterator[str]:
    """Yield the violated policies by the names that the fields of this response give them."""
    names = {id(decision): names for decision, names in named(made)}
    for decision in refused:
        if decision.outage is not None:
            yield from _unanswered(decision.policy, decision.outage)
        labels = names.get(id(decision), decision.policy.labels)
        verdicts = zip(labels, decision.verdicts, strict=False)
        yield from (label for label, verdict in verdicts if verdict.wait_us)


def _unanswered(policy: Policy, outage: Outage) -> Iterator[str]:
    """Yield what a decision violates that stood in for the store's."""
    if outage.retry_after == 0.0:
        return
    # A local count speaks of the window that refused; what was not checked, of none.
    for label, quota in zip(policy.labels, policy.quotas, strict=True):
        if outage.failure_mode == "closed" or quota is outage.quota:
            yield label
