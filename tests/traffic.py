"""Traffic for the algorithms, and what an exact log and a brute-force count say about it."""

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from fastapi_throttle.algorithms import ALGORITHMS, Algorithm, Claim, decide
from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import AlgorithmName, Quota


class Partition:
    """One partition's counter of one quota, decided by the pure algorithm.

    Attributes:
        quota: The quota; may be exchanged for one with another limit.
        state: What is stored.
        admitted: (time, cost) of every admitted hit.
    """

    def __init__(self, quota: Quota, algorithm: AlgorithmName = "sliding-window") -> None:
        self.quota = quota
        self.state: Any = None
        self.admitted: list[tuple[int, int]] = []
        self._algorithm: Algorithm = ALGORITHMS[algorithm]

    def hit(self, cost: int, now: int) -> Verdict:
        """Claim *cost* at *now*."""
        (verdict,), (self.state,) = decide([self._claim(cost)], now)
        if cost and not verdict.wait_us:
            self.admitted.append((now, cost))
        return verdict

    def hits_of_one(self, number: int, now: int) -> int:
        """Claim one unit *number* times at *now*, and return how many were admitted.

        Only for a sliding window. After the first, as many as its entry takes up go as one hit:
        the state is the same.
        """
        share = -(-self.quota.limit // 128)
        left = number
        while left and not (verdict := self.hit(1, now)).wait_us:
            more = min(share - self.state.entries[-1][1], left - 1, verdict.remaining)
            if more > 0:
                self.hit(more, now)
            left -= 1 + max(more, 0)
        return number - left

    def peek(self, cost: int, now: int) -> Verdict:
        """Tell what `hit` would."""
        (verdict,), _ = decide([self._claim(cost)], now, peek=True)
        return verdict

    def _claim(self, cost: int) -> Claim:
        return Claim(self._algorithm, self.state, self.quota, cost)


class Answer(NamedTuple):
    """What `ExactLog` says; the fields are those of `Verdict`."""

    wait_us: int
    remaining: int
    more_us: int
    reset_us: int


class ExactLog:
    """Remembers every admitted hit for a window, and finds waits by trying.

    A unit used at t counts at all times before t + window.
    """

    def __init__(self, limit: int, window_us: int) -> None:
        self._limit = limit
        self._window = window_us
        self._log: deque[tuple[int, int]] = deque()
        self.used = 0

    def hit(self, cost: int, now: int) -> bool:
        """Claim *cost* at *now*, and return whether it was admitted."""
        self._forget(now)
        if self.used + cost > self._limit:
            return False
        self.record(cost, now)
        return True

    def hits_of_one(self, number: int, now: int) -> int:
        """Claim one unit *number* times at *now*, and return how many were admitted."""
        self._forget(now)
        admitted = min(number, self._limit - self.used)
        self.record(admitted, now)
        return admitted

    def record(self, cost: int, now: int) -> None:
        """Count *cost* as used at *now*, whether it fits or not."""
        if cost:
            self._log.append((now, cost))
            self.used += cost

    def answer(self, cost: int, now: int) -> Answer:
        """Say how long *cost* would have to wait at *now*, and what is left."""
        self._forget(now)
        remaining = max(self._limit - self.used, 0)
        is_used = bool(self.used)
        more = self._wait(self._limit - remaining - 1, now) if is_used else 0
        return Answer(
            -1 if cost > self._limit else self._wait(self._limit - cost, now),
            remaining,
            more,
            self._wait(0, now),
        )

    def _wait(self, most: int, now: int) -> int:
        """Return how long until no more than *most* units are used, by trying all changes."""
        for wait in sorted({0, *(time + self._window - now for time, _ in self._log)}):
            left = sum(units for time, units in self._log if time > now + wait - self._window)
            if left <= most:
                return wait
        raise AssertionError

    def _forget(self, now: int) -> None:
        while self._log and self._log[0][0] <= now - self._window:
            self.used -= self._log.popleft()[1]


def most_in_a_window(admitted: Iterable[tuple[int, int]], window_us: int) -> int:
    """Return the most units admitted in any trailing window; *admitted* is in order of time.

    A window that holds most ends with an admission, so these are all windows worth trying.
    """
    most = within = 0
    window: deque[tuple[int, int]] = deque()
    for time, units in admitted:
        window.append((time, units))
        within += units
        while window[0][0] <= time - window_us:
            within -= window.popleft()[1]
        most = max(most, within)
    return most
