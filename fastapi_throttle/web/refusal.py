"""What a refused caller gets. Ordinary `HTTPException`s: an application's own handler works."""

from fastapi import HTTPException
from starlette import status

from fastapi_throttle.model import Decision, format_window
from fastapi_throttle.web.fields import rate_limit_fields, retry_after_field


class RateLimitExceeded(HTTPException):
    """Raised by the dependency when a limit refuses a request.

    Attributes:
        decision: What was decided.
    """

    def __init__(self, decision: Decision) -> None:
        super().__init__(status.HTTP_429_TOO_MANY_REQUESTS, _detail(decision), _fields(decision))
        self.decision = decision


class RateLimitUnavailable(HTTPException):
    """Raised by the dependency when the store cannot answer and the limit must not be passed.

    Attributes:
        decision: A degraded decision: it tells when to come back, not what is left.
    """

    def __init__(self, decision: Decision) -> None:
        detail = "The rate limit cannot be checked at the moment."
        super().__init__(status.HTTP_503_SERVICE_UNAVAILABLE, detail, _fields(decision))
        self.decision = decision


def refusal_of(decision: Decision) -> RateLimitExceeded | RateLimitUnavailable:
    """Return what to raise for a decision that does not allow."""
    return RateLimitUnavailable(decision) if decision.degraded else RateLimitExceeded(decision)


def _fields(decision: Decision) -> dict[str, str]:
    fields = {"Cache-Control": "no-store", **rate_limit_fields([decision])}
    retry_after = retry_after_field(decision)
    return fields if retry_after is None else {**fields, "Retry-After": retry_after}


def _detail(decision: Decision) -> str:
    wait = retry_after_field(decision)
    rule = f"{decision.limit} per {format_window(round(decision.window * 1_000_000))}"
    if wait is None:
        return f"Rate limit exceeded: {rule}. This request costs more than the limit ever allows."
    return f"Rate limit exceeded: {rule}. Try again in {wait} second{'s' if wait != '1' else ''}."
