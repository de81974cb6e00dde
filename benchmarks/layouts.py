"""Compares ways to store the log of the sliding window: time and bytes of small scripts.

Each script in layouts/ keeps the same log, for one quota and hits of cost 1, without the library's
care for clock steps, lost TTLs and unreadable state. All of them must first decide random histories
as the oracle does. The library's own script, whose layout is that of ring.lua, runs along.
"""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import redis

from benchmarks import field, measure, scenes, traffic
from benchmarks.measure import Call, Command, Timing, storage_key
from benchmarks.redis_server import own_redis
from benchmarks.report import Section
from benchmarks.run import Run
from benchmarks.scenes import Scene, Subject
from fastapi_throttle.algorithms import Claim, decide, sliding_window
from fastapi_throttle.backends.redis import script
from fastapi_throttle.backends.redis.batch import Batch, Check
from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import SECOND_US, Hit, Policy, Quota
from fastapi_throttle.notation import quota as make_quota

LAYOUTS = Path(__file__).with_name("layouts")
CANDIDATES = {
    "ring": "ring in place",
    "packed_string": "string as a whole",
    "list": "list",
    "hash": "hash",
}
SHORT, LONG = "steady, 10 entries", "steady, 128 entries"
BYTES_GOALS = {10: 400, 100: 1_500, 128: 1_800, 1_000: 2_400}
NOW = 1_800_000_000 * SECOND_US
MINUTE_US = 60 * SECOND_US
NOTE = (
    "Microseconds per call, and the ratio to the ring. Hits of cost 1, the server's clock. Steady: "
    "old entries leave as new ones come. A limit of 1,000 keeps a log of 174 entries; there 14 of "
    "17 hits join an entry that is already open. `ring in place` is the library's layout in a "
    "script that is as short as the others."
)


def scene(run: Run) -> Section:
    """Check, then measure."""
    field.show("layouts")
    with own_redis() as client:
        subjects = [
            *(candidate(client, name, label) for name, label in CANDIDATES.items()),
            library(client),
        ]
        for subject in subjects:
            check(client, subject)
        times = measure_times(client, subjects, run.short_rounds)
        usage = measure_bytes(client, subjects)
    parts = (
        NOTE,
        time_table(times),
        "Bytes with the limit used up (MEMORY USAGE, keys of 52 bytes):",
        bytes_table(usage),
        conclusion(times, usage),
    )
    return Section("Layouts of the sliding window's log", "\n\n".join(parts))


# --- The scripts ----------------------------------------------------------------------------------


def candidate(client: redis.Redis, name: str, label: str) -> Subject:
    """Return a script of layouts/."""
    parts = (LAYOUTS / f"{part}.lua" for part in ("prelude", name))
    sha = client.script_load("\n".join(part.read_text(encoding="utf-8") for part in parts))

    def command(key: str, quota: Quota, call: Call) -> Command:
        now = "" if call.now is None else call.now
        return "EVALSHA", sha, 1, key, now, quota.limit, quota.window_us

    return Subject(label, command, has_log=True)


def library(client: redis.Redis) -> Subject:
    """Return the library's script."""
    sha = client.script_load(script.TEXT)

    def command(key: str, quota: Quota, call: Call) -> Command:
        hit = Hit(Policy.of((quota,), "sliding-window"), (key,), call.cost)
        check = Check((hit,), script.rule((hit,), peek=False))
        return "EVALSHA", sha, *Batch([check]).arguments(call.now)

    return Subject("the library", command, has_log=True)


# --- The oracle -----------------------------------------------------------------------------------


def check(client: redis.Redis, subject: Subject) -> None:
    """Compare with the oracle.

    Raises:
        RuntimeError: *subject* decides otherwise.
    """
    for seed, limit in enumerate((1, 2, 5, 16, 40, 128, 129, 300, 1_000)):
        quota = make_quota(limit, MINUTE_US)
        calls = history(random.Random(seed), quota, 1_500)  # noqa: S311 - repeatable, not secret
        client.flushall()
        key = storage_key(0)
        commands = (subject.command(key, quota, call) for call in calls)
        replies = list(map(measure.verdict_of, measure.execute(client, commands)))
        for at, (own, right) in enumerate(zip(replies, oracle(quota, calls), strict=True)):
            if own != right:
                message = f"{subject.name}, limit {limit}, hit {at}: {own}, but it is {right}"
                raise RuntimeError(message)


