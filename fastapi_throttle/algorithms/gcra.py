"""Generic cell rate algorithm: smooth, one integer per partition.

The state is the theoretical arrival time: when everything used so far is paid back, at one unit
per emission interval. In any span of time at most ``burst + span / interval`` units are admitted,
so a trailing window may hold up to ``burst + limit``. The interval is rounded up to whole
microseconds, which can only make the rate lower. Source: ITU-T I.371, annex A.
"""

from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import NEVER, Quota, new_tuple

CODE = "g"


def parameters(quota: Quota) -> tuple[int, int]:
    """Return the emission interval and the time it takes to pay a whole burst back."""
    interval = -(-quota.window_us // quota.limit)
    return interval, quota.burst * interval


def decide(
    arrival: int | None, quota: Quota, cost: int, now: int, *, charge: bool
) -> tuple[Verdict, int | None]:
    """See `Algorithm.decide`: the debt is how far the arrival time is ahead of now."""
    interval, tolerance = parameters(quota)
    debt = 0 if arrival is None or arrival <= now else arrival - now
    # Nobody can owe more than a whole burst.
    is_moved = debt > tolerance
    if is_moved:
        debt = tolerance
    asked = cost * interval
    wait = 0
    if cost > quota.burst:
        wait = NEVER
    elif debt + asked > tolerance:
        wait = debt + asked - tolerance
    elif cost and charge:
        debt += asked
        arrival = now + debt
    if is_moved and cost:
        arrival = now + debt
    remaining, begun = divmod(tolerance - debt, interval)
    more = interval - begun if debt else 0
    return new_tuple(Verdict, (wait, remaining, more, debt)), arrival


def give_back(arrival: int | None, quota: Quota, cost: int, at: int, now: int) -> int | None:
    """See `Algorithm.give_back`: what may have been paid back meanwhile is not given twice."""
    interval, tolerance = parameters(quota)
    if arrival is None or not now < arrival <= now + tolerance:
        return arrival
    rest = arrival - max(cost * interval - (now - at), 0)
    return rest if rest > now else None


def over_at(arrival: int, window_us: int) -> int:  # noqa: ARG001 - see Algorithm
    """See `Algorithm.over_at`."""
    return arrival


def before(verdict: Verdict, quota: Quota, units: int) -> Verdict:
    """See `Algorithm.before`: less was owed."""
    wait, remaining, more, reset = verdict
    return Verdict(wait, remaining + units, more, reset - units * parameters(quota)[0])
