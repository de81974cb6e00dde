"""Whether a check takes longer where many partitions are stored."""

from contextlib import ExitStack

import redis

from benchmarks import field, measure
from benchmarks.checks import server_numbers
from benchmarks.field import SLIDING, Entry
from benchmarks.redis_server import own_redis, url_of
from benchmarks.report import Goal, Section, number
from benchmarks.rounds import Numbers, Outcome, in_turns, notes
from benchmarks.run import Run

FEW, MANY, MANY_IN_HASTE = 1_000, 1_000_000, 100_000
# A window so long that no TTL is renewed meanwhile: that goes by age, not by how many there are.
RULE = (10_000, 86_400)
CHECKS = 10_000
CALLERS = 64
SECONDS = 0.3
NOTE = (
    "Checks of known partitions in no order, sliding-window: microseconds, and the ratio to that "
    "among few. Redis: 64 callers at once, through the library; and the processor time of the "
    "server. Memory: one after the other."
)


def scene(run: Run) -> Section:
    """Measure both stores."""
    sizes = {
        SLIDING._replace(title=f"{size:,} partitions"): size
        for size in (FEW, MANY_IN_HASTE if run.is_quick else MANY)
    }
    few, many = sizes
    outcomes = {"Redis": _in_redis(run, sizes), "memory": _in_memory(run, sizes)}
    columns = (("Redis", "time"), ("Redis", "server"), ("memory", "time"))
    rows = [
        [entry.title, *(_cell(outcomes[store], entry, few, what) for store, what in columns)]
        for entry in sizes
    ]
    table = measure.table(["", "Redis", "Redis, server alone", "memory"], rows)
    goals = [
        Goal(
            f"growth from {FEW:,} to {sizes[many]:,} partitions, time per check, {store}",
            outcome.ratio(many, few, "time"),
            1.2,
            1.1,
        )
        for store, outcome in outcomes.items()
    ]
    return Section("Growth", f"{NOTE}\n\n{table}{notes(outcomes.values())}", goals)


def _in_redis(run: Run, sizes: dict[Entry, int]) -> Outcome:
    outcome = Outcome()
    with ExitStack() as stack:
        clients = {entry: stack.enter_context(own_redis()) for entry in sizes}

        def fill(entry: Entry) -> Numbers:
            field.show(f"growth: {entry.title} in Redis")
            run.field[entry].ask(
                "growth.fill_redis",
                url=url_of(clients[entry]),
                rule=RULE,
                partitions=sizes[entry],
            )
            return {}

        def act(entry: Entry) -> Numbers:
            return _round(run, clients[entry], entry, sizes[entry])

        outcome.reasons.update(in_turns(list(sizes), 1, fill, Outcome()).reasons)
        return in_turns(list(sizes), run.rounds, act, outcome)


def _round(run: Run, client: redis.Redis, entry: Entry, partitions: int) -> Numbers:
    before = server_numbers(client)
    numbers: Numbers = run.field[entry].ask(
        "checks.closed_loop",
        store="redis",
        url=url_of(client),
        rule=RULE,
        keys=partitions,
        concurrency=CALLERS,
        seconds=SECONDS,
        is_admitted=True,
    )
    after = server_numbers(client)
    return {
        "time": 1e6 / numbers["rate"],
        "server": (after["cpu"] - before["cpu"]) / numbers["checks"],
    }


def _in_memory(run: Run, sizes: dict[Entry, int]) -> Outcome:
    def act(entry: Entry) -> Numbers:
        numbers: Numbers = run.field[entry].ask(
            "growth.in_memory", rule=RULE, partitions=sizes[entry], checks=CHECKS
        )
        return numbers

    field.show("growth: in memory")
    # The first time is that of filling.
    in_turns(list(sizes), 1, act, Outcome())
    return in_turns(list(sizes), run.rounds, act, Outcome())


def _cell(outcome: Outcome, entry: Entry, few: Entry, what: str) -> str:
    ratio = number(outcome.ratio(entry, few, what), 2)
    return f"{number(outcome.number(entry, what), 1)} ({ratio})"
