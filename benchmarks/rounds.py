"""Rounds in turns: everybody does the same, one after the other, over and over.

Numbers are medians over the rounds; a ratio is the median of the ratios within each round, because
a machine that others use is faster one second and slower the next.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from types import MappingProxyType

from benchmarks.field import CannotError, Entry, Worker

# What every contender must do before it is timed: admit about so many of so many checks.
LIMIT, WINDOW, CHECKS = 10, 60, 30

Numbers = dict[str, float]


class Outcome:
    """What the rounds of one scene brought.

    Attributes:
        rounds: The numbers of each round, of all who took part in all of them.
        reasons: Why the others did not.
    """

    def __init__(self, reasons: Mapping[Entry, str] = MappingProxyType({})) -> None:
        self.rounds: dict[Entry, list[Numbers]] = {}
        self.reasons: dict[Entry, str] = dict(reasons)

    def number(self, entry: Entry, what: str) -> float | None:
        """Return the median."""
        rounds = self.rounds.get(entry)
        return median(numbers[what] for numbers in rounds) if rounds else None

    def ratio(self, entry: Entry | None, to: Entry | None, what: str) -> float | None:
        """Return the median of the ratios to somebody else's number in the same round."""
        if entry not in self.rounds or to not in self.rounds:
            return None
        pairs = zip(self.rounds[entry], self.rounds[to], strict=True)
        return median(own[what] / base[what] for own, base in pairs)

    def most(self, entries: Iterable[Entry], what: str) -> Entry | None:
        """Return who has the largest number."""
        numbers = {entry: self.number(entry, what) for entry in entries if entry in self.rounds}
        return max(numbers, key=lambda entry: numbers[entry] or 0.0, default=None)


def notes(outcomes: Iterable[Outcome]) -> str:
    """Return who did not take part and why, as what follows a table."""
    reasons: dict[str, str] = {}
    for outcome in outcomes:
        for entry, reason in outcome.reasons.items():
            reasons.setdefault(entry.title, reason)
    if not reasons:
        return ""
    return "\n\nNot measured: " + "; ".join(f"{who} ({why})" for who, why in reasons.items()) + "."


def check_bound(worker: Worker, store: str, url: str, key: str) -> None:
    """Make sure that a contender limits.

    Raises:
        CannotError: It admits another number than its limit, or cannot at all.
    """
    counts = worker.ask(
        "checks.admitted", store=store, url=url, rule=(LIMIT, WINDOW), key=key, checks=CHECKS
    )
    # What a smooth algorithm pays back in a moment may be one more.
    if any(count not in (LIMIT, LIMIT + 1) for count in counts):
        message = f"admitted {counts} of {CHECKS} checks at a limit of {LIMIT}"
        raise CannotError(message)


def in_turns(
    entries: Sequence[Entry], rounds: int, act: Callable[[Entry], Numbers], outcome: Outcome
) -> Outcome:
    """Let all *entries* act, so many rounds; who cannot is out, and *outcome* says why."""
    for number in range(rounds):
        for turn in range(len(entries)):
            # Nobody always follows the same neighbour.
            entry = entries[(turn + number) % len(entries)]
            if entry in outcome.reasons:
                continue
            try:
                outcome.rounds.setdefault(entry, []).append(act(entry))
            except CannotError as error:
                outcome.rounds.pop(entry, None)
                outcome.reasons[entry] = str(error)
    return outcome
