"""Stops asking a store that does not answer, so that requests stop waiting for it."""

import random
from collections.abc import Callable

from fastapi_throttle.clock import monotonic

CONSECUTIVE = 3
# The other way to open: so many failures, and this share of the calls, within a period.
FAILURES = 5
SHARE = 0.5
PERIOD_SECONDS = 5.0
# How long it stays open; workers that opened together do not ask again together.
OPEN_SECONDS = 1.0
SPREAD = 0.2


class Breaker:
    """Opens when calls fail, and lets one call through now and then until one is answered.

    That call is a request's real check: it finds what a PING does not, such as a store that is
    full or read-only. Nothing is counted while all is well, so a period starts with a failure.

    Args:
        clock: Seconds that only grow.
        uniform: Draws a number between two.

    Attributes:
        is_open: Whether the store is given up.
        is_calm: Whether there was no failure lately: nothing has to be told to the breaker.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.is_open = False
        self.is_calm = True
        self._clock = clock
        self._uniform = uniform
        self._ask_at = self._started_at = clock()
        self._consecutive = self._failures = self._calls = 0

    @property
    def is_left(self) -> bool:
        """Whether nobody asked for a while, though it would have let a call through."""
        since = self._ask_at if self.is_open else self._started_at
        return self._clock() - since >= PERIOD_SECONDS

    def lets_through(self) -> bool:
        """Return whether to ask; of the calls while it is open, about one in a second may."""
        if self.is_open:
            if self._clock() < self._ask_at:
                return False
            # Whatever becomes of this call, even nothing, the next one is in a second.
            self._wait()
        return True

    def abandon(self) -> None:
        """Take note that a call was not finished: the next one may ask in its place."""
        self._ask_at = self._clock()

    def failed(self) -> None:
        """Count a failure of a call that was let through."""
        self.is_calm = False
        if self.is_open:
            self._wait()
            return
        self._count()
        self._failures += 1
        self._consecutive += 1
        if self._consecutive >= CONSECUTIVE or (
            self._failures >= FAILURES and self._failures >= SHARE * self._calls
        ):
            self.is_open = True
            self._wait()

    def succeeded(self) -> None:
        """Count an answer to a call that was let through."""
        if self.is_open:
            self.is_open = False
            self._forget()
        self._count()
        self._consecutive = 0
        self.is_calm = not self._failures

    def _count(self) -> None:
        now = self._clock()
        if now - self._started_at >= PERIOD_SECONDS:
            consecutive = self._consecutive
            self._forget()
            self._started_at, self._consecutive = now, consecutive
        self._calls += 1

    def _forget(self) -> None:
        self._consecutive = self._failures = self._calls = 0
        self._started_at = self._clock()

    def _wait(self) -> None:
        self._ask_at = self._clock() + OPEN_SECONDS * self._uniform(1 - SPREAD, 1 + SPREAD)
