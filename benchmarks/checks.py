"""Checks through each library on Redis: how many a second, and at what price."""

from collections.abc import Sequence
from typing import NamedTuple

import redis

from benchmarks import field, measure, picture
from benchmarks.field import GCRA, PLAIN, SLIDING, SLIDING_ASKING, Entry
from benchmarks.redis_server import own_redis, url_of
from benchmarks.report import Goal, Section, number
from benchmarks.rounds import Numbers, Outcome, check_bound, in_turns, notes
from benchmarks.run import Run

KEYS = 10_000
LEVELS = (1, 16, 64, 256)
JUDGED = 64
SECONDS = 0.2
NOTE = (
    "So many callers ask at once, each again as soon as it is answered. Admitted: limits that are "
    "never reached (100 a minute for each of 10,000 keys, 10 million for the hot one). Refused: "
    "limits that are used up. Checks per second, and the ratio to one plain EVALSHA per check. "
    "Columns from p50 on: at 64 callers, in microseconds; processor time of client and server, and "
    "reads from sockets by the server, per check."
)


class Situation(NamedTuple):
    """What is asked.

    Attributes:
        title: What it is called.
        picture: The file name of its picture.
        rule: Limit and window.
        keys: How many keys take turns.
        is_admitted: Whether all of that is admitted; else all is refused.
    """

    title: str
    picture: str
    rule: tuple[int, int]
    keys: int
    is_admitted: bool


SPREAD = Situation("Admitted, 10,000 keys", "admitted-keys", (100, 60), KEYS, is_admitted=True)
HOT = Situation("Admitted, one hot key", "admitted-key", (10_000_000, 60), 1, is_admitted=True)
SITUATIONS = (
    SPREAD,
    HOT,
    Situation("Refused, 10,000 keys", "refused-keys", (1, 3_600), KEYS, is_admitted=False),
    Situation("Refused, one hot key", "refused-key", (1, 3_600), 1, is_admitted=False),
)

# By level: how many callers there are.
Outcomes = dict[int, Outcome]


class Measured(NamedTuple):
    """A situation, who was in it, and what was measured."""

    situation: Situation
    entries: Sequence[Entry]
    outcomes: Outcomes


def scene(run: Run) -> Section:
    """Measure all situations."""
    with own_redis("--databases", "64") as client:
        measured = {situation: _measure(run, client, situation) for situation in SITUATIONS}
    parts = [NOTE]
    for each in measured.values():
        parts += [f"### {each.situation.title}", *_picture_link(each), _table(each)]
    pictures = {
        f"benchmarks-{each.situation.picture}.svg": _picture(each) for each in measured.values()
    }
    return Section(
        "Checks on Redis", "\n\n".join(parts), _goals(measured[SPREAD], measured[HOT]), pictures
    )


# --- Measuring ------------------------------------------------------------------------------------


def _measure(run: Run, client: redis.Redis, situation: Situation) -> Measured:
    entries = list(run.entries)
    if not situation.is_admitted:
        entries.insert(entries.index(SLIDING) + 1, SLIDING_ASKING)
    # New processes: nobody keeps connections that another situation needed.
    run.field.close()
    client.flushall()
    urls = {entry: f"{url_of(client)}/{at}" for at, entry in enumerate(entries)}
    prepared = Outcome()

    def prepare(entry: Entry) -> Numbers:
        worker = run.field[entry]
        check_bound(worker, "redis", urls[entry], "user:bound")
        arguments = {"url": urls[entry], "rule": situation.rule, "keys": situation.keys}
        worker.ask("checks.touch", store="redis", **arguments, callers=max(LEVELS))
        return {}

    in_turns(entries, 1, prepare, prepared)
    outcomes: Outcomes = {}
    for level in (1, JUDGED) if run.is_quick else LEVELS:
        field.show(f"checks: {situation.title}, {level} at once")

        def act(entry: Entry, level: int = level) -> Numbers:
            return _round(
                run,
                client,
                entry,
                url=urls[entry],
                rule=situation.rule,
                keys=situation.keys,
                concurrency=level,
                seconds=SECONDS,
                is_admitted=situation.is_admitted,
            )

        outcomes[level] = Outcome(prepared.reasons)
        in_turns(entries, run.rounds, act, outcomes[level])
    return Measured(situation, entries, outcomes)


