"""Requests to uvicorn: a limited route against the same route without a limit."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import redis

from benchmarks import field, measure
from benchmarks.checks import server_numbers
from benchmarks.field import (
    GCRA,
    LIMITER,
    LIMITER_02,
    LIMITS,
    NONE,
    PLAIN,
    REDIS_SDK,
    SLIDING,
    SLOWAPI,
    SLOWAPI_HEADERS,
    THROTTLED,
    CannotError,
    Entry,
)
from benchmarks.redis_server import own_redis, url_of
from benchmarks.report import Goal, Section, number
from benchmarks.rounds import LIMIT, WINDOW, Numbers, Outcome, in_turns, notes
from benchmarks.run import Run
from benchmarks.uvicorn_server import Server

FIXED = LIMITS[0]
ENTRIES = (
    *(PLAIN, SLIDING, GCRA, LIMITER, LIMITER_02, FIXED, THROTTLED[0], REDIS_SDK),
    *(SLOWAPI, SLOWAPI_HEADERS),
)
FEW = (SLIDING,)
# What waits for Redis is looked at by Python's garbage collector meanwhile, with all the rest.
FROZEN = (("BENCH_GC", "frozen"),)
NONE_FROZEN = NONE._replace(settings=FROZEN)
SLIDING_FROZEN = SLIDING._replace(settings=(*SLIDING.settings, *FROZEN))
RULES = {"admitted": (10_000_000, 60), "refused": (1, 3_600), "bound": (LIMIT, WINDOW)}
SECONDS = 1
NOTE = (
    "wrk with 64 connections: requests per second, and the ratio to the same route of an app that "
    "has no limiter, a moment before. One caller, or 10,000 addresses in turns. plain EVALSHA and "
    "limits have nothing for FastAPI: their dependency is written by hand, and writes no fields. "
    "Reads: by the server of Redis, per admitted request of one caller. Less garbage collection: "
    "the apps, with and without the limiter, call `gc.freeze()` when they are made, so that what "
    "lasts is not looked at over and over, and `gc.set_threshold(10_000)`. Any `await` in a "
    "dependency lets requests wait in memory, where the collector looks at them."
)


class Load(NamedTuple):
    """What wrk asks for.

    Attributes:
        title: What it is called.
        path: The route.
        free: The load that it is compared with; what is compared with itself is asked of the app
            without a limiter.
        is_spread: Whether many callers ask, not one.
        is_admitted: Whether all are to be admitted; else all but the first refused.
    """

    title: str
    path: str
    free: str
    is_spread: bool
    is_admitted: bool


LOADS = (
    Load("free", "admitted", "free", is_spread=False, is_admitted=True),
    Load("admitted", "admitted", "free", is_spread=False, is_admitted=True),
    Load("refused", "refused", "free", is_spread=False, is_admitted=False),
    Load(
        "free, 10,000 callers",
        "admitted",
        "free, 10,000 callers",
        is_spread=True,
        is_admitted=True,
    ),
    Load(
        "admitted, 10,000 callers",
        "admitted",
        "free, 10,000 callers",
        is_spread=True,
        is_admitted=True,
    ),
)


class Situation(NamedTuple):
    """How the apps are served.

    Attributes:
        title: What it is called.
        workers: How many processes serve an app.
        none: Who has no limiter.
        entries: Who else is served.
        loads: What is asked of them.
    """

    title: str
    workers: int
    none: Entry
    entries: Sequence[Entry]
    loads: Sequence[Load]


ONE = Situation("One worker", 1, NONE, ENTRIES, LOADS)
# As much as tells whether it is different.
TWO = Situation("Two workers", 2, NONE, ENTRIES, LOADS[:3])
LESS_GC = Situation(
    "One worker, less garbage collection", 1, NONE_FROZEN, (SLIDING_FROZEN,), LOADS[:3]
)
SITUATIONS = (ONE, TWO, LESS_GC)


def scene(run: Run) -> Section:
    """Measure all situations."""
    outcomes = {situation: _measure(run, situation) for situation in SITUATIONS}
    parts = [NOTE]
    for situation, outcome in outcomes.items():
        table = _table(outcome, situation.loads)
        parts.append(f"### {situation.title}\n\n{table}{notes([outcome])}")
    return Section("Requests to uvicorn", "\n\n".join(parts), _goals(outcomes))


# --- Measuring ------------------------------------------------------------------------------------


def _measure(run: Run, situation: Situation) -> Outcome:
    title, workers, none, entries, loads = situation
    if run.is_quick:
        entries = [entry for entry in entries if entry.title in {few.title for few in FEW}]
    outcome = Outcome()
    with own_redis("--databases", "64") as client, ExitStack() as servers:
        free = servers.enter_context(Server(none, url_of(client), RULES, workers=workers))
        running: dict[Entry, Server] = {}
        for at, entry in enumerate(entries):
            field.show(f"uvicorn: {title}, {entry.title}")
            server = Server(entry, f"{url_of(client)}/{at}", RULES, workers=workers)
            try:
                running[entry] = servers.enter_context(server)
                _check_bound(server)
            except CannotError as error:
                outcome.reasons[entry] = str(error)
        field.show(f"uvicorn: {title}, rounds")

        def act(entry: Entry) -> Numbers:
            return _round(client, free, running[entry], loads)

        return in_turns(entries, run.rounds, act, outcome)


def _check_bound(server: Server) -> None:
    statuses = server.statuses("/bound", 3 * LIMIT)
    admitted, refused = statuses.count(200), statuses.count(429)
    if admitted not in (LIMIT, LIMIT + 1) or admitted + refused != len(statuses):
        found = {status: statuses.count(status) for status in sorted(set(statuses))}
        message = f"answered {found} to {len(statuses)} requests at a limit of {LIMIT}"
        raise CannotError(message)


def _round(client: redis.Redis, free: Server, server: Server, loads: Sequence[Load]) -> Numbers:
    numbers: Numbers = {}
    for load in loads:
        before = server_numbers(client)
        asked = free if load.title == load.free else server
        seen = asked.load(f"/{load.path}", SECONDS, is_spread=load.is_spread)
        after = server_numbers(client)
        admitted = seen.requests - seen.refused
        if seen.refused if load.is_admitted else admitted > 1:
            message = f"{load.title}: {admitted:,} of {seen.requests:,} requests were admitted"
            raise CannotError(message)
        numbers[load.title] = seen.rate
        numbers[f"{load.title}, x free"] = seen.rate / numbers[load.free]
        numbers[f"{load.title}, reads"] = (after["reads"] - before["reads"] - 1) / seen.requests
    return numbers


# --- Telling and judging --------------------------------------------------------------------------


def _table(outcome: Outcome, loads: Sequence[Load]) -> str:
    rows = [
        [
            entry.title,
            *(_cell(outcome, entry, load) for load in loads),
            number(outcome.number(entry, "admitted, reads"), 3),
        ]
        for entry in outcome.rounds
    ]
    return measure.table(["", *(load.title for load in loads), "reads"], rows)


def _cell(outcome: Outcome, entry: Entry, load: Load) -> str:
    rate = number(outcome.number(entry, load.title), 0)
    if load.title == load.free:
        return rate
    return f"{rate} ({number(outcome.number(entry, f'{load.title}, x free'), 2)})"


def _goals(outcomes: Mapping[Situation, Outcome]) -> list[Goal]:
    one, two = outcomes[ONE], outcomes[TWO]
    return [
        _goal("1 worker", one, "admitted", 0.6, 0.8),
        _goal("1 worker", one, "admitted, 10,000 callers", 0.6, 0.8),
        _goal("1 worker", one, "refused", 0.85, 1.0),
        _goal("2 workers", two, "admitted", 0.55, 0.75),
    ]


def _goal(where: str, outcome: Outcome, what: str, must: float, goal: float) -> Goal:
    measured = outcome.number(SLIDING, f"{what}, x free")
    return Goal(f"uvicorn, {where}, c=64: {what}, x free", measured, must, goal, is_floor=True)
