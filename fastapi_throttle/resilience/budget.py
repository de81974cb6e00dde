"""How long the checks of one request may take, all of them together."""

from collections.abc import Callable

from fastapi_throttle.clock import monotonic
from fastapi_throttle.errors import Fault

# A connection may last for hours, and what was lost at its start be long mended.
RENEWED_SECONDS = 1.0


class Budget:
    """Seconds that checks may add to one request.

    Args:
        seconds: The whole of it.
        clock: Seconds that only grow.

    Attributes:
        left: What is left of it.
        fault: The last reason why the store did not answer within it.
    """

    __slots__ = ("_clock", "_lost_at", "fault", "left", "seconds")

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self.seconds = self.left = seconds
        self.fault: Fault = "infrastructure"
        self._clock = clock
        self._lost_at: float | None = None

    def lose(self, fault: Fault) -> None:
        """Take note that a check was not answered."""
        self.fault = fault
        self._lost_at = self._clock()

    def for_call(self) -> "Budget":
        """Return the budget of a check that is no dependency: such a request may make thousands.

        A whole one, unless the store failed this request just now; then what is left of this one.
        """
        lost_at = self._lost_at
        if lost_at is not None and self._clock() - lost_at < RENEWED_SECONDS:
            return self
        return Budget(self.seconds, self._clock)
