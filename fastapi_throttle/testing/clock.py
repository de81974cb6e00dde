"""A clock that moves only when told."""

import math

from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.model import SECOND_US
from fastapi_throttle.notation import Window, parse_window

# On the hour, so that what is counted by the hour does not end in the middle of a test.
START = 1_800_000_000


class FakeClock:
    """Shows the same time until somebody moves it.

    Backends take it as their clock.

    Args:
        start: Seconds since the Unix epoch.

    Raises:
        TypeError: *start* is no number.
        ConfigurationError: *start* is negative or not finite.
    """

    def __init__(self, start: float = START) -> None:
        message = f"start must be at least 0 seconds since the Unix epoch, got {start!r}"
        if isinstance(start, bool) or not isinstance(start, int | float):
            raise TypeError(message)
        if not 0 <= start < math.inf:
            raise ConfigurationError(message)
        self._now_us = round(start * SECOND_US)

    def __call__(self) -> int:
        """Return microseconds since the Unix epoch."""
        return self._now_us

    @property
    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._now_us / SECOND_US

    def advance(self, duration: Window) -> None:
        """Move it ahead by seconds, a timedelta, or text such as ``"61s"``, ``"1h30m"``.

        Raises:
            TypeError: *duration* is none of these.
            ConfigurationError: *duration* is unreadable, or not from 1 ms to 366 days.
        """
        self._now_us += parse_window(duration, "duration")
