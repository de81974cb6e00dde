"""Decides in this process while the store cannot."""

import math
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from fastapi_throttle.backends import MemoryBackend
from fastapi_throttle.clock import stand_in
from fastapi_throttle.decision import Decision, Outage
from fastapi_throttle.model import FailureMode, Hit, Policy, Quota

# When to come back where nothing better is known: about when the store is asked again.
RETRY_AFTER_SECONDS = 1.0


class SteadyClock:
    """Microseconds since the Unix epoch that follow no later step of the wall clock."""

    def __init__(self) -> None:
        self._epoch = time.time_ns() - time.monotonic_ns()

    def __call__(self) -> int:
        """Return what it shows."""
        if stand_in.clock is not None:
            return stand_in.clock()
        return (self._epoch + time.monotonic_ns()) // 1000


class Fallback:
    """Counts for this process alone, with its share of every limit.

    Its counters outlive an outage: a store that comes and goes brings nobody fresh ones.

    Args:
        workers: How many processes share a limit while the store is away.
        clock: Microseconds since the Unix epoch.
    """

    def __init__(self, workers: int, *, clock: Callable[[], int] | None = None) -> None:
        self._workers = workers
        self._backend = MemoryBackend(clock=clock or SteadyClock())
        self._share = lru_cache(maxsize=4096)(self._make_share)

    async def hit(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """Decide *hits* together."""
        return _decisions(hits, await self._backend.hit(self._shares(hits)))

    async def peek(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """Tell what `hit` would decide."""
        return _decisions(hits, await self._backend.peek(self._shares(hits)))

    def _shares(self, hits: Sequence[Hit]) -> list[Hit]:
        return [hit._replace(policy=self._share(hit.policy)) for hit in hits]

    def _make_share(self, policy: Policy) -> Policy:
        quotas = tuple(
            Quota(self._part(quota.limit), quota.window_us, self._part(quota.burst))
            for quota in policy.quotas
        )
        return Policy(policy.name, quotas, policy.algorithm, policy.labels)

    def _part(self, units: int) -> int:
        return math.ceil(units / self._workers)


def unavailable(hit: Hit) -> Decision:
    """Refuse *hit* because the store could not answer."""
    return _without_store(hit, _tightest(hit), "closed", RETRY_AFTER_SECONDS, allowed=False)


def unchecked(hit: Hit) -> Decision:
    """Admit *hit* because the store could not answer."""
    return _without_store(hit, _tightest(hit), "open", 0.0, allowed=True)


def _decisions(hits: Sequence[Hit], shares: Sequence[Decision]) -> tuple[Decision, ...]:
    if any(_is_too_much(hit, share) for hit, share in zip(hits, shares, strict=True)):
        # It fits into the limit but never into the share of it: only the store can tell.
        return tuple(map(unavailable, hits))
    return tuple(map(_local, hits, shares))


def _is_too_much(hit: Hit, share: Decision) -> bool:
    return share.retry_after is None and hit.cost <= min(q.burst for q in hit.policy.quotas)


def _local(hit: Hit, share: Decision) -> Decision:
    """Keep what was decided on the share, but for what is left of it."""
    quotas = zip(hit.policy.quotas, share.quotas, strict=True)
    binding = next(
        quota
        for quota, state in quotas
        if (state.limit, state.window) == (share.limit, share.window)
    )
    return _without_store(hit, binding, "local", share.retry_after, allowed=share.allowed)


def _tightest(hit: Hit) -> Quota:
    return min(hit.policy.quotas, key=lambda quota: quota.limit)


def _without_store(
    hit: Hit, binding: Quota, mode: FailureMode, retry_after: float | None, *, allowed: bool
) -> Decision:
    return Decision(allowed, hit.policy, outage=Outage(mode, binding, retry_after))
