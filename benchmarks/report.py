"""What a scene leaves behind: text, goals that are met or not, pictures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.measure import table


class Goal(NamedTuple):
    """A number to reach.

    Attributes:
        what: What was measured.
        measured: The number; None where there is none to compare with.
        must: The least (or the most) that will do.
        goal: What is aimed at; None where *must* is all there is.
        is_floor: Whether more is better.
    """

    what: str
    measured: float | None
    must: float
    goal: float | None = None
    is_floor: bool = False

    @property
    def is_met(self) -> bool:
        """Whether it will do."""
        return self.reaches(self.must)

    def reaches(self, bound: float) -> bool:
        """Whether the number is as good as *bound*."""
        if self.measured is None:
            return False
        return self.measured >= bound if self.is_floor else self.measured <= bound


class Section(NamedTuple):
    """A chapter of the page."""

    title: str
    text: str
    goals: Sequence[Goal] = ()
    pictures: Mapping[str, str] = {}


def goals_table(goals: Iterable[Goal]) -> str:
    """Format the goals."""
    rows = [
        [
            goal.what,
            f"{'>=' if goal.is_floor else '<='} {_figures(goal.must)}",
            _figures(goal.goal),
            _figures(goal.measured),
            _word(goal),
        ]
        for goal in goals
    ]
    return table(["", "must", "goal", "measured", "met"], rows)


def _word(goal: Goal) -> str:
    if not goal.is_met:
        return "NO"
    if goal.goal is None or goal.reaches(goal.goal):
        return "yes"
    return "must"


def number(value: float | None, digits: int) -> str:
    """Format a number with so many decimals, or that there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def _figures(value: float | None) -> str:
    """Format a number in three figures."""
    return number(value, 0) if value is None or value >= 100 else f"{value:.3g}"
