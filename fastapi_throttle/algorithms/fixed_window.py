"""Fixed window: one counter per aligned window, the cheapest; up to twice the limit at an edge.

Windows are aligned to the Unix epoch: a window of an hour starts on the hour, UTC.
"""

from typing import NamedTuple

from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import NEVER, Quota

CODE = "f"


class Count(NamedTuple):
    """One partition's state.

    Attributes:
        number: Which window, counted from the Unix epoch.
        used: Units used in it.
    """

    number: int
    used: int


def parameters(quota: Quota) -> tuple[int, int]:
    """Return limit and window."""
    return quota.limit, quota.window_us


def refresh(count: Count | None, quota: Quota, now: int) -> tuple[Count | None, bool]:
    """See `Algorithm.refresh`: a window of the future counts as this one."""
    number = now // quota.window_us
    if count is None or count.number < number:
        return None, False
    return Count(number, count.used), count.number > number


def wait(count: Count | None, quota: Quota, cost: int, now: int) -> int:
    """See `Algorithm.wait`: until the next window."""
    if cost > quota.limit:
        return NEVER
    if count is None or count.used + cost <= quota.limit:
        return 0
    return quota.window_us - now % quota.window_us


def charge(count: Count | None, quota: Quota, cost: int, now: int) -> Count:
    """See `Algorithm.charge`."""
    return Count(now // quota.window_us, cost + (count.used if count else 0))


def give_back(count: Count | None, quota: Quota, cost: int, at: int, now: int) -> Count | None:
    """See `Algorithm.give_back`: what was used in an earlier window is over."""
    if count is None or at // quota.window_us < now // quota.window_us:
        return count
    return Count(count.number, count.used - cost) if count.used > cost else None


def remaining(count: Count | None, quota: Quota, now: int) -> int:  # noqa: ARG001 - see Algorithm
    """See `Algorithm.remaining`."""
    return quota.limit if count is None else max(quota.limit - count.used, 0)


def reset(count: Count | None, quota: Quota, now: int) -> int:
    """See `Algorithm.reset`: until the next window."""
    return 0 if count is None else quota.window_us - now % quota.window_us


def before(verdict: Verdict, quota: Quota, units: int) -> Verdict:  # noqa: ARG001 - see Algorithm
    """See `Algorithm.before`."""
    wait, remaining, more, reset = verdict
    return Verdict(wait, remaining + units, more, reset)
