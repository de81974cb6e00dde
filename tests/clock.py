"""A clock that moves only when told."""

START_US = 1_800_000_000_000_000


class Clock:
    """Microseconds since the Unix epoch, for backends.

    Attributes:
        now: What it shows.
    """

    def __init__(self, now: int = START_US) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1_000_000)

    def step(self, microseconds: int) -> int:
        """Move it, back if negative, and return what it shows then."""
        self.now += microseconds
        return self.now


class Seconds:
    """Seconds that only grow, and only when told.

    Attributes:
        now: What it shows.
    """

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
