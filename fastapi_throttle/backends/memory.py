"""Counters in this process: for one worker, for tests, for a laptop without Redis."""

import heapq
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from fastapi_throttle.algorithms import ALGORITHMS, Claim, decide
from fastapi_throttle.clock import wall_clock
from fastapi_throttle.decision import Decision, decisions_of
from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.model import SECOND_US, AlgorithmName, Hit, Quota, new_tuple

# What is over lingers this long while there is room: a clock that jumped ahead may step back.
LINGER_US = 4 * 3_600 * SECOND_US


class Due(NamedTuple):
    """When to look whether what counts at a place is over.

    Attributes:
        at: Microseconds since the Unix epoch.
        place: The place.
        algorithm: How it counts.
        window_us: Its window.
    """

    at: int
    place: str
    algorithm: AlgorithmName
    window_us: int


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
        # When to look again whether a state is over: an entry each, moved when it is not.
        self._due: list[Due] = []

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
            # ... or when too much of it is about nothing. The earliest look at a place stays.
            latest_first = sorted(self._due, reverse=True)
            kept = {due.place: due for due in latest_first if due.place in self._states}
            self._due = sorted(kept.values())

    async def aclose(self) -> None:
        """See `Backend.aclose`: nothing was opened."""

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._states.clear()
            self._due.clear()

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Start without counters, and know again at the end of the context what was counted."""
        with self._lock:
            before = self._states, self._due
            self._states, self._due = {}, []
        try:
            yield
        finally:
            with self._lock:
                self._states, self._due = before

    def _decide(self, hits: Sequence[Hit], *, peek: bool) -> tuple[Decision, ...]:
        # Nothing is awaited in here; the lock is for event loops in other threads.
        with self._lock:
            now = self._clock()
            past = now - LINGER_US if len(self._states) < self._max_partitions else now
            if self._due and self._due[0].at <= past:
                self._drop_what_is_over(past)
            if len(hits) == 1 and len(hits[0].keys) == 1:
                return (self._decide_one(hits[0], now, peek=peek),)
            return self._decide_together(hits, now, peek=peek)

    def _decide_one(self, hit: Hit, now: int, *, peek: bool) -> Decision:
        policy, (key,), cost = hit
        quota, algorithm = policy.quotas[0], ALGORITHMS[policy.algorithm]
        place, state = self._find(key)
        verdict, new = algorithm.decide(state, quota, cost, now, charge=not peek)
        if new is not state and not peek:
            self._store(place, new, policy.algorithm, quota)
        return new_tuple(Decision, (not verdict.wait_us, policy, (verdict,), None, False))

    def _decide_together(
        self, hits: Sequence[Hit], now: int, *, peek: bool
    ) -> tuple[Decision, ...]:
        places, claims = [], []
        for policy, keys, cost in hits:
            algorithm = ALGORITHMS[policy.algorithm]
            for key, quota in zip(keys, policy.quotas, strict=True):
                place, state = self._find(key)
                places.append((place, policy.algorithm))
                claims.append(new_tuple(Claim, (algorithm, state, quota, cost)))
        verdicts, states = decide(claims, now, peek=peek)
        for (place, name), claim, state in zip(places, claims, states, strict=True):
            if state is not claim.state:
                self._store(place, state, name, claim.quota)
        return decisions_of(hits, verdicts)

    def _find(self, key: str) -> tuple[str, Any]:
        """Return where *key* counts, by itself or with its bucket's newcomers, and the state."""
        state = self._states.get(key)
        if state is not None:
            return key, state
        # A new place of its own continues what newcomers shared.
        shared = _overflow(key)
        is_full = len(self._states) >= self._max_partitions
        return shared if is_full else key, self._states.get(shared)

    def _store(self, place: str, state: Any, algorithm: AlgorithmName, quota: Quota) -> None:
        if place not in self._states:
            over_at = ALGORITHMS[algorithm].over_at(state, quota.window_us)
            heapq.heappush(self._due, Due(over_at, place, algorithm, quota.window_us))
        self._states[place] = state

    def _drop_what_is_over(self, past: int) -> None:
        queue, states = self._due, self._states
        while queue and queue[0].at <= past:
            due = queue[0]
            state = states.get(due.place)
            over_at = (
                0 if state is None else ALGORITHMS[due.algorithm].over_at(state, due.window_us)
            )
            if over_at > past:
                heapq.heapreplace(queue, due._replace(at=over_at))
            else:
                heapq.heappop(queue)
                states.pop(due.place, None)


def _overflow(key: str) -> str:
    """Return where the newcomers of a key's bucket count together."""
    return "overflow" + key[key.find("}") + 1 :]
