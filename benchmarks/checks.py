"""Checks through each library on Redis: how many a second, at what price."""

from collections.abc import Sequence
from typing import NamedTuple

import redis

from benchmarks import field, measure
from benchmarks.field import GCRA, PLAIN, SLIDING, Entry
from benchmarks.redis_server import own_redis, url_of
from benchmarks.report import Goal, Section
from benchmarks.rounds import Numbers, Outcome, in_turns
from benchmarks.run import Run

KEYS = 10_000
LEVELS = (1, 16, 64, 256)
JUDGED = 64
SECONDS = 0.2
NOTE = (
    'Callers ask, each again as soon as it is answered. "Admitted": limits that are never reached '
    '(100 a minute for each of 10,000 keys, 10 million for the hot one). "Refused": limits that '
    "are used up. Checks per second, and the ratio to one plain EVALSHA per check; p50, p99, the "
    "processor time of client and server are microseconds per check, at 64 callers."
)


class Situation(NamedTuple):
    """What is asked.

    Attributes:
        title: What it is called.
        rule: Limit and window.
        keys: How many keys take turns.
        is_admitted: Whether all of that is admitted; else all is refused.
    """

    title: str
    rule: tuple[int, int]
    keys: int
    is_admitted: bool


SPREAD = Situation("admitted, 10,000 keys", (100, 60), KEYS, is_admitted=True)
HOT = Situation("admitted, one hot key", (10_000_000, 60), 1, is_admitted=True)
SITUATIONS = (
    SPREAD,
    HOT,
    Situation("refused, 10,000 keys", (1, 3_600), KEYS, is_admitted=False),
    Situation("refused, one hot key", (1, 3_600), 1, is_admitted=False),
)

Outcomes = dict[tuple[Situation, int], Outcome]


def scene(run: Run) -> Section:
    """Measure all situations."""
    outcomes: Outcomes = {}
    levels = (1, JUDGED) if run.is_quick else LEVELS
    with own_redis("--databases", "64") as client:
        for situation in SITUATIONS:
            prepared = _prepare(run, client, situation)
            for level in levels:
                field.show(f"checks: {situation.title}, {level} at once")
                outcomes[situation, level] = _measure(run, client, situation, level, prepared)
    tables = [
        f"### {situation.title.capitalize()}\n\n{_table(run.entries, outcomes, situation, levels)}"
        for situation in SITUATIONS
    ]
    text = "\n\n".join((NOTE, *tables))
    return Section("Checks on Redis", text, _goals(run.entries, outcomes))


# --- Measuring ------------------------------------------------------------------------------------


def _prepare(run: Run, client: redis.Redis, situation: Situation) -> Outcome:
    """Let everybody see every key once; a limit of 1 is used up by that."""
    client.flushall()
    outcome = Outcome()

    def touch(entry: Entry) -> Numbers:
        run.field[entry].ask("checks.touch", **_arguments(run, client, situation, entry))
        return {}

    in_turns(run.entries, 1, touch, outcome)
    outcome.rounds.clear()
    return outcome


def _measure(
    run: Run, client: redis.Redis, situation: Situation, level: int, prepared: Outcome
) -> Outcome:
    outcome = Outcome()
    outcome.reasons.update(prepared.reasons)

    def act(entry: Entry) -> Numbers:
        before = _server(client)
        numbers: Numbers = run.field[entry].ask(
            "checks.closed_loop",
            **_arguments(run, client, situation, entry),
            concurrency=level,
            seconds=SECONDS,
            is_admitted=situation.is_admitted,
        )
        after = _server(client)
        checks = numbers["checks"]
        numbers["server"] = (after["cpu"] - before["cpu"]) / checks
        # The last read is that of the question itself.
        numbers["reads"] = (after["reads"] - before["reads"] - 1) / checks
        return numbers

    return in_turns(run.entries, run.rounds, act, outcome)


def _arguments(
    run: Run, client: redis.Redis, situation: Situation, entry: Entry
) -> dict[str, object]:
    return {
        "store": "redis",
        "url": f"{url_of(client)}/{run.entries.index(entry)}",
        "rule": situation.rule,
        "keys": situation.keys,
    }


