"""Counters in this process: for one worker, for tests, for a laptop without Redis."""

import heapq
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi_throttle.algorithms import ALGORITHMS, Claim, decide, decide_one
from fastapi_throttle.clock import wall_clock
from fastapi_throttle.decision import Decision, decisions_of
from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.model import SECOND_US, Hit

# What is over lingers this long while there is room: a clock that jumped ahead may step back.
LINGER_US = 4 * 3_600 * SECOND_US


class MemoryBackend:
    """Counts in this process, for as many partitions as it is allowed to keep.

    When all places are taken by partitions that still count, newcomers share one partition per
    bucket until a place is free, and take what was used there along: nobody's usage is forgotten
    to make room, so nobody gets more than the limit, and memory stays bounded.

    Args:
        max_partitions: How many counters to keep, one per partition and window. At least 1.
        clock: Returns the microseconds since the Unix epoch.

    Attributes:
        budget: See `Backend`: it never waits.

    Raises:
        ConfigurationError: *max_partitions* is out of range.
    """

    budget = 0.0

    def __init__(
        self, max_partitions: int = 100_000, *, clock: Callable[[], int] = wall_clock
    ) -> None:
        if max_partitions < 1:
            message = f"max_partitions must be at least 1, got {max_partitions}"
            raise ConfigurationError(message)
        self._max_partitions = max_partitions
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[str, Any] = {}
        self._over_at: dict[str, int] = {}
        # (when to look again, key): one entry per key, moved when the key lives on.
        self._due: list[tuple[int, str]] = []

    @property
    def partitions(self) -> int:
        """How many counters are kept now."""
        return len(self._states)

    async def hit(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.hit`."""
        return self._decide(hits, peek=False)

    async def peek(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.peek`."""
        return self._decide(hits, peek=True)

    async def reset(self, hits: Sequence[Hit]) -> None:
        """See `Backend.reset`."""
        with self._lock:
            self._forget(hits)

    def _forget(self, hits: Sequence[Hit]) -> None:
        for hit in hits:
            for key in hit.keys:
                # What says when to look again stays, and is dropped when it is due ...
                self._states.pop(key, None)
        if len(self._due) > 2 * self._max_partitions:
            # ... or when too much of it is about nothing.
            self._over_at = {key: self._over_at[key] for key in self._states}
            self._due = [(over_at, key) for key, over_at in self._over_at.items()]
            heapq.heapify(self._due)

    async def aclose(self) -> None:
        """See `Backend.aclose`: nothing was opened."""

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._states.clear()
            self._over_at.clear()
            self._due.clear()

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Start without counters, and know again at the end of the context what was counted."""
        with self._lock:
            before = self._states, self._over_at, self._due
            self._states, self._over_at, self._due = {}, {}, []
        try:
            yield
        finally:
            with self._lock:
                self._states, self._over_at, self._due = before

    def _decide(self, hits: Sequence[Hit], *, peek: bool) -> tuple[Decision, ...]:
        # Nothing is awaited in here; the lock is for event loops in other threads.
        with self._lock:
            return self._decide_alone(hits, peek=peek)

    def _decide_alone(self, hits: Sequence[Hit], *, peek: bool) -> tuple[Decision, ...]:
        now = self._clock()
        self._drop_what_is_over(now)
        if len(hits) == 1 and len(hits[0].keys) == 1:
            return (self._decide_one(hits[0], now, peek=peek),)
        places = [self._place(key) for hit in hits for key in hit.keys]
        quotas = [(hit, quota) for hit in hits for quota in hit.policy.quotas]
        claims = [
            Claim(ALGORITHMS[hit.policy.algorithm], self._read(place), quota, hit.cost)
            for place, (hit, quota) in zip(places, quotas, strict=True)
        ]
        verdicts, states = decide(claims, now, peek=peek)
        for place, claim, verdict, state in zip(places, claims, verdicts, states, strict=True):
            if state is not claim.state:
                self._store(place, state, now + verdict.reset_us)
        return decisions_of(hits, verdicts)

    def _decide_one(self, hit: Hit, now: int, *, peek: bool) -> Decision:
        policy, (key,), cost = hit
        place = self._place(key)
        claim = Claim(ALGORITHMS[policy.algorithm], self._read(place), policy.quotas[0], cost)
        verdict, state = decide_one(claim, now, peek=peek)
        if state is not claim.state:
            self._store(place, state, now + verdict.reset_us)
        return Decision(not verdict.wait_us, policy, (verdict,))

    def _place(self, key: str) -> str:
        """Return where *key* counts: by itself, or with the other newcomers of its bucket."""
        if key in self._states or len(self._states) < self._max_partitions:
            return key
        return _overflow(key)

    def _read(self, place: str) -> Any:
        """Return the state of a place; a new one continues what its bucket's newcomers shared."""
        state = self._states.get(place)
        return self._states.get(_overflow(place)) if state is None else state

    def _store(self, key: str, state: Any, over_at: int) -> None:
        if key not in self._over_at:
            heapq.heappush(self._due, (over_at, key))
        self._states[key] = state
        self._over_at[key] = over_at

    def _drop_what_is_over(self, now: int) -> None:
        due, states = self._due, self._states
        past = now if len(states) >= self._max_partitions else now - LINGER_US
        while due and due[0][0] <= past:
            key = due[0][1]
            over_at = self._over_at.get(key, 0)
            if over_at > past:
                heapq.heapreplace(due, (over_at, key))
            else:
                heapq.heappop(due)
                states.pop(key, None)
                self._over_at.pop(key, None)


def _overflow(key: str) -> str:
    """Return where the newcomers of a key's bucket count together."""
    return "overflow" + key[key.find("}") + 1 :]
