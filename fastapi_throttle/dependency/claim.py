"""What a request asks of a limit, and asking for it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from fastapi_throttle.decision import Decision
from fastapi_throttle.dependency.buckets import Bucket
from fastapi_throttle.dependency.runtime import Runtime
from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.identity import Identity
from fastapi_throttle.model import FailureMode, Hit, Policy
from fastapi_throttle.notation import shown
from fastapi_throttle.resilience import Budget
from fastapi_throttle.web import RequestLedger


class Claim(NamedTuple):
    """*cost* quota units of *policy* for *identity*, counted in *bucket*.

    Without the store, *failure_mode* decides; None: the setting does.
    """

    bucket: Bucket
    policy: Policy
    identity: Identity
    cost: int
    failure_mode: FailureMode | None

    def hit(self, runtime: Runtime) -> Hit:
        """Return the claim as backends take it."""
        return runtime.hit(self.bucket, self.policy, self.identity, self.cost)


async def hit(ledger: RequestLedger, *claims: Claim) -> tuple[Decision, ...]:
    """Decide *claims* together, all or nothing, and note the decisions for the fields."""
    decided = await _decided(ledger, claims, ledger.budget_of_call())
    return _noted(ledger.record, claims, decided)


async def hit_once(ledger: RequestLedger, *claims: Claim) -> tuple[Decision, ...]:
    """Like `hit`, but what the request was counted for already stands.

    All that a request is counted for by its dependencies shares one budget.
    """
    entries = ledger.entries
    new = [claim for claim in claims if not ledger.is_counted(claim.bucket)] if entries else claims
    if new:
        _noted(ledger.count, new, await _decided(ledger, new, ledger.budget))
    return tuple([entries[claim.bucket].counted for claim in claims])


async def peek(ledger: RequestLedger, claim: Claim) -> Decision:
    """Tell what `hit` would decide; nothing is noted."""
    if not claim.policy.quotas:
        return Decision.unlimited(claim.policy)
    runtime: Runtime = ledger.runtime
    hits, modes = (claim.hit(runtime),), (claim.failure_mode,)
    return (await runtime.decider.peek(hits, modes, ledger.budget_of_call()))[0]


async def reset(ledger: RequestLedger, claim: Claim) -> None:
    """Forget what was used."""
    runtime: Runtime = ledger.runtime
    if claim.policy.quotas:
        await runtime.decider.reset((claim.hit(runtime),), ledger.budget_of_call())
        ledger.forget(claim.bucket, claim.identity)


def _decided(
    ledger: RequestLedger, claims: Sequence[Claim], budget: Budget
) -> Awaitable[tuple[Decision, ...]]:
    """Have those of *claims* decided that are limited."""
    runtime: Runtime = ledger.runtime
    hits: list[Hit] = []
    modes: list[FailureMode | None] = []
    for claim in claims:
        if claim.policy.quotas:
            hits.append(claim.hit(runtime))
            modes.append(claim.failure_mode)
    return runtime.decider.hit(hits, modes, budget)


def _noted(
    note: Callable[[Bucket, Identity, Decision], object],
    claims: Sequence[Claim],
    decided: Sequence[Decision],
) -> tuple[Decision, ...]:
    """Return the decisions on *claims*, of which *note* takes note."""
    limited = iter(decided)
    decisions: list[Decision] = []
    for claim in claims:
        policy = claim.policy
        decision = next(limited) if policy.quotas else Decision.unlimited(policy)
        note(claim.bucket, claim.identity, decision)
        decisions.append(decision)
    return tuple(decisions)


def checked_cost(cost: object, source: str) -> int:
    """Return *cost* if it is a number of quota units.

    Raises:
        ConfigurationError: It is not an int of at least 0; the message names *source*.
    """
    if isinstance(cost, bool) or not isinstance(cost, int) or cost < 0:
        message = f"{source} must be an int of at least 0 quota units, got {shown(cost)}"
        raise ConfigurationError(message)
    return cost
