"""The script alone: server time per call and bytes per partition, against a plain GCRA script."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import redis

from benchmarks import field, measure, traffic
from benchmarks.measure import Call, Command, Timing
from benchmarks.redis_server import own_redis
from benchmarks.report import Goal, Section
from benchmarks.run import Run
from benchmarks.scenes import LIMITS, Scene, Subject, bytes_of, compare, groups, used_up
from fastapi_throttle.algorithms import ALGORITHMS, gcra, sliding_window
from fastapi_throttle.backends.redis import script
from fastapi_throttle.backends.redis.batch import Batch, Check
from fastapi_throttle.model import SECOND_US, AlgorithmName, Hit, Policy, Quota
from fastapi_throttle.notation import quota as make_quota

PLAIN = "plain GCRA"
MINUTE_US = 60 * SECOND_US
# 128 is the longest exact log.
BYTES_LIMITS = tuple(sorted((*LIMITS, sliding_window.EXACT)))
TIME_GOAL = 1.8
BYTES_GOALS = {
    "sliding-window": {10: 400, 100: 1_500, 128: 1_800, 1_000: 2_400, 100_000: 2_400},
    "gcra": dict.fromkeys(BYTES_LIMITS, 120),
}


def scene(run: Run) -> Section:
    """Measure all of it."""
    goals: list[Goal] = []
    parts = []
    with own_redis() as client:
        subjects = load_subjects(client)
        for group in groups():
            field.show(f"script: {group.title}")
            timings = [compare(client, scene, subjects, run.short_rounds) for scene in group.scenes]
            parts.append(f"{group.title}\n\n{time_table(group.scenes, timings)}")
            if group.is_judged:
                goals += time_goals(group.scenes, timings)
        usage = measure_bytes(client, subjects)
    parts.append(f"### Bytes per partition\n\n{BYTES_NOTE}\n\n{bytes_table(usage)}")
    goals += bytes_goals(usage)
    return Section(
        "The script: microseconds per call, and the ratio to a plain GCRA script",
        "\n\n".join(parts),
        goals,
    )


# --- The scripts ----------------------------------------------------------------------------------


def load_subjects(client: redis.Redis) -> list[Subject]:
    """Load the scripts into *client*'s server; the yardstick comes first."""
    return [plain_subject(client), *(library_subject(client, name) for name in ALGORITHMS)]


def plain_subject(client: redis.Redis) -> Subject:
    """Return the plain GCRA script: one version per source of time, each with the least to do."""
    text = Path(__file__).with_name("plain_gcra.lua").read_text(encoding="utf-8")
    ask = 'local time = redis.call("TIME") local now = time[1] * 1000000 + time[2]\n'
    by_server = client.script_load(ask + text)
    by_argument = client.script_load("local now = tonumber(ARGV[1])\n" + text)

    def command(key: str, quota: Quota, call: Call) -> Command:
        sha, now = (by_server, "") if call.now is None else (by_argument, call.now)
        return "EVALSHA", sha, 1, key, now, *gcra.parameters(quota), call.cost

    return Subject(PLAIN, command, has_log=False)


def library_subject(client: redis.Redis, algorithm: AlgorithmName) -> Subject:
    """Return the library's script with one of its algorithms."""
    sha = client.script_load(script.TEXT)

    def command(key: str, quota: Quota, call: Call) -> Command:
        hit = Hit(Policy.of((quota,), algorithm), (key,), call.cost)
        check = Check((hit,), script.rule((hit,), peek=False))
        return "EVALSHA", sha, *Batch([check]).arguments(call.now)

    return Subject(algorithm, command, has_log=algorithm == "sliding-window")


# --- Time -----------------------------------------------------------------------------------------


def time_table(scenes: Sequence[Scene], timings: Sequence[dict[str, Timing]]) -> str:
    """Format one group."""
    rows = [
        [scene.label, *(str(timing) for timing in row.values())]
        for scene, row in zip(scenes, timings, strict=True)
    ]
    return measure.table(["limit", *timings[0]], rows)


def time_goals(scenes: Sequence[Scene], timings: Sequence[dict[str, Timing]]) -> Iterator[Goal]:
    """Judge the default algorithm."""
    for scene, row in zip(scenes, timings, strict=True):
        ratio = row["sliding-window"].ratio
        yield Goal(f"sliding-window, steady, limit {scene.label}: x plain GCRA", ratio, TIME_GOAL)


# --- Bytes ----------------------------------------------------------------------------------------

# When does not matter.
NOW = 1_800_000_000 * SECOND_US
BYTES_NOTE = (
    "MEMORY USAGE with the limit used up, windows of 60 s, keys of 52 bytes. The entry of the TTL "
    "in Redis' table of expiries (24 bytes and its share of the table) is not in it."
)


def measure_bytes(client: redis.Redis, subjects: Sequence[Subject]) -> dict[int, dict[str, int]]:
    """Return the bytes of a partition whose limit is used up, for each limit and script."""
    usage: dict[int, dict[str, int]] = {}
    for limit in BYTES_LIMITS:
        quota = make_quota(limit, MINUTE_US)
        usage[limit] = {
            subject.name: bytes_of(client, subject, quota, used_up(subject, quota, NOW))
            for subject in subjects
        }
    return usage


def bytes_table(usage: dict[int, dict[str, int]]) -> str:
    """Format the bytes, with the length of the log as the oracle has it."""
    header = ["limit", *usage[BYTES_LIMITS[0]], "entries of the log"]
    rows = [
        [f"{limit:,}", *(f"{used:,}" for used in row.values()), str(log_length(limit))]
        for limit, row in usage.items()
    ]
    return measure.table(header, rows)


def log_length(limit: int) -> int:
    """Return how many entries the oracle's log has when the limit is used up."""
    quota = make_quota(limit, MINUTE_US)
    log = None
    for now, cost in traffic.use_up(quota, NOW):
        _, log = sliding_window.decide(log, quota, cost, now, charge=True)
    return len(log.entries) if log else 0


def bytes_goals(usage: dict[int, dict[str, int]]) -> Iterator[Goal]:
    """Judge the bytes."""
    for name, goals in BYTES_GOALS.items():
        for limit, at_most in goals.items():
            yield Goal(f"{name}, limit {limit:,}: bytes", usage[limit][name], at_most)