def _server(client: redis.Redis) -> Numbers:
    """Return what the server has spent so far: microseconds, and reads from sockets."""
    told = client.info("cpu", "stats")
    cpu = told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"]
    return {"cpu": cpu * 1e6, "reads": told["total_reads_processed"]}


# --- Telling --------------------------------------------------------------------------------------


def _table(
    entries: Sequence[Entry], outcomes: Outcomes, situation: Situation, levels: Sequence[int]
) -> str:
    header = ["", *(f"c={level}" for level in levels)]
    header += ["p50", "p99", "client CPU", "Redis CPU", "reads"]
    rows = []
    notes = []
    for entry in entries:
        judged = outcomes[situation, JUDGED]
        speeds = [_speed(outcomes[situation, level], entry) for level in levels]
        rest = [_cell(judged.number(entry, what), 1) for what in ("p50", "p99", "cpu", "server")]
        rows.append([entry.title, *speeds, *rest, _cell(judged.number(entry, "reads"), 3)])
        for level in levels:
            reason = outcomes[situation, level].reasons.get(entry)
            if reason:
                notes.append(f"\n\n{entry.title}, {level} at once: {reason}.")
                break
    return measure.table(header, rows) + "".join(notes)


def _speed(outcome: Outcome, entry: Entry) -> str:
    rate, ratio = outcome.number(entry, "rate"), outcome.ratio(entry, PLAIN, "rate")
    return "-" if rate is None or ratio is None else f"{rate:,.0f} ({ratio:.2f})"


def _cell(number: float | None, digits: int) -> str:
    return "-" if number is None else f"{number:,.{digits}f}"


# --- Judging --------------------------------------------------------------------------------------


def _goals(entries: Sequence[Entry], outcomes: Outcomes) -> list[Goal]:
    peers = [entry for entry in entries if entry.is_peer]
    spread, hot, alone = (outcomes[at] for at in ((SPREAD, JUDGED), (HOT, JUDGED), (SPREAD, 1)))

    def against_peers(outcome: Outcome, entry: Entry) -> float | None:
        return outcome.ratio(entry, outcome.most(peers, "rate"), "rate")

    def floor(what: str, measured: float | None, must: float, goal: float) -> Goal:
        return Goal(what, measured, must, goal, is_floor=True)

    rate = "checks/s on Redis, c=64"
    return [
        floor(f"{rate}, 10k keys, gcra, x fastest peer", against_peers(spread, GCRA), 4, 5.5),
        floor(
            f"{rate}, 10k keys, sliding-window, x fastest peer",
            against_peers(spread, SLIDING),
            3,
            4.5,
        ),
        floor(f"{rate}, one hot key, gcra, x fastest peer", against_peers(hot, GCRA), 8, 12),
        floor(
            f"{rate}, one hot key, sliding-window, x fastest peer",
            against_peers(hot, SLIDING),
            6,
            10,
        ),
        floor("checks/s on Redis, c=1, gcra, x fastest peer", against_peers(alone, GCRA), 0.75, 1),
        floor(
            "checks/s on Redis, c=1, sliding-window, x fastest peer",
            against_peers(alone, SLIDING),
            0.75,
            1,
        ),
        Goal(
            "client CPU per check, c=64, gcra, x plain",
            spread.ratio(GCRA, PLAIN, "cpu"),
            1 / 6,
            1 / 8,
        ),
        Goal(
            "client CPU per check, c=64, sliding-window, x plain",
            spread.ratio(SLIDING, PLAIN, "cpu"),
            1 / 6,
            1 / 8,
        ),
        Goal(
            "Redis CPU per check, c=64, gcra, x plain",
            spread.ratio(GCRA, PLAIN, "server"),
            1 / 3,
            1 / 4,
        ),
        Goal(
            "Redis CPU per check, c=64, sliding-window, x plain",
            spread.ratio(SLIDING, PLAIN, "server"),
            1 / 2,
            1 / 3,
        ),
        Goal("socket reads per check, c=64", spread.number(SLIDING, "reads"), 0.06, 0.03),
    ]
