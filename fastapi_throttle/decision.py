"""What was decided about a claim: what every layer above a backend speaks of.

Edges speak seconds, the inside integer microseconds: a name that ends in ``_us`` says so.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from fastapi_throttle.model import (
    MAX_LIMIT,
    NEVER,
    SECOND_US,
    FailureMode,
    Hit,
    Policy,
    Quota,
    new_tuple,
)


class Verdict(NamedTuple):
    """What one quota says about one claim, in the backends' integers.

    Attributes:
        wait_us: 0 when the quota admits the cost, else the microseconds until it would;
            `NEVER` when the cost exceeds what the quota can ever hold.
        remaining: Units left now, after the claim was charged if it was.
        more_us: Microseconds until at least one more unit is left; 0 when full.
        reset_us: Microseconds until the quota is full; 0 when it is.
    """

    wait_us: int
    remaining: int
    more_us: int
    reset_us: int

    @property
    def retry_after(self) -> float | None:
        """The wait in seconds; None when the cost can never fit."""
        return None if self.wait_us == NEVER else self.wait_us / SECOND_US


class QuotaState(NamedTuple):
    """One window of a decision. All times in seconds.

    Attributes:
        limit: The quota, in quota units.
        window: The window.
        remaining: Units left.
        retry_after: 0.0 when this window admitted the cost, else the wait until it would;
            None when the cost can never fit.
        reset_after: Until the quota is full.
        more_after: Until at least one more unit is left; 0.0 when full.
    """

    limit: int
    window: float
    remaining: int
    retry_after: float | None
    reset_after: float
    more_after: float


class Outage(NamedTuple):
    """What stood in for a store that could not answer.

    Attributes:
        failure_mode: The limit's.
        quota: The one to speak of.
        retry_after: Seconds; None when the cost can never fit.
    """

    failure_mode: FailureMode
    quota: Quota
    retry_after: float | None


class Decision(NamedTuple):
    """The outcome of one claim. All times in seconds.

    *limit*, *window*, *remaining* and *reset_after* speak of the window that binds: the one
    that refused longest, else the one with the least remaining.

    Attributes:
        allowed: Whether the cost was (for `peek`: would be) admitted.
        policy: The rule that was applied.
        verdicts: What each quota of *policy* said, in microseconds; empty when the store did not
            decide or nothing is limited. The other attributes are read off it.
        outage: None when the store decided.
        cached: Whether this process still knew the refusal and did not ask the store again.
    """

    # Made for every check, and mostly asked for a part of it: the rest is worked out when needed.
    allowed: bool
    policy: Policy
    verdicts: tuple[Verdict, ...] = ()
    outage: Outage | None = None
    cached: bool = False

    @classmethod
    def unlimited(cls, policy: Policy) -> "Decision":
        """Admit without counting. Limit and remaining are the largest limit there is."""
        return cls(allowed=True, policy=policy)

    @property
    def limit(self) -> int:
        """The binding quota, in quota units."""
        quota, _ = self._binding
        return quota.limit if quota else MAX_LIMIT

    @property
    def window(self) -> float:
        """The binding window."""
        quota, _ = self._binding
        return quota.window if quota else 0.0

    @property
    def remaining(self) -> int:
        """Units left of the binding quota; 0 when the store did not decide, whatever is left."""
        quota, verdict = self._binding
        if verdict is None:
            return 0 if quota else MAX_LIMIT
        return verdict.remaining

    @property
    def retry_after(self) -> float | None:
        """The wait after which a caller that comes back alone is admitted.

        0.0 when allowed, and where another claim of the same step was the reason for the refusal;
        None when the cost can never fit.
        """
        if self.outage:
            return self.outage.retry_after
        _, verdict = self._binding
        return 0.0 if verdict is None else verdict.retry_after

    @property
    def reset_after(self) -> float:
        """Until the binding quota is full."""
        _, verdict = self._binding
        return 0.0 if verdict is None else verdict.reset_us / SECOND_US

    @property
    def quotas(self) -> tuple[QuotaState, ...]:
        """One entry per window. Empty when the store did not decide or nothing is limited."""
        return tuple(map(_state, self.policy.quotas, self.verdicts))

    @property
    def mode(self) -> Literal["enforce"]:
        """How the decision is used; always ``"enforce"`` so far."""
        return "enforce"

    @property
    def failure_mode(self) -> FailureMode | None:
        """None when the store decided; else what stood in for it.

        ``"local"`` for this process's own count, ``"closed"`` and ``"open"`` for a refusal and an
        admission that nothing was counted for.
        """
        return self.outage.failure_mode if self.outage else None

    @property
    def degraded(self) -> bool:
        """Whether the store could not answer and did not decide."""
        return self.outage is not None

    @property
    def _binding(self) -> tuple[Quota | None, Verdict | None]:
        if self.outage:
            return self.outage.quota, None
        quotas, verdicts = self.policy.quotas, self.verdicts
        if len(verdicts) == 1:
            return quotas[0], verdicts[0]
        pairs = zip(quotas, verdicts, strict=False)  # none where nothing was counted
        return min(pairs, key=lambda pair: _order(pair[1]), default=(None, None))

    def __repr__(self) -> str:
        """Show what a reader asks for first."""
        shown = ("allowed", "limit", "window", "remaining", "retry_after", "cached", "failure_mode")
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"Decision(policy={self.policy.name!r}, {values})"


def decisions_of(hits: Sequence[Hit], verdicts: Sequence[Verdict]) -> tuple[Decision, ...]:
    """Hand *verdicts*, one per quota, back to the hits that stood or fell together."""
    if len(hits) == len(verdicts) == 1:
        fields = not verdicts[0].wait_us, hits[0].policy, tuple(verdicts), None, False
        return (new_tuple(Decision, fields),)
    admitted = True
    for verdict in verdicts:
        if verdict.wait_us:
            admitted = False
    if len(hits) == 1:
        return (Decision(admitted, hits[0].policy, tuple(verdicts)),)
    decisions = []
    start = 0
    for hit in hits:
        end = start + len(hit.keys)
        decisions.append(Decision(admitted, hit.policy, tuple(verdicts[start:end])))
        start = end
    return tuple(decisions)


def _state(quota: Quota, verdict: Verdict) -> QuotaState:
    return QuotaState(
        quota.limit,
        quota.window,
        verdict.remaining,
        verdict.retry_after,
        verdict.reset_us / SECOND_US,
        verdict.more_us / SECOND_US,
    )


def _order(verdict: Verdict) -> tuple[int, int, int]:
    """Sort the binding quota first: never, then the longest wait, then the least remaining."""
    never_first = 0 if verdict.wait_us == NEVER else 1
    return never_first, -verdict.wait_us, verdict.remaining
