"""A clock that moves only when told."""

from fastapi_throttle.model import SECOND_US
from fastapi_throttle.notation import Window, parse_window

# On the hour, so that what is counted by the hour does not end in the middle of a test.
START = 1_800_000_000


class FakeClock:
    """Shows the same time until somebody moves it.

    Backends take it as their clock.

    Args:
        start: Seconds since the Unix epoch.
    """

    def __init__(self, start: float = START) -> None:
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
