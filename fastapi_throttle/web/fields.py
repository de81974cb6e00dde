"""The response fields RateLimit and RateLimit-Policy.

Source: draft-ietf-httpapi-ratelimit-headers-10; syntax of structured fields: RFC 9651.
This file is the dialect: what moves in the draft moves here.
"""

import math
from collections.abc import Iterable, Iterator

from fastapi_throttle.model import Decision, Quota, QuotaState

POLICY = "RateLimit-Policy"
STATE = "RateLimit"


def rate_limit_fields(decisions: Iterable[Decision]) -> dict[str, str]:
    """Return the fields that tell a client about *decisions*; none where none was counted.

    Both fields list the same names in the same order, one item per window.
    """
    policies, states = [], []
    for name, quota, state in _items(decisions):
        policies.append(f'"{name}";q={quota.limit};w={math.ceil(quota.window)}')
        more = math.ceil(state.more_after)
        states.append(f'"{name}";r={state.remaining}' + (f";t={more}" if more else ""))
    if not policies:
        return {}
    return {POLICY: ", ".join(policies), STATE: ", ".join(states)}


def _items(decisions: Iterable[Decision]) -> Iterator[tuple[str, Quota, QuotaState]]:
    """Pair each window with its name; a name that was taken gets a number."""
    taken: dict[str, int] = {}
    for decision in decisions:
        policy = decision.policy
        for label, quota, state in zip(
            policy.labels, policy.quotas, decision.quotas, strict=bool(decision.quotas)
        ):
            taken[label] = taken.get(label, 0) + 1
            name = label if taken[label] == 1 else f"{label}-{taken[label]}"
            yield name, quota, state


def retry_after_field(decision: Decision) -> str | None:
    """Return Retry-After: whole seconds, at least 1, never too early; None when never.

    Source: RFC 9110 section 10.2.3.
    """
    if decision.retry_after is None:
        return None
    return str(max(1, math.ceil(decision.retry_after)))
