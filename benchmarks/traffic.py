"""Traffic for one partition, as lists of calls: which times and costs bring its log where."""

from benchmarks.measure import Call
from fastapi_throttle.algorithms.sliding_window import EXACT, SPANS
from fastapi_throttle.model import Quota


def grain(quota: Quota) -> int:
    """Return the units that fill an entry of the log."""
    return -(-quota.limit // EXACT)


def crowded_costs(quota: Quota) -> tuple[int, ...]:
    """Return costs that make the most entries in a span: two full, one that only age closes."""
    full = grain(quota)
    return full, full, max(quota.limit // SPANS - 2 * full, 1)


def evenly(quota: Quota, now: int) -> list[Call]:
    """Full entries, evenly spaced over the window; the oldest leaves at *now*."""
    entries = quota.limit // grain(quota)
    step = quota.window_us // entries
    return [Call(now - quota.window_us + at * step, grain(quota)) for at in range(entries)]


def crowded(quota: Quota, now: int) -> list[Call]:
    """As many entries as can follow each other for ever; the oldest few have left at *now*."""
    costs = crowded_costs(quota)
    groups = min(SPANS, quota.limit // sum(costs))
    # The hits of a group are 1 us apart; the next group is too late to join it.
    period = quota.window_us // groups + len(costs)
    return [
        Call(now - (groups - group) * period + at, cost)
        for group in range(groups)
        for at, cost in enumerate(costs)
    ]


def use_up(quota: Quota, now: int) -> list[Call]:
    """Use the whole limit up to *now*, within one window, in as many entries as can be."""
    if quota.limit <= EXACT:
        return [Call(now - quota.limit + at, 1) for at in range(1, quota.limit + 1)]
    costs = crowded_costs(quota)
    period = quota.window_us // SPANS + len(costs)
    start = now - SPANS * period + period - len(costs)
    calls: list[Call] = []
    left = quota.limit
    for group in range(SPANS):
        for at, cost in enumerate(costs):
            if left > 0:
                calls.append(Call(start + group * period + at, min(cost, left)))
                left -= cost
    # What no entry was opened for joins the last one.
    return [*calls, Call(now, left)] if left > 0 else calls
