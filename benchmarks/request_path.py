"""What a limit costs a request inside the process: dependency, layer and fields."""

from benchmarks import field, measure
from benchmarks.field import SLIDING
from benchmarks.report import Goal, Section
from benchmarks.rounds import Outcome, in_turns
from benchmarks.run import Run

REQUESTS = 4_000
NOTE = (
    "An app called in process, without a socket; a backend that admits everything and does "
    "nothing. What is added is the dependency, the ASGI layer and the fields of the response."
)


def scene(run: Run) -> Section:
    """Measure it."""
    field.show("request: in process")
    outcome = in_turns(
        [SLIDING],
        run.rounds,
        lambda entry: run.field[entry].ask("request_path.requests", count=REQUESTS),
        Outcome(),
    )
    bare, limited, added = (
        outcome.number(SLIDING, what) or 0.0 for what in ("bare", "limited", "added")
    )
    rows = [["bare route", f"{bare:.1f}", ""], ["limited", f"{limited:.1f}", f"{added:.2f}"]]
    text = measure.table(["", "us per request", "added, x bare"], rows)
    goal = Goal("in-process cost of dependency, layer and fields, x a bare route", added, 0.9, 0.6)
    return Section("The request path", f"{NOTE}\n\n{text}", [goal])
