"""Fixed window: one counter per aligned window, the cheapest; up to twice the limit at an edge.

Windows are aligned to the Unix epoch: a window of an hour starts on the hour, UTC.
"""

from typing import NamedTuple

from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import NEVER, Quota, new_tuple

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


def decide(
    count: Count | None, quota: Quota, cost: int, now: int, *, charge: bool
) -> tuple[Verdict, Count | None]:
    """See `Algorithm.decide`: a window of the future counts as this one."""
    number, gone = divmod(now, quota.window_us)
    left = quota.window_us - gone
    used = 0 if count is None or count.number < number else count.used
    is_moved = count is not None and count.number > number
    wait = 0
    if cost > quota.limit:
        wait = NEVER
    elif cost and used + cost > quota.limit:
        wait = left
    elif cost and charge:
        used += cost
        count = new_tuple(Count, (number, used))
    if is_moved and cost:
        count = Count(number, used)
    remaining = max(quota.limit - used, 0)
    reset = left if used else 0
    return new_tuple(Verdict, (wait, remaining, reset, reset)), count


def give_back(count: Count | None, quota: Quota, cost: int, at: int, now: int) -> Count | None:
    """See `Algorithm.give_back`: what was used in an earlier window is over."""
    number = now // quota.window_us
    if count is None or count.number != number or at // quota.window_us < number:
        return count
    return Count(number, count.used - cost) if count.used > cost else None


def over_at(count: Count, window_us: int) -> int:
    """See `Algorithm.over_at`."""
    return (count.number + 1) * window_us


def before(verdict: Verdict, quota: Quota, units: int) -> Verdict:  # noqa: ARG001 - see Algorithm
    """See `Algorithm.before`."""
    wait, remaining, more, reset = verdict
    return Verdict(wait, remaining + units, more, reset)