def _round(run: Run, client: redis.Redis, entry: Entry, **arguments: object) -> Numbers:
    before = server_numbers(client)
    numbers: Numbers = run.field[entry].ask("checks.closed_loop", store="redis", **arguments)
    after = server_numbers(client)
    checks = numbers["checks"]
    numbers["server"] = (after["cpu"] - before["cpu"]) / checks
    # The last read is that of the question itself.
    numbers["reads"] = (after["reads"] - before["reads"] - 1) / checks
    return numbers


def server_numbers(client: redis.Redis) -> Numbers:
    """Return what the server has spent so far: microseconds, and reads from sockets."""
    told = client.info("cpu", "stats")
    cpu = told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"]
    return {"cpu": cpu * 1e6, "reads": told["total_reads_processed"]}


# --- Telling --------------------------------------------------------------------------------------


def _table(measured: Measured) -> str:
    _, entries, outcomes = measured
    judged = outcomes[JUDGED]
    header = ["", *(f"c={level}" for level in outcomes)]
    header += ["p50", "p99", "client CPU", "Redis CPU", "reads"]
    rows = [
        [
            entry.title,
            *(_speed(outcome, entry) for outcome in outcomes.values()),
            *(number(judged.number(entry, what), 0) for what in ("p50", "p99")),
            *(number(judged.number(entry, what), 1) for what in ("cpu", "server")),
            number(judged.number(entry, "reads"), 3),
        ]
        for entry in entries
        if any(entry in outcome.rounds for outcome in outcomes.values())
    ]
    return measure.table(header, rows) + notes(outcomes.values())


def _speed(outcome: Outcome, entry: Entry) -> str:
    rate, ratio = outcome.number(entry, "rate"), outcome.ratio(entry, PLAIN, "rate")
    return f"{number(rate, 0)} ({number(ratio, 2)})"


def _picture_link(measured: Measured) -> list[str]:
    title, name, *_ = measured.situation
    return [f"![{title}: checks per second over callers](benchmarks-{name}.svg)"]


def _picture(measured: Measured) -> str:
    lines = {
        entry.title: (
            [outcome.number(entry, "rate") or 0.0 for outcome in measured.outcomes.values()],
            entry.is_ours,
        )
        for entry in measured.entries
        if all(entry in outcome.rounds for outcome in measured.outcomes.values())
    }
    return picture.draw(f"{measured.situation.title}: checks per second", measured.outcomes, lines)


# --- Judging --------------------------------------------------------------------------------------


def _goals(spread: Measured, hot: Measured) -> list[Goal]:
    judged = spread.outcomes[JUDGED]
    return [
        *_speed_goals("c=64, 10,000 keys", spread, JUDGED, gcra=(4, 5.5), sliding=(3, 4.5)),
        *_speed_goals("c=64, one hot key", hot, JUDGED, gcra=(8, 12), sliding=(6, 10)),
        *_speed_goals("c=1, 10,000 keys", spread, 1, gcra=(0.75, 1), sliding=(0.75, 1)),
        *(
            Goal(
                f"client CPU per check, c=64, {name}, x plain EVALSHA",
                judged.ratio(entry, PLAIN, "cpu"),
                1 / 6,
                1 / 8,
            )
            for name, entry in (("gcra", GCRA), ("sliding-window", SLIDING))
        ),
        *(
            Goal(
                f"Redis CPU per check, c=64, {name}, x plain EVALSHA",
                judged.ratio(entry, PLAIN, "server"),
                must,
                goal,
            )
            for name, entry, must, goal in (
                ("gcra", GCRA, 1 / 3, 1 / 4),
                ("sliding-window", SLIDING, 1 / 2, 1 / 3),
            )
        ),
        Goal("socket reads per check, c=64", judged.number(SLIDING, "reads"), 0.06, 0.03),
    ]


def _speed_goals(
    where: str,
    measured: Measured,
    level: int,
    *,
    gcra: tuple[float, float],
    sliding: tuple[float, float],
) -> list[Goal]:
    outcome = measured.outcomes[level]
    peer = outcome.most((entry for entry in measured.entries if entry.is_peer), "rate")
    against = f"x fastest peer ({peer.title if peer else 'none'})"
    return [
        Goal(
            f"checks/s on Redis, {where}, {name}, {against}",
            outcome.ratio(entry, peer, "rate"),
            must,
            goal,
            is_floor=True,
        )
        for name, entry, (must, goal) in (
            ("gcra", GCRA, gcra),
            ("sliding-window", SLIDING, sliding),
        )
    ]
