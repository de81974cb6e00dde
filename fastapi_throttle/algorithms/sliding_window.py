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
    """One partition's state. Times are microseconds since the Unix epoch.

    The newest entry, which takes up units, stands apart from those that nothing is added to.

    Attributes:
        opened: When the newest entry's oldest unit was used.
        used: Units in all entries.
        newest: When the newest entry's newest unit was used.
        units: Units in the newest entry.
        older: (time of the newest unit, units) of every other entry, oldest first.
    """

    opened: int
    used: int
    newest: int
    units: int
    older: tuple[tuple[int, int], ...]

    @property
    def entries(self) -> tuple[tuple[int, int], ...]:
        """(time of the newest unit, units) of every entry, oldest first; never empty."""
        return (*self.older, (self.newest, self.units))


def parameters(quota: Quota) -> tuple[int, int]:
    """Return limit and window."""
    return quota.limit, quota.window_us


def decide(
    log: Log | None, quota: Quota, cost: int, now: int, *, charge: bool
) -> tuple[Verdict, Log | None]:
    """See `Algorithm.decide`."""
    limit, window, _ = quota
    kept = None if log is None else _refreshed(log, window, now)
    is_moved = log is not None and log.newest > now
    used = 0 if kept is None else kept.used
    wait = 0
    if cost > limit:
        wait = NEVER
    elif cost and kept is not None and used + cost > limit:
        wait = _leaves(kept, used + cost - limit) + window - now
    elif cost and charge:
        log = kept = _charged(kept, quota, cost, now)
        used += cost
    if is_moved and cost:
        log = kept
    if kept is None:
        return new_tuple(Verdict, (wait, limit, 0, 0)), log
    remaining = limit - used if used < limit else 0
    more = _leaves(kept, used + remaining + 1 - limit) + window - now
    return new_tuple(Verdict, (wait, remaining, more, kept.newest + window - now)), log


def _refreshed(log: Log, window: int, now: int) -> Log | None:
    """Forget what is over, and take what lies in the future as having been used now."""
    opened, used, newest, units, older = log
    over = now - window
    if newest <= over:
        return None
    if newest <= now and not (older and older[0][0] <= over):
        return log
    gone = 0
    for time, left in older:
        if time > over:
            break
        used -= left
        gone += 1
    older = older[gone:]
    # An entry opens before its newest unit, so only the newest can be ahead of the clock first.
    if newest > now:
        older = tuple([(min(time, now), left) for time, left in older])
        opened, newest = min(opened, now), now
    return new_tuple(Log, (opened, used, newest, units, older))


def _leaves(log: Log, units: int) -> int:
    """Return when the entry was used with which so many of the oldest *units* leave."""
    for time, left in log.older:
        units -= left
        if units <= 0:
            return time
    return log.newest


def _charged(log: Log | None, quota: Quota, cost: int, now: int) -> Log:
    """Return the log with *cost* (at least 1) used at *now*."""
    if log is None:
        return Log(now, cost, now, cost, ())
    opened, used, newest, units, older = log
    is_young = now - opened < quota.window_us // SPANS
    if opened == now or (is_young and units < -(-quota.limit // EXACT)):
        return new_tuple(Log, (opened, used + cost, now, units + cost, older))
    older += ((newest, units),)
    return new_tuple(Log, (now, used + cost, now, cost, older))


def give_back(log: Log | None, quota: Quota, cost: int, at: int, now: int) -> Log | None:
    """See `Algorithm.give_back`: entries since *at* become one, as late as the newest of them."""
    if log is None or log.newest > now:
        return log
    log = _refreshed(log, quota.window_us, now)
    if log is None:
        return None
    entries = log.entries
    older = entries[: bisect_left(entries, (at,))]
    since = sum(units for _, units in entries[len(older) :])
    newest, units, used = log.newest, max(since - cost, 0), log.used - min(since, cost)
    if not used:
        return None
    if not units:
        newest, units = older[-1]
        older = older[:-1]
    opened = log.opened
    if len(older) < len(log.older):
        # Nobody knows any more when the newest opened, but that it was after the one before.
        opened = older[-1][0] if older else newest - quota.window_us
    return Log(opened, used, newest, units, older)


def over_at(log: Log, window_us: int) -> int:
    """See `Algorithm.over_at`."""
    return log.newest + window_us


def before(verdict: Verdict, quota: Quota, units: int) -> Verdict:  # noqa: ARG001 - see Algorithm
    """See `Algorithm.before`."""
    wait, remaining, more, reset = verdict
    return Verdict(wait, remaining + units, more, reset)
