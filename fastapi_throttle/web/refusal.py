"""What a refused caller gets. Ordinary `HTTPException`s: an application's own handler works."""

from collections.abc import Sequence
from math import inf

from fastapi import HTTPException, WebSocketException
from starlette import status
from starlette.types import Scope

from fastapi_throttle.decision import Decision
from fastapi_throttle.model import format_window
from fastapi_throttle.web.fields import rate_limit_fields, retry_after_field

_DENIAL = "websocket.http.response"
_TOO_MANY = status.HTTP_429_TOO_MANY_REQUESTS
_UNAVAILABLE = status.HTTP_503_SERVICE_UNAVAILABLE


class RateLimitExceeded(HTTPException):
    """Raised by the dependency when a limit refuses a request.

    Args:
        decisions: All that were made together; at least one refuses.

    Attributes:
        decision: The one that refuses longest.
        decisions: All of them.
    """

    def __init__(self, *decisions: Decision) -> None:
        self.decisions = decisions
        self.decision = longest(decisions)
        detail = _detail(self.decision)
        super().__init__(_TOO_MANY, detail, _fields(self.decision, decisions))


class RateLimitUnavailable(HTTPException):
    """Raised by the dependency when the store cannot answer and the limit must not be passed.

    Args:
        decisions: All that were to be made together; all are degraded.

    Attributes:
        decision: A degraded decision: it tells when to try again, not what is left.
        decisions: All of them.
    """

    def __init__(self, *decisions: Decision) -> None:
        self.decisions = decisions
        self.decision = longest(decisions)
        detail = "The rate limit cannot be checked at the moment."
        super().__init__(_UNAVAILABLE, detail, _fields(self.decision, decisions))


def refusal_of(
    decisions: Sequence[Decision], scope: Scope
) -> RateLimitExceeded | RateLimitUnavailable | WebSocketException:
    """Return what to raise for decisions that were made together and do not allow.

    A WebSocket handshake is refused like a request where the server can send a response, and
    closed before it is accepted where it cannot.
    """
    if any(status_of(decision) == _UNAVAILABLE for decision in decisions):
        refusal: RateLimitExceeded | RateLimitUnavailable = RateLimitUnavailable(*decisions)
    else:
        refusal = RateLimitExceeded(*decisions)
    if scope["type"] == "websocket" and _DENIAL not in scope.get("extensions", {}):
        return WebSocketException(status.WS_1008_POLICY_VIOLATION, refusal.detail)
    return refusal


def status_of(refusal: Decision) -> int:
    """Return the status of a response that tells of *refusal*."""
    return _UNAVAILABLE if refusal.failure_mode == "closed" else _TOO_MANY


def longest(decisions: Sequence[Decision]) -> Decision:
    """Return the decision that refuses longest; never is longest of all."""
    refusals = [decision for decision in decisions if not decision.allowed]
    if not refusals:
        message = f"a refusal needs a decision that does not allow, got {decisions!r}"
        raise ValueError(message)
    if len(refusals) == 1:
        return refusals[0]
    return max(
        refusals,
        key=lambda decision: inf if decision.retry_after is None else decision.retry_after,
    )


def _fields(decision: Decision, decisions: Sequence[Decision]) -> dict[str, str]:
    fields = {"Cache-Control": "no-store", **rate_limit_fields(decisions)}
    retry_after = retry_after_field(decision)
    return fields if retry_after is None else {**fields, "Retry-After": retry_after}


def _detail(decision: Decision) -> str:
    wait = retry_after_field(decision)
    rule = f"{decision.limit} per {format_window(round(decision.window * 1_000_000))}"
    if wait is None:
        return f"Rate limit exceeded: {rule}. This request costs more than the limit ever allows."
    return f"Rate limit exceeded: {rule}. Try again in {wait} second{'s' if wait != '1' else ''}."
