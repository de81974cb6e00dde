"""The one place that decides: the store, or what a limit's failure mode says when it cannot."""

import math
from collections.abc import Sequence

from fastapi_throttle.backends import Backend
from fastapi_throttle.decision import Decision
from fastapi_throttle.errors import BackendError
from fastapi_throttle.model import FailureMode, Hit
from fastapi_throttle.resilience import (
    Budget,
    DenialCache,
    Fallback,
    Health,
    Startup,
    Store,
    look_at,
    unavailable,
    unchecked,
)

# Strictest first: limits that are decided together follow the strictest of their modes.
_STRICTEST: tuple[FailureMode, ...] = ("closed", "local", "open")


class Decider:
    """Decides claims on a backend, and without it while it cannot answer.

    Args:
        backend: Where counters live.
        enabled: False admits everything and counts nothing.
        budget: Seconds that the checks of one request may take, in all.
        failure_mode: For limits that name none.
        workers: How many processes share a limit that is counted locally.
        denial_cache: Whether to remember refusals of a store that has to be waited for.

    Attributes:
        budget: As given.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        enabled: bool = True,
        budget: float = 0.25,
        failure_mode: FailureMode = "local",
        workers: int = 1,
        denial_cache: bool = True,
    ) -> None:
        self.budget = budget
        self._backend = backend
        self._store = Store(backend, budget)
        self._fallback = Fallback(workers)
        # A backend that is never waited for decides as fast as anybody remembers.
        is_waited_for = getattr(backend, "budget", math.inf) > 0
        self._denials = DenialCache() if denial_cache and is_waited_for else None
        self._enabled = enabled
        self._failure_mode = failure_mode

    async def hit(
        self,
        hits: Sequence[Hit],
        failure_modes: Sequence[FailureMode | None] = (),
        budget: Budget | None = None,
    ) -> tuple[Decision, ...]:
        """Decide *hits* together: all of them are charged, or none. Never raises for the store.

        Args:
            hits: The claims.
            failure_modes: What their limits want when the store cannot answer.
            budget: The request's. Default: a whole one for this call.
        """
        if not self._enabled or not hits:
            return tuple([Decision.unlimited(hit.policy) for hit in hits])
        cache = self._denials
        denied = None if cache is None else cache.find(hits)
        if denied is not None:
            return denied
        denials, asked_at = ({}, 0.0) if cache is None else cache.asking()
        try:
            decisions = await self._store.hit(hits, budget)
        except BackendError as error:
            mode = self._mode(failure_modes, error)
            return await self._fallback.hit(hits) if mode == "local" else _uncounted(hits, mode)
        if cache is not None and not decisions[0].allowed:
            cache.keep(hits, decisions, denials, asked_at)
        return decisions

    async def peek(
        self,
        hits: Sequence[Hit],
        failure_modes: Sequence[FailureMode | None] = (),
        budget: Budget | None = None,
    ) -> tuple[Decision, ...]:
        """Tell what `hit` would decide now. Never raises for the store."""
        if not self._enabled:
            return tuple(Decision.unlimited(hit.policy) for hit in hits)
        try:
            return await self._store.peek(hits, budget)
        except BackendError as error:
            mode = self._mode(failure_modes, error)
            return await self._fallback.peek(hits) if mode == "local" else _uncounted(hits, mode)

    async def reset(self, hits: Sequence[Hit], budget: Budget | None = None) -> None:
        """Forget what the partitions of *hits* used.

        Raises:
            BackendError: The store could not answer.
        """
        try:
            await self._store.reset(hits, budget)
        finally:
            # Also if the store did not answer: it may have executed it.
            if self._denials is not None:
                self._denials.clear()

    async def start(self, hit: Hit, startup: Startup) -> None:
        """Look at the store before the first request does; see `look_at`.

        Raises:
            BackendError: A store that works is required, and it does not.
        """
        if self._enabled:
            await look_at(self._store, hit, startup)

    def health(self) -> Health:
        """Tell whether the store answers."""
        return self._store.health.report()

    async def aclose(self) -> None:
        """Release what the backend opened."""
        await self._backend.aclose()

    def _mode(self, modes: Sequence[FailureMode | None], error: BackendError) -> FailureMode:
        wanted = {mode or self._failure_mode for mode in modes} or {self._failure_mode}
        strictest = next(mode for mode in _STRICTEST if mode in wanted)
        # Whoever sends enough requests to keep this process busy must not be rewarded with none.
        if strictest == "open" and error.fault == "overload":
            return "local"
        return strictest


def _uncounted(hits: Sequence[Hit], mode: FailureMode) -> tuple[Decision, ...]:
    return tuple(map(unchecked if mode == "open" else unavailable, hits))
