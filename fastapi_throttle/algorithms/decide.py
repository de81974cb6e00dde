"""Several quotas decided together: all of them are charged, or none."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import Quota


class Algorithm(Protocol):
    """What a module in this package provides. A state of None means: nothing is used.

    All functions but *refresh* expect a state that was refreshed at the same *now*.
    """

    CODE: str
    """Names the algorithm in the script's arguments and in storage keys."""

    def parameters(self, quota: Quota, /) -> tuple[int, int]:
        """Return the two integers the script counts this quota with."""

    def refresh(self, state: Any, quota: Quota, now: int, /) -> tuple[Any, bool]:
        """Forget what is over, and take what lies in the future as having happened now.

        The future appears when the clock stepped back. Without this a caller would be locked
        out until the clock is there again.

        Returns:
            The state, and whether anything was taken out of the future.
        """

    def wait(self, state: Any, quota: Quota, cost: int, now: int, /) -> int:
        """Return 0 if *cost* (at least 1) fits, else the exact wait in us, or `NEVER`."""

    def charge(self, state: Any, quota: Quota, cost: int, now: int, /) -> Any:
        """Return the state with *cost* (at least 1) used at *now*."""

    def give_back(self, state: Any, quota: Quota, cost: int, at: int, now: int, /) -> Any:
        """Return the state without *cost* (at least 1) that was used at *at* or later.

        Nobody is admitted earlier than if it had never been used. What it held up may be admitted
        later than that by as much as lies between *at* and *now*, for then it was in use.
        """

    def remaining(self, state: Any, quota: Quota, now: int, /) -> int:
        """Return the units left, at least 0."""

    def reset(self, state: Any, quota: Quota, now: int, /) -> int:
        """Return the microseconds until nothing is used: also how long a state must live."""

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
    if len(claims) == 1:
        verdict, state = decide_one(claims[0], now, peek=peek)
        return (verdict,), (state,)
    tried = [decide_one(claim, now, peek=peek) for claim in claims]
    if peek or not any(verdict.wait_us for verdict, _ in tried):
        return tuple([verdict for verdict, _ in tried]), tuple([state for _, state in tried])
    # One refuses, so none is charged: each says what it would say to a claim of its own.
    told = [decide_one(claim, now, peek=True)[0] for claim in claims]
    moved = [_moved(claim, now) for claim in claims]
    return tuple(told), tuple(moved)


def decide_one(claim: Claim, now: int, *, peek: bool = False) -> tuple[Verdict, Any]:
    """Decide one claim that stands alone; see `decide`."""
    algorithm, stored, quota, cost = claim
    state, is_moved = algorithm.refresh(stored, quota, now)
    wait = algorithm.wait(state, quota, cost, now) if cost else 0
    if cost and not peek:
        if not wait:
            state = stored = algorithm.charge(state, quota, cost, now)
        elif is_moved:
            stored = state
    reset = algorithm.reset(state, quota, now)
    remaining = algorithm.remaining(state, quota, now)
    # What is full cannot hold one unit more; everything else can, after a wait.
    more = algorithm.wait(state, quota, remaining + 1, now) if reset else 0
    return Verdict(wait, remaining, more, reset), stored


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


def _moved(claim: Claim, now: int) -> Any:
    """Return the state to store after a refusal: what a clock step moved is written down."""
    state, is_moved = claim.algorithm.refresh(claim.state, claim.quota, now)
    return state if is_moved and claim.cost else claim.state


def _without(claim: Claim, at: int, now: int) -> Any:
    state, moved = claim.algorithm.refresh(claim.state, claim.quota, now)
    if moved or not claim.cost or at > now:
        return claim.state
    return claim.algorithm.give_back(state, claim.quota, claim.cost, at, now)
