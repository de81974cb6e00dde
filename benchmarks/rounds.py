"""Rounds in turns: everybody does the same, one after the other, over and over.

Numbers are medians over the rounds; a ratio is the median of the ratios within each round, because
a machine that others use is faster one second and slower the next.
"""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks.field import CannotError, Entry

Numbers = dict[str, float]


class Outcome:
    """What the rounds of one scene brought.

    Attributes:
        rounds: The numbers of each round, of all who took part in all of them.
        reasons: Why the others did not.
    """

    def __init__(self) -> None:
        self.rounds: dict[Entry, list[Numbers]] = {}
        self.reasons: dict[Entry, str] = {}

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
        numbers = {entry: self.number(entry, what) or 0.0 for entry in entries}
        return max(numbers, key=lambda entry: numbers[entry], default=None)


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
