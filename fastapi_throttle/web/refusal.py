"""What a refused caller gets. Ordinary `HTTPException`s: an application's own handler works."""

from collections.abc import Sequence
from functools import cached_property
from math import inf

from fastapi import HTTPException, WebSocketException
from starlette import status
from starlette.types import Scope

from fastapi_throttle.decision import Decision
from fastapi_throttle.model import SECOND_US, format_window
from fastapi_throttle.web.fields import rate_limit_fields, retry_after_field

_DENIAL = "websocket.http.response"


class Refusal(HTTPException):
    """What both kinds of refusals have in common.

    Args:
        decisions: All that were made together; at least one refuses.
    """

    status_code: int

    def __init__(self, *decisions: Decision) -> None:
        self.decisions = decisions
        self.decision = longest(decisions)
        self._retry_after = retry_after_field(self.decision)
        super().__init__(self.status_code, self._say())
        # They are written when somebody asks for them: the ASGI layer writes its own.
        del self.headers

    @cached_property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        """The header fields of the response, without those of the ASGI layer."""
        return {**self.waiting(), **rate_limit_fields(self.decisions)}

    def waiting(self) -> dict[str, str]:
        """Return the header fields that say when to try again."""
        fields = {"Cache-Control": "no-store"}
        if self._retry_after is not None:
            fields["Retry-After"] = self._retry_after
        return fields

    def _say(self) -> str:
        raise NotImplementedError


class RateLimitExceeded(Refusal):
    """Raised by the dependency when a limit refuses a request.

    Args:
        decisions: All that were made together; at least one refuses.

    Attributes:
        decision: The one that refuses longest.
        decisions: All of them.
    """

    status_code = status.HTTP_429_TOO_MANY_REQUESTS

    def _say(self) -> str:
        window_us = round(self.decision.window * SECOND_US)
        rule = f"{self.decision.limit} per {format_window(window_us)}"
        wait = self._retry_after
        if wait is None:
            return (
                f"Rate limit exceeded: {rule}. This request costs more than the limit ever allows."
            )
        return (
            f"Rate limit exceeded: {rule}. Try again in {wait} second{'s' if wait != '1' else ''}."
        )


class RateLimitUnavailable(Refusal):
    """Raised by the dependency when the store cannot answer and the limit must not be passed.

    Args:
        decisions: All that were to be made together; all are degraded.

    Attributes:
        decision: A degraded decision: it tells when to try again, not what is left.
        decisions: All of them.
    """

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE

    def _say(self) -> str:
        return "The rate limit cannot be checked at the moment."


def refusal_of(
    decisions: Sequence[Decision], scope: Scope
) -> RateLimitExceeded | RateLimitUnavailable | WebSocketException:
    """Return what to raise for decisions that were made together and do not allow.

    A WebSocket handshake is refused like a request where the server can send a response, and
    closed before it is accepted where it cannot.
    """
    is_unavailable = RateLimitUnavailable.status_code in map(status_of, decisions)
    refusal = (RateLimitUnavailable if is_unavailable else RateLimitExceeded)(*decisions)
    if scope["type"] == "websocket" and _DENIAL not in scope.get("extensions", {}):
        return WebSocketException(status.WS_1008_POLICY_VIOLATION, refusal.detail)
    return refusal


def status_of(refusal: Decision) -> int:
    """Return the status of a response that tells of *refusal*."""
    kind = RateLimitUnavailable if refusal.failure_mode == "closed" else RateLimitExceeded
    return kind.status_code


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
