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
from fastapi_throttle.model import NEVER, Quota, new_tuple

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


_EMPTY = Log(0, 0, ())


def parameters(quota: Quota) -> tuple[int, int]:
    """Return limit and window."""
    return quota.limit, quota.window_us


def decide(
    log: Log | None, quota: Quota, cost: int, now: int, *, charge: bool
) -> tuple[Verdict, Log | None]:
    """See `Algorithm.decide`."""
    limit, window = quota.limit, quota.window_us
    kept = log or _EMPTY
    _, used, entries = kept
    is_moved = bool(entries) and entries[-1][0] > now
    if is_moved or (entries and entries[0][0] <= now - window):
        kept = _refreshed(kept, window, now)
        _, used, entries = kept
    wait = 0
    if cost > limit:
        wait = NEVER
    elif cost and used + cost > limit:
        wait = _leaves(entries, used + cost - limit) + window - now
    elif cost and charge:
        log = kept = _charged(kept, quota, cost, now)
        _, used, entries = kept
    if is_moved and cost:
        log = kept
    if not entries:
        return new_tuple(Verdict, (wait, limit, 0, 0)), log
    # A limit that was lowered may need more than the oldest entry to leave.
    oldest = entries[0][0] if used <= limit else _leaves(entries, used + 1 - limit)
    remaining = limit - used if used < limit else 0
    more, reset = oldest + window - now, entries[-1][0] + window - now
    return new_tuple(Verdict, (wait, remaining, more, reset)), log


def _refreshed(log: Log, window: int, now: int) -> Log:
    """Forget what is over, and take what lies in the future as having been used now."""
    opened, used, entries = log
    gone = 0
    for time, units in entries:
        if time > now - window:
            break
        used -= units
        gone += 1
    if gone == len(entries):
        return _EMPTY
    if entries[-1][0] <= now:
        return new_tuple(Log, (opened, used, entries[gone:]))
    # An entry opens before its newest unit, so only the last entry can be ahead of the clock first.
    clamped = tuple([(min(time, now), units) for time, units in entries[gone:]])
    return Log(min(opened, now), used, clamped)


def _leaves(entries: tuple[tuple[int, int], ...], units: int) -> int:
    """Return when the entry was used with which so many of the oldest *units* leave."""
    index = 0
    while (units := units - entries[index][1]) > 0:
        index += 1
    return entries[index][0]


def _charged(log: Log, quota: Quota, cost: int, now: int) -> Log:
    """Return the log with *cost* (at least 1) used at *now*."""
    opened, used, entries = log
    if entries:
        units = entries[-1][1]
        is_young = now - opened < quota.window_us // SPANS
        if opened == now or (is_young and units < -(-quota.limit // EXACT)):
            merged = entries[:-1] + ((now, units + cost),)  # noqa: RUF005 - copied once, not twice
            return new_tuple(Log, (opened, used + cost, merged))
    appended = entries + ((now, cost),)  # noqa: RUF005 - see above
    return new_tuple(Log, (now, used + cost, appended))


def give_back(log: Log | None, quota: Quota, cost: int, at: int, now: int) -> Log | None:
    """See `Algorithm.give_back`: entries since *at* become one, as late as the newest of them."""
    if log is None or log.entries[-1][0] > now:
        return log
    log = _refreshed(log, quota.window_us, now)
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


def over_at(log: Log, window_us: int) -> int:
    """See `Algorithm.over_at`."""
    return log.entries[-1][0] + window_us


def before(verdict: Verdict, quota: Quota, units: int) -> Verdict:  # noqa: ARG001 - see Algorithm
    """See `Algorithm.before`."""
    wait, remaining, more, reset = verdict
    return Verdict(wait, remaining + units, more, reset)
