"""Several quotas decided together: all of them are charged, or none."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import Quota


class Algorithm(Protocol):
    """What a module in this package provides. A state of None means: nothing is used."""

    CODE: str
    """Names the algorithm in the script's arguments and in storage keys."""

    def parameters(self, quota: Quota, /) -> tuple[int, int]:
        """Return the two integers the script counts this quota with."""

    def decide(
        self, state: Any, quota: Quota, cost: int, now: int, /, *, charge: bool
    ) -> tuple[Verdict, Any]:
        """Decide a claim that stands alone.

        What lies in the future counts as having happened now: the clock stepped back. Else a
        caller would be locked out until the clock is there again.

        Args:
            state: What is stored.
            quota: The rule.
            cost: What is asked.
            now: Microseconds since the Unix epoch.
            charge: Use what fits; otherwise only tell.

        Returns:
            The verdict, and the state to store: the very object that came in where there is
            nothing to write. Not charged, that is what a clock step moved; a cost of 0 writes
            nothing.
        """

    def give_back(self, state: Any, quota: Quota, cost: int, at: int, now: int, /) -> Any:
        """Return the state without *cost* (at least 1) that was used at *at* or later.

        Nobody is admitted earlier than if it had never been used. What it held up may be admitted
        later than that by as much as lies between *at* and *now*, for then it was in use. Where the
        clock stepped back meanwhile nothing changes.
        """

    def over_at(self, state: Any, window_us: int, /) -> int:
        """Return when nothing of *state*, which is not None, is used any more."""

    def before(self, verdict: Verdict, quota: Quota, units: int, /) -> Verdict:
        """Return what an admitting *verdict* was before *units* more were used at its instant."""


class Claim(NamedTuple):
    """One quota's share of a call: its stored state and what is asked of it."""

    algorithm: Algorithm
    state: Any
    quota: Quota
    cost: int


def decide(
    claims: Sequence[Claim], now: int, *, peek: bool = False
) -> tuple[tuple[Verdict, ...], tuple[Any, ...]]:
    """Decide *claims* at *now*, all or nothing.

    Args:
        claims: What is asked of each quota.
        now: Microseconds since the Unix epoch.
        peek: Only tell what would be decided.

    Returns:
        A verdict per claim, and the state to store per claim: the very object that came in where
        there is nothing to write. A refusal writes only what a clock step moved; a peek and a
        cost of 0 write nothing.
    """
    tried = _decide_each(claims, now, charge=not peek)
    refusals = [verdict for verdict, _ in tried if verdict.wait_us]
    if refusals and len(claims) > 1 and not peek:
        # One refuses, so none is charged: each says what it would say to a claim of its own.
        tried = _decide_each(claims, now, charge=False)
    verdicts, states = zip(*tried, strict=True)
    return verdicts, tuple([claim.state for claim in claims]) if peek else states


def give_back(claims: Sequence[Claim], at: int, now: int) -> tuple[Any, ...]:
    """Take *claims*, which were charged at *at* or later, out of their states.

    Args:
        claims: What was charged.
        at: Microseconds since the Unix epoch, not later than *now*.
        now: The same.

    Returns:
        The state to store per claim: the very object that came in where there is nothing to
        write, as where the clock stepped back meanwhile.
    """
    return tuple(_without(claim, at, now) for claim in claims)


def _decide_each(claims: Sequence[Claim], now: int, *, charge: bool) -> list[tuple[Verdict, Any]]:
    return [
        algorithm.decide(state, quota, cost, now, charge=charge)
        for algorithm, state, quota, cost in claims
    ]


def _without(claim: Claim, at: int, now: int) -> Any:
    algorithm, state, quota, cost = claim
    if state is None or not cost or at > now:
        return state
    return algorithm.give_back(state, quota, cost, at, now)
