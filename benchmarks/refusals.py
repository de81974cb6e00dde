"""Refusals that the library remembers: no call to the store."""

from benchmarks import field, measure
from benchmarks.checks import server_numbers
from benchmarks.field import GCRA, SLIDING, SLIDING_ASKING, Entry
from benchmarks.redis_server import own_redis, url_of
from benchmarks.report import Goal, Section, number
from benchmarks.rounds import Numbers, Outcome, in_turns, notes
from benchmarks.run import Run

ENTRIES = (SLIDING, SLIDING_ASKING, GCRA)
RULE = (1, 3_600)
CHECKS = 5_000
NOTE = (
    "One caller whose limit is used up, one check after the other: microseconds per check, all in "
    "the library where Redis is not asked, and reads by the server per check."
)


def scene(run: Run) -> Section:
    """Measure it."""
    field.show("refusals")
    # A long series, so that the store is asked once a second and no more.
    outcome = Outcome()
    with own_redis("--databases", "64") as client:
        arguments = {
            entry: {"store": "redis", "url": f"{url_of(client)}/{at}", "rule": RULE, "keys": 1}
            for at, entry in enumerate(ENTRIES)
        }
        for entry in ENTRIES:
            run.field[entry].ask("checks.touch", **arguments[entry], callers=1)

        def act(entry: Entry) -> Numbers:
            before = server_numbers(client)
            numbers: Numbers = run.field[entry].ask(
                "checks.series", **arguments[entry], count=CHECKS, is_admitted=False
            )
            numbers["reads"] = (server_numbers(client)["reads"] - before["reads"] - 1) / CHECKS
            return numbers

        in_turns(ENTRIES, run.rounds, act, outcome)
    rows = [
        [
            entry.title,
            number(outcome.number(entry, "time"), 2),
            number(outcome.number(entry, "reads"), 4),
        ]
        for entry in ENTRIES
    ]
    table = measure.table(["", "us per check", "reads"], rows)
    goal = Goal("a locally cached refusal, us", outcome.number(SLIDING, "time"), 3, 1.5)
    return Section("Remembered refusals", f"{NOTE}\n\n{table}{notes([outcome])}", [goal])