def history(chance: random.Random, quota: Quota, length: int) -> list[Call]:
    """Return hits in bursts, trickles and after pauses; some exactly when something leaves."""
    even = quota.window_us // quota.limit
    steps = (0, 1, even // 3, even, even, quota.window_us // sliding_window.SPANS)
    now = NOW
    calls = []
    for _ in range(length):
        now += chance.choice(steps)
        if chance.random() < 2 / quota.limit:
            now += chance.randrange(2 * quota.window_us)
        calls.append(Call(now, 1))
    return calls


def oracle(quota: Quota, calls: Iterable[Call]) -> list[Verdict]:
    """Return what is right."""
    verdicts = []
    log: Any = None
    for now, cost in calls:
        (verdict,), (log,) = decide([Claim(sliding_window, log, quota, cost)], now)
        verdicts.append(verdict)
    return verdicts


# --- The tables -----------------------------------------------------------------------------------

Times = dict[str, dict[str, Timing]]
Bytes = dict[int, dict[str, int]]


def measure_times(client: redis.Redis, subjects: Sequence[Subject], rounds: int) -> Times:
    """Time all scenes."""
    rows = {
        SHORT: scenes.steady(10),
        LONG: scenes.steady(128),
        "steady, 174 entries, limit 1,000": scenes.steady_crowded(1_000),
        "filling, up to 128 entries": scenes.filling(128),
        "refused, 10 entries": scenes.refused(10),
        "refused, 128 entries": scenes.refused(128),
    }
    return {
        label: scenes.compare(client, in_single_units(scene), subjects, rounds)
        for label, scene in rows.items()
    }


def measure_bytes(client: redis.Redis, subjects: Sequence[Subject]) -> Bytes:
    """Weigh a partition whose limit is used up, for all limits."""
    usage: Bytes = {}
    for limit in BYTES_GOALS:
        quota = make_quota(limit, MINUTE_US)
        calls = single_units(traffic.use_up(quota, NOW))
        usage[limit] = {
            subject.name: scenes.bytes_of(client, subject, quota, calls) for subject in subjects
        }
    return usage


def time_table(times: Times) -> str:
    """Format the times."""
    rows = [[label, *map(str, row.values())] for label, row in times.items()]
    return measure.table(["", *times[SHORT]], rows)


def bytes_table(usage: Bytes) -> str:
    """Format the bytes."""
    rows = [
        [f"limit {limit:,}", *(f"{used:,}" for used in row.values()), f"{BYTES_GOALS[limit]:,}"]
        for limit, row in usage.items()
    ]
    return measure.table(["", *usage[128], "goal"], rows)


def conclusion(times: Times, usage: Bytes) -> str:
    """Say what follows, in the numbers of this run."""
    growth = ", ".join(
        f"{name} {times[LONG][name].time / times[SHORT][name].time:.2f}"
        for name in CANDIDATES.values()
    )
    frugal = ", ".join(
        f"{name} ({times[LONG][name].time:.1f} us at 128 entries)"
        for name in CANDIDATES.values()
        if all(used[name] <= BYTES_GOALS[limit] for limit, used in usage.items())
    )
    return (
        f"What follows: from 10 to 128 entries the time grows by a factor of {growth}. A string "
        "that is read and written whole is made anew by Redis' Lua each time: quick while the log "
        "is short, slow where a limit is much used. The others touch a few entries however long "
        f"the log is. Within the goals for bytes at every limit: {frugal}. The library keeps the "
        "ring in place. Its entries are found by their place, too, which a hit of a larger cost "
        "needs; in the middle of a list they are found by walking. What the library's script takes "
        "on top goes into its other duties: several algorithms, quotas decided together, clock "
        "steps, lost TTLs, unreadable state."
    )


def in_single_units(scene: Scene) -> Scene:
    """Return *scene* with hits of cost 1 that make the same entries."""
    return scene._replace(
        prepare=lambda subject, now: single_units(scene.prepare(subject, now)),
        calls=single_units(scene.calls),
    )


def single_units(calls: Iterable[Call]) -> list[Call]:
    """Split each call into as many of cost 1."""
    return [call._replace(cost=1) for call in calls for _ in range(call.cost)]
