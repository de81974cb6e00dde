"""What every scene is given."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.field import Entry, Field


class Run(NamedTuple):
    """One run of the benchmarks.

    Attributes:
        field: The contenders' processes.
        entries: Who takes part.
        rounds: How often each does the same.
        is_quick: Whether a few numbers will do.
    """

    field: Field
    entries: Sequence[Entry]
    rounds: int
    is_quick: bool

    @property
    def short_rounds(self) -> int:
        """How often what takes little time is done: its numbers are to be steadier."""
        return self.rounds if self.is_quick else 2 * self.rounds + 1
