"""Callers who arrive at a steady rate, whether those before them were answered or not."""

from benchmarks import field, measure
from benchmarks.field import GCRA, LIMITER, PLAIN, SLIDING, Entry
from benchmarks.redis_server import own_redis, url_of
from benchmarks.report import Goal, Section, number
from benchmarks.rounds import Numbers, Outcome, in_turns, notes
from benchmarks.run import Run

ENTRIES = (PLAIN, SLIDING, GCRA, LIMITER)
JUDGED = 5_000
# Up to what one process can just do, or not do any more, with one call per check.
RATES = (1_000, JUDGED, 15_000, 20_000)
SECONDS = 2.0
RULE, KEYS = (100, 60), 10_000
NOTE = (
    "Checks that are admitted, 10,000 keys. Microseconds from when a caller was due until it was "
    "answered: p50 / p99, and the ratio of the p99 to that of one plain EVALSHA per check. A p99 "
    "of milliseconds where the p50 is far below is the machine's: it stood still so long."
)


def scene(run: Run) -> Section:
    """Measure all rates."""
    outcomes = {}
    with own_redis("--databases", "64") as client:
        for rate in (JUDGED,) if run.is_quick else RATES:
            field.show(f"arrivals: {rate:,} a second")
            # Nobody keeps connections from a higher rate, and no key what it used.
            run.field.close()
            client.flushall()
            outcomes[rate] = _measure(run, url_of(client), rate)
    rows = [
        [entry.title, *(_cell(outcome, entry) for outcome in outcomes.values())]
        for entry in ENTRIES
    ]
    table = measure.table(["", *(f"{rate:,} a second" for rate in outcomes)], rows)
    goals = [
        Goal(
            f"p99 at {JUDGED:,} arrivals/s, {name}, x plain EVALSHA",
            outcomes[JUDGED].ratio(entry, PLAIN, "p99"),
            0.25,
            0.1,
        )
        for name, entry in (("gcra", GCRA), ("sliding-window", SLIDING))
    ]
    return Section("Arrivals", f"{NOTE}\n\n{table}{notes(outcomes.values())}", goals)


def _measure(run: Run, url: str, rate: int) -> Outcome:
    outcome = Outcome()
    arguments = {
        entry: {"store": "redis", "url": f"{url}/{at}", "rule": RULE, "keys": KEYS}
        for at, entry in enumerate(ENTRIES)
    }

    def prepare(entry: Entry) -> Numbers:
        run.field[entry].ask("checks.touch", **arguments[entry], callers=64)
        return {}

    def act(entry: Entry) -> Numbers:
        numbers: Numbers = run.field[entry].ask(
            "checks.open_loop", **arguments[entry], rate=rate, seconds=SECONDS
        )
        return numbers

    outcome.reasons.update(in_turns(ENTRIES, 1, prepare, Outcome()).reasons)
    return in_turns(ENTRIES, run.rounds, act, outcome)


def _cell(outcome: Outcome, entry: Entry) -> str:
    p50, p99 = (number(outcome.number(entry, what), 0) for what in ("p50", "p99"))
    failures = outcome.number(entry, "failures")
    failed = f", {failures:,.0f} failed" if failures else ""
    return f"{p50} / {p99} ({number(outcome.ratio(entry, PLAIN, 'p99'), 2)}){failed}"
