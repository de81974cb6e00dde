"""What time it is, for everything that decides by it."""

import time
from collections.abc import Callable


class StandIn:
    """What a test puts in place of the clocks of the machine.

    Attributes:
        clock: Returns microseconds since the Unix epoch; None outside of tests.
    """

    clock: Callable[[], int] | None = None


stand_in = StandIn()


def wall_clock() -> int:
    """Return the microseconds since the Unix epoch."""
    return time.time_ns() // 1000 if stand_in.clock is None else stand_in.clock()


def monotonic() -> float:
    """Return seconds since some moment, of a clock that is never set."""
    return time.monotonic() if stand_in.clock is None else stand_in.clock() / 1_000_000
