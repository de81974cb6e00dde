"""Sliding window: never more than the limit in any trailing window.

The state is a log of what was used, oldest first. An entry says how many units were used and
when the newest of them was; it leaves when that is a window ago, so nothing leaves early. Up to
a limit of `EXACT` every hit has an entry of its own and the log is exact. Above, an entry takes
up more units until it is a sixtieth of the window old or holds a 128th of the limit: the log
stays short, and a unit may leave up to a sixtieth of the window late. What is used at one instant
leaves at one instant, so at any limit it shares an entry.
"""

from bisect import bisect_left
from typing import NamedTuple

from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import NEVER, Quota

CODE = "s"
EXACT = 128
SPANS = 60


class Log(NamedTuple):
    """One partition's state.

    Attributes:
        opened: When the newest entry's oldest unit was used, in microseconds since the epoch.
        used: Units in all entries.
        entries: (time of the newest unit, units) per entry, oldest first; never empty.
    """

    opened: int
    used: int
    entries: tuple[tuple[int, int], ...]


def parameters(quota: Quota) -> tuple[int, int]:
    """Return limit and window."""
    return quota.limit, quota.window_us


def refresh(log: Log | None, quota: Quota, now: int) -> tuple[Log | None, bool]:
    """See `Algorithm.refresh`."""
    over = now - quota.window_us
    if log is None or log.entries[-1][0] <= over:
        return None, False
    gone = units_gone = 0
    while log.entries[gone][0] <= over:
        units_gone += log.entries[gone][1]
        gone += 1
    if gone:
        log = Log(log.opened, log.used - units_gone, log.entries[gone:])
    # An entry opens before its newest unit, so only the last entry can be ahead of the clock first.
    if log.entries[-1][0] <= now:
        return log, False
    clamped = tuple((min(time, now), units) for time, units in log.entries)
    return Log(min(log.opened, now), log.used, clamped), True


def wait(log: Log | None, quota: Quota, cost: int, now: int) -> int:
    """See `Algorithm.wait`: until enough of the oldest entries have left."""
    if cost > quota.limit:
        return NEVER
    if log is None:
        return 0
    excess = log.used + cost - quota.limit
    if excess <= 0:
        return 0
    index = 0
    while (excess := excess - log.entries[index][1]) > 0:
        index += 1
    return log.entries[index][0] + quota.window_us - now


def charge(log: Log | None, quota: Quota, cost: int, now: int) -> Log:
    """See `Algorithm.charge`."""
    if log is None:
        return Log(now, cost, ((now, cost),))
    units = log.entries[-1][1]
    is_young = now - log.opened < quota.window_us // SPANS
    if log.opened == now or (is_young and units < -(-quota.limit // EXACT)):
        entries = (*log.entries[:-1], (now, units + cost))
        return Log(log.opened, log.used + cost, entries)
    return Log(now, log.used + cost, (*log.entries, (now, cost)))


def give_back(
    log: Log | None,
    quota: Quota,
    cost: int,
    at: int,
    now: int,  # noqa: ARG001 - see Algorithm
) -> Log | None:
    """See `Algorithm.give_back`: entries since *at* become one, as late as the newest of them."""
    if log is None:
        return None
    kept = log.entries[: bisect_left(log.entries, (at,))]
    since = sum(units for _, units in log.entries[len(kept) :])
    units = max(since - cost, 0)
    entries = (*kept, (log.entries[-1][0], units)) if units else kept
    if not entries:
        return None
    opened = log.opened
    if len(entries) < len(log.entries):
        # Nobody knows any more when the newest opened, but that it was after the one before.
        opened = entries[-2][0] if len(entries) > 1 else entries[-1][0] - quota.window_us
    return Log(opened, log.used - since + units, entries)


def remaining(log: Log | None, quota: Quota, now: int) -> int:  # noqa: ARG001 - see Algorithm
    """See `Algorithm.remaining`."""
    return quota.limit if log is None else max(quota.limit - log.used, 0)


def reset(log: Log | None, quota: Quota, now: int) -> int:
    """See `Algorithm.reset`: until the newest entry has left."""
    return 0 if log is None else log.entries[-1][0] + quota.window_us - now


def before(verdict: Verdict, quota: Quota, units: int) -> Verdict:  # noqa: ARG001 - see Algorithm
    """See `Algorithm.before`."""
    wait, remaining, more, reset = verdict
    return Verdict(wait, remaining + units, more, reset)
