"""What tests want to know of a response."""

import re
from typing import Any


def assert_throttled(
    response: Any, *, policy: str | None = None, retry_after: int | None = None
) -> None:
    """Fail unless a limit refused the request.

    Args:
        response: Of httpx, of Starlette's TestClient or of requests.
        policy: The name of the policy that refused, as in the RateLimit field: ``"search"``,
            ``"100-per-1m"``. Where it has several windows, with or without one: ``"search-1h"``.
        retry_after: The seconds that Retry-After must ask for.

    Raises:
        AssertionError: It was answered, refused for another reason, by another policy, or with
            another wait.
    """
    status = response.status_code
    if status != _TOO_MANY:
        message = f"the response must be 429, got {status}"
        raise AssertionError(message)
    if policy is not None:
        refused_by = _refused_by(response)
        if not any(_is_of(policy, name) for name in refused_by):
            message = f"the policy {policy!r} must have refused, got {refused_by}"
            raise AssertionError(message)
    if retry_after is not None:
        wait = response.headers.get("retry-after")
        if wait != str(retry_after):
            message = f"Retry-After must be {retry_after}, got {wait}"
            raise AssertionError(message)


_TOO_MANY = 429
_PROBLEM = "application/problem+json"
_STATE = re.compile(r'"([^"]+)";r=(\d+)')
_WINDOW = re.compile(r"-\d+(\.\d+)?[smhd]")


def _refused_by(response: Any) -> list[str]:
    """Return the names of what refused: as the body says, else what has nothing left."""
    if response.headers.get("content-type", "").startswith(_PROBLEM):
        return [str(name) for name in response.json().get("violated-policies", ())]
    states = _STATE.findall(response.headers.get("ratelimit", ""))
    return [name for name, remaining in states if remaining == "0"]


def _is_of(policy: str, name: str) -> bool:
    return name == policy or (
        name.startswith(policy) and _WINDOW.fullmatch(name, len(policy)) is not None
    )
