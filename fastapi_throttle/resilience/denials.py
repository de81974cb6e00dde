"""Remembers refusals, so that a caller who goes on asking costs no call to the store."""

import threading
from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from fastapi_throttle.clock import monotonic
from fastapi_throttle.decision import Decision, Verdict
from fastapi_throttle.model import NEVER, SECOND_US, Hit

# Meanwhile another worker may have reset a limit or given units back.
MOST_SECONDS = 1.0


class Denial(NamedTuple):
    """A refusal that still holds: what the store said, when, and until when nobody asks again."""

    decisions: tuple[Decision, ...]
    answered_at: float
    until: float


Denials = dict[tuple[Hit, ...], Denial]


class DenialCache:
    """Refuses again what the store refused, for as long as it would, and for at most a second.

    The wait of a refusal starts when the store decides: after it was asked and before it answers.
    Nobody is refused here after the earliest time at which the store may admit, and nobody is told
    to come back before the latest. So that waits stay true, what is remembered ends when the
    partition may be charged again: a cost of 5 that is refused where 3 units are left is not
    remembered, for they may be used meanwhile. How long a larger cost has to wait only the store
    knows, so it is asked about each.

    Args:
        most: How many to remember. Beyond that the oldest is forgotten: the store is asked again.
        clock: Seconds that only grow.
    """

    def __init__(self, most: int = 10_000, *, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._denials: Denials = {}
        # Event loops of several threads may share a throttle.
        self._lock = threading.Lock()

    def find(self, hits: Sequence[Hit]) -> tuple[Decision, ...] | None:
        """Return the decisions on *hits* if they are still refused, with the wait that is left."""
        denials = self._denials
        denial = denials.get(tuple(hits)) if denials else None
        if denial is None:
            return None
        now = self._clock()
        if now >= denial.until:
            return None
        elapsed_us = int((now - denial.answered_at) * SECOND_US)
        return tuple([_aged(decision, elapsed_us) for decision in denial.decisions])

    def asking(self) -> tuple[Denials, float]:
        """Return what `keep` wants to know of the moment at which the store is asked."""
        return self._denials, self._clock()

    def keep(
        self,
        hits: Sequence[Hit],
        decisions: tuple[Decision, ...],
        denials: Denials,
        asked_at: float,
    ) -> None:
        """Remember that the store refused *hits*.

        Args:
            hits: What was refused.
            decisions: How.
            denials: What `asking` returned when the store was asked.
            asked_at: The same.
        """
        seconds = min(_seconds(decisions), MOST_SECONDS)
        if seconds <= 0:
            return
        key = tuple(hits)
        with self._lock:
            denials.pop(key, None)
            while len(denials) >= self._most:
                del denials[next(iter(denials))]
            denials[key] = Denial(decisions, self._clock(), asked_at + seconds)

    def clear(self) -> None:
        """Forget all, also what the store is being asked now."""
        self._denials = {}


def _seconds(decisions: Sequence[Decision]) -> float:
    """Return for how long the store says the same: meanwhile it admits nobody there at all."""
    return min([_stuck_us(decision.verdicts) for decision in decisions]) / SECOND_US


def _stuck_us(verdicts: Sequence[Verdict]) -> float:
    """Return how long one of the quotas stays used up: nothing can be charged to any of them."""
    if not any(verdict.wait_us for verdict in verdicts) or NEVER in [v.wait_us for v in verdicts]:
        return inf
    return max(verdict.more_us if verdict.remaining == 0 else 0 for verdict in verdicts)


def _aged(decision: Decision, elapsed_us: int) -> Decision:
    verdicts = tuple([_later(*verdict, elapsed_us) for verdict in decision.verdicts])
    return Decision(False, decision.policy, verdicts, None, True)  # noqa: FBT003 - by name is slow


def _later(wait: int, remaining: int, more: int, reset: int, elapsed_us: int) -> Verdict:
    """Return a verdict as of later: what is over by now may only be so at the next question."""
    return Verdict(
        _left(wait, elapsed_us), remaining, _left(more, elapsed_us), _left(reset, elapsed_us)
    )


def _left(us: int, elapsed_us: int) -> int:
    if us <= 0:
        return us
    return us - elapsed_us if us > elapsed_us else 1
