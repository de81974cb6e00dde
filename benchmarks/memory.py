"""Decisions in the process, without any store."""

from benchmarks import field, measure
from benchmarks.field import GCRA, SLIDING, CannotError, Entry
from benchmarks.report import Goal, Section, number
from benchmarks.rounds import Numbers, Outcome, check_bound, in_turns, notes
from benchmarks.run import Run

SITUATIONS = {
    "admitted, 10,000 keys": ((10_000, 60), 10_000, True),
    "admitted, one key": ((10_000_000, 60), 1, True),
    "refused, one key": ((1, 3_600), 1, False),
}
JUDGED = "admitted, 10,000 keys"
SECONDS = 0.2
NOTE = "Decisions per second through the public API of each library, one after the other."


def scene(run: Run) -> Section:
    """Measure all situations."""
    outcomes = {title: _measure(run, title) for title in SITUATIONS}
    judged = outcomes[JUDGED]
    rows = [
        [entry.title, *(number(outcome.number(entry, "rate"), 0) for outcome in outcomes.values())]
        for entry in run.entries
        if entry in judged.rounds
    ]
    table = measure.table(["", *SITUATIONS], rows)
    text = f"{NOTE}\n\n{table}{notes(outcomes.values())}"
    peer = judged.most((entry for entry in run.entries if entry.is_peer), "rate")
    goals = [
        Goal(
            f"in memory, decisions/s, {name}, x fastest peer ({peer.title if peer else 'none'})",
            judged.ratio(entry, peer, "rate"),
            4,
            6,
            is_floor=True,
        )
        for name, entry in (("sliding-window", SLIDING), ("gcra", GCRA))
    ]
    return Section("In memory", text, goals)


def _measure(run: Run, title: str) -> Outcome:
    field.show(f"memory: {title}")
    rule, keys, is_admitted = SITUATIONS[title]
    common = {"store": "memory", "url": "", "rule": rule, "keys": keys}
    outcome = Outcome()
    for entry in run.entries:
        try:
            check_bound(run.field[entry], "memory", "", f"user:{title[0]}{keys}")
            run.field[entry].ask("checks.touch", **common, callers=1)
        except CannotError as error:
            outcome.reasons[entry] = str(error)

    def act(entry: Entry) -> Numbers:
        numbers: Numbers = run.field[entry].ask(
            "checks.closed_loop",
            **common,
            concurrency=1,
            seconds=SECONDS,
            is_admitted=is_admitted,
        )
        return numbers

    return in_turns(run.entries, run.rounds, act, outcome)
