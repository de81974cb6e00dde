"""The response fields that tell a client about limits.

RateLimit and RateLimit-Policy: draft-ietf-httpapi-ratelimit-headers-10; the syntax of structured
fields: RFC 9651. This file is the dialect: what moves in the draft moves here.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from fastapi_throttle.clock import wall_clock
from fastapi_throttle.decision import Decision
from fastapi_throttle.model import SECOND_US, Policy

POLICY = "RateLimit-Policy"
STATE = "RateLimit"
LEGACY_LIMIT = "X-RateLimit-Limit"
LEGACY_REMAINING = "X-RateLimit-Remaining"
LEGACY_RESET = "X-RateLimit-Reset"

EXPOSE_HEADERS = (POLICY, STATE, "Retry-After", LEGACY_LIMIT, LEGACY_REMAINING, LEGACY_RESET)
"""What a browser must be allowed to read: ``CORSMiddleware(expose_headers=EXPOSE_HEADERS)``."""

RawHeaders = list[tuple[bytes, bytes]]
# What the windows of a decision are called.
Names = tuple[str, ...]
_WIRE_NAMES = {name: name.lower().encode() for name in EXPOSE_HEADERS}
_DRAFT = frozenset({_WIRE_NAMES[POLICY], _WIRE_NAMES[STATE]})

Dialect = Literal["draft", "legacy", "both", "none"]
LegacyReset = Literal["delta", "epoch"]


class Fields:
    """Writes the fields in the dialect of an app.

    Args:
        dialect: ``"draft"`` writes RateLimit and RateLimit-Policy, ``"legacy"`` X-RateLimit-*.
        legacy_reset: Whether X-RateLimit-Reset counts seconds from now, or from the Unix epoch.
    """

    def __init__(self, dialect: Dialect, legacy_reset: LegacyReset) -> None:
        self._is_draft = dialect in ("draft", "both")
        self._is_legacy = dialect in ("legacy", "both")
        self._legacy_reset = legacy_reset

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields that are written."""
        draft = (POLICY, STATE) if self._is_draft else ()
        legacy = (LEGACY_LIMIT, LEGACY_REMAINING, LEGACY_RESET) if self._is_legacy else ()
        return draft + legacy

    def written(self, headers: RawHeaders, decisions: Sequence[Decision]) -> RawHeaders:
        """Return *headers* with the fields, each once, whatever an exception put there."""
        fields = rate_limit_fields(decisions) if self._is_draft else {}
        written = _DRAFT
        if self._is_legacy:
            legacy = self._legacy_fields(decisions)
            written = written.union(map(_WIRE_NAMES.__getitem__, legacy))
            fields |= legacy
        kept = [field for field in headers if field[0].lower() not in written]
        for name, text in fields.items():
            kept.append((_WIRE_NAMES[name], text.encode()))
        return kept

    def _legacy_fields(self, decisions: Sequence[Decision]) -> dict[str, str]:
        """Show one window, since there is room for no more: the one with the least remaining."""
        states = [state for decision in decisions for state in decision.quotas]
        if not states:
            return {}
        tightest = min(states, key=lambda state: state.remaining)
        reset = math.ceil(tightest.reset_after)
        if self._legacy_reset == "epoch":
            reset = math.ceil(wall_clock() / SECOND_US + tightest.reset_after)
        return {
            LEGACY_LIMIT: str(tightest.limit),
            LEGACY_REMAINING: str(tightest.remaining),
            LEGACY_RESET: str(reset),
        }


def rate_limit_fields(decisions: Sequence[Decision]) -> dict[str, str]:
    """Return the fields that tell a client about *decisions*; none where none was counted.

    Both fields list the same names in the same order, one item per window.
    """
    policies, states = [], []
    for decision, names in named(decisions):
        if not names:
            continue
        policies.append(_policy_items(decision.policy, names))
        for name, verdict in zip(names, decision.verdicts, strict=True):
            # Whole seconds, rounded up.
            more = -(-verdict.more_us // SECOND_US)
            item = f'"{name}";r={verdict.remaining}'
            states.append(f"{item};t={more}" if more else item)
    if not policies:
        return {}
    return {POLICY: ", ".join(policies), STATE: ", ".join(states)}


@lru_cache(maxsize=4096)
def _policy_items(policy: Policy, names: Names) -> str:
    windows = [-(-quota.window_us // SECOND_US) for quota in policy.quotas]
    parts = zip(names, policy.quotas, windows, strict=True)
    return ", ".join(f'"{name}";q={quota.limit};w={window}' for name, quota, window in parts)


def named(decisions: Sequence[Decision]) -> list[tuple[Decision, Names]]:
    """Return each decision with what the fields call its windows; a taken name gets a number."""
    if len(decisions) == 1:
        return [(decisions[0], _labels(decisions[0]))]
    taken: set[str] = set()
    return [
        (each, tuple([_not_taken(label, taken) for label in _labels(each)])) for each in decisions
    ]


def _labels(decision: Decision) -> Names:
    # A decision without verdicts was not counted.
    return decision.policy.labels if decision.verdicts else ()


def _not_taken(label: str, taken: set[str]) -> str:
    name, number = label, 1
    while name in taken:
        number += 1
        name = f"{label}-{number}"
    taken.add(name)
    return name


def retry_after_field(decision: Decision) -> str | None:
    """Return Retry-After: whole seconds, at least 1, never too early; None when never.

    Source: RFC 9110 section 10.2.3.
    """
    if decision.retry_after is None:
        return None
    return str(max(1, math.ceil(decision.retry_after)))
