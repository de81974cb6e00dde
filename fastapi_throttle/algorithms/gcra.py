"""Generic cell rate algorithm: smooth, one integer per partition.

The state is the theoretical arrival time: when everything used so far is paid back, at one unit
per emission interval. In any span of time at most ``burst + span / interval`` units are admitted,
so a trailing window may hold up to ``burst + limit``. The interval is rounded up to whole
microseconds, which can only make the rate lower. Source: ITU-T I.371, annex A.
"""

from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import NEVER, Quota

CODE = "g"


def parameters(quota: Quota) -> tuple[int, int]:
    """Return the emission interval and the time it takes to pay a whole burst back."""
    interval = -(-quota.window_us // quota.limit)
    return interval, quota.burst * interval


def refresh(arrival: int | None, quota: Quota, now: int) -> tuple[int | None, bool]:
    """See `Algorithm.refresh`: nobody can owe more than a whole burst."""
    if arrival is None or arrival <= now:
        return None, False
    most = now + parameters(quota)[1]
    return min(arrival, most), arrival > most


def wait(arrival: int | None, quota: Quota, cost: int, now: int) -> int:
    """See `Algorithm.wait`: until the debt leaves room for *cost*."""
    if cost > quota.burst:
        return NEVER
    interval, tolerance = parameters(quota)
    return max((arrival or now) + cost * interval - tolerance - now, 0)


def charge(arrival: int | None, quota: Quota, cost: int, now: int) -> int:
    """See `Algorithm.charge`."""
    return (arrival or now) + cost * parameters(quota)[0]


def give_back(arrival: int | None, quota: Quota, cost: int, at: int, now: int) -> int | None:
    """See `Algorithm.give_back`: what may have been paid back meanwhile is not given twice."""
    owed = max(cost * parameters(quota)[0] - (now - at), 0)
    rest = (arrival or now) - owed
    return rest if rest > now else None


def remaining(arrival: int | None, quota: Quota, now: int) -> int:
    """See `Algorithm.remaining`."""
    interval, tolerance = parameters(quota)
    return (tolerance - ((arrival or now) - now)) // interval


def reset(arrival: int | None, quota: Quota, now: int) -> int:  # noqa: ARG001 - see Algorithm
    """See `Algorithm.reset`: until the debt is paid back."""
    return (arrival or now) - now


def before(verdict: Verdict, quota: Quota, units: int) -> Verdict:
    """See `Algorithm.before`: less was owed."""
    wait, remaining, more, reset = verdict
    return Verdict(wait, remaining + units, more, reset - units * parameters(quota)[0])
