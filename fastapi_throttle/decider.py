"""The one place that decides: backend, or what is said when it cannot."""

import logging
import time
from collections.abc import Sequence

from fastapi_throttle.backends import Backend
from fastapi_throttle.errors import BackendError
from fastapi_throttle.model import Decision, Hit

logger = logging.getLogger("fastapi_throttle")

# Long enough not to hammer a store that is down, short enough to notice that it is back.
RETRY_AFTER_OUTAGE = 1.0
# A store that comes and goes is one cause, and told once in this time.
QUIET_SECONDS = 60.0


class Decider:
    """Decides claims on a backend, and refuses them while it cannot answer.

    Args:
        backend: Where counters live.
        enabled: False admits everything and counts nothing.
    """

    def __init__(self, backend: Backend, *, enabled: bool = True) -> None:
        self._backend = backend
        self._enabled = enabled
        self._is_down = False
        self._quiet_until = 0.0

    async def hit(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """Decide *hits* together: all of them are charged, or none. Never raises for the store."""
        if not self._enabled:
            return tuple(Decision.unlimited(hit.policy) for hit in hits)
        try:
            decisions = await self._backend.hit(hits)
        except BackendError as error:
            return self._without_store(hits, error)
        self._answered()
        return decisions

    async def peek(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """Tell what `hit` would decide now. Never raises for the store."""
        if not self._enabled:
            return tuple(Decision.unlimited(hit.policy) for hit in hits)
        try:
            decisions = await self._backend.peek(hits)
        except BackendError as error:
            return self._without_store(hits, error)
        self._answered()
        return decisions

    async def reset(self, hits: Sequence[Hit]) -> None:
        """Forget what the partitions of *hits* used.

        Raises:
            BackendError: The store could not answer.
        """
        await self._backend.reset(hits)

    async def aclose(self) -> None:
        """Release what the backend opened."""
        await self._backend.aclose()

    def _without_store(self, hits: Sequence[Hit], error: BackendError) -> tuple[Decision, ...]:
        if not self._is_down and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            logger.warning("The store cannot answer, requests are refused", exc_info=error)
        self._is_down = True
        return tuple(Decision.unavailable(hit.policy, RETRY_AFTER_OUTAGE) for hit in hits)

    def _answered(self) -> None:
        if self._is_down:
            self._is_down = False
            logger.info("The store answers again")
