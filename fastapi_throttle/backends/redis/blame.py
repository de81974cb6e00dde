"""Who is to blame when there is no answer in time."""

import asyncio
import math

from fastapi_throttle.backends.redis.faults import outage, overload
from fastapi_throttle.errors import BackendError

# A check that waited for so much of its budget before it left was kept by others.
WAITED = 0.1
# An event loop that looks at the clock so much of the budget too late was busy.
LATE = 0.2


class Blame:
    """Tells a Redis that does not answer from a process that is too busy to ask it.

    Args:
        loop: Whose time it is.
        budget: Seconds a check may take in all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, budget: float) -> None:
        self._loop = loop
        self._budget = budget
        self._answered_at = self._excused_at = loop.time()

    def answered(self) -> None:
        """Note that Redis answered just now."""
        self._answered_at = self._loop.time()

    def fault(
        self, error: BaseException, deadline: float, left_at: float = -math.inf
    ) -> BackendError:
        """Return what to tell a check about *error*.

        Args:
            error: Why there is no answer.
            deadline: When it had to be there.
            left_at: When a check that had to wait for others was sent; infinite: it never was.
        """
        if isinstance(error, TimeoutError) and self._was_busy(deadline, left_at):
            return overload(error, self._budget)
        return outage(error, self._budget)

    def _was_busy(self, deadline: float, left_at: float) -> bool:
        """Tell whether it was not Redis that was too slow for what had to be there."""
        arrived_at = deadline - self._budget
        # Redis answers, but there were too many before this one.
        if self._answered_at > arrived_at and left_at > arrived_at + WAITED * self._budget:
            return True
        # A process that was kept from looking at the clock was kept from reading the answer.
        late = self._loop.time() - deadline
        if late < LATE * self._budget:
            return False
        # If it is always a little late, that is no excuse for a Redis that never answers.
        if self._excused_at <= self._answered_at:
            self._excused_at = self._loop.time()
        return late > self._budget or arrived_at < self._excused_at
