"""The situations that the scripts are timed in."""

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

import redis

from benchmarks import measure, traffic
from benchmarks.measure import Call, Command, Timing, storage_key
from fastapi_throttle.model import SECOND_US, Quota
from fastapi_throttle.notation import quota as make_quota

LIMITS = (10, 100, 1_000, 100_000)
# What is timed per round, about; few enough partitions that they stay in the processor's cache.
CALLS = 3_000
PARTITIONS = 200
# While a round lasts, nothing leaves a log of a day and next to no debt is paid back.
DAY_US = 86_400 * SECOND_US


class Subject(NamedTuple):
    """A script under measurement.

    Attributes:
        name: What it is called in the tables.
        command: Returns what is sent for one hit of a key.
        has_log: Whether it keeps a log, so that what was used leaves by its own age.
    """

    name: str
    command: Callable[[str, Quota, Call], Command]
    has_log: bool


class Scene(NamedTuple):
    """One row of a table.

    Attributes:
        label: What is called.
        quota: The limit and its window.
        prepare: Returns the calls that bring a partition of a script into the state to start from;
            the number is the server's time.
        calls: What a partition gets.
        is_admitted: Whether all of that is admitted; else all is refused.
        most_partitions: How many partitions there are at most.
    """

    label: str
    quota: Quota
    prepare: Callable[[Subject, int], list[Call]]
    calls: Sequence[Call]
    is_admitted: bool
    most_partitions: int = PARTITIONS

    @property
    def partitions(self) -> int:
        """How many partitions are called in turns."""
        return min(max(CALLS // len(self.calls), 1), self.most_partitions)

    @property
    def repetitions(self) -> int:
        """How often a round does this, prepared anew each time."""
        return max(CALLS // (len(self.calls) * self.partitions), 1)


class Group(NamedTuple):
    """One table, and whether the goal for time is judged by it."""

    title: str
    scenes: list[Scene]
    is_judged: bool = False


def groups() -> list[Group]:
    """Return what is measured."""
    return [
        Group(
            "Steady. The log is as full as hits of cost 1 at the rate of the limit make it. An "
            'entry leaves, and what it frees is used again by hits of cost 1. "Crowded": every '
            "hit makes an entry of its own, the log is as long as it can stay.",
            [
                *(steady(limit) for limit in LIMITS),
                *(steady_crowded(limit) for limit in (1_000, 100_000)),
            ],
            is_judged=True,
        ),
        Group(
            f"Steady over {CALLS:,} partitions, not {PARTITIONS} as elsewhere: colder caches.",
            [steady(limit)._replace(most_partitions=CALLS) for limit in (10, 100)],
        ),
        Group(
            "Filling. From no state at all to the limit, in hits of cost 1 (100,000: cost 25).",
            [filling(limit) for limit in LIMITS],
        ),
        Group(
            "Refused. The limit is used up, the log as long as it can be; hits of cost 1.",
            [refused(limit) for limit in LIMITS],
        ),
    ]


def steady(limit: int) -> Scene:
    """Return the scene of a partition that is called at the rate of the limit."""
    quota = make_quota(limit, DAY_US)

    def prepare(subject: Subject, now: int) -> list[Call]:
        return traffic.evenly(quota, now) if subject.has_log else [Call(now, limit // 2)]

    calls = [Call(None, 1)] * traffic.grain(quota)
    return Scene(f"{limit:,}", quota, prepare, calls, is_admitted=True)


def steady_crowded(limit: int) -> Scene:
    """Return the same with hits that make the most entries."""
    quota = make_quota(limit, DAY_US)

    def prepare(subject: Subject, now: int) -> list[Call]:
        return traffic.crowded(quota, now) if subject.has_log else [Call(now, limit // 2)]

    calls = [Call(None, cost) for cost in traffic.crowded_costs(quota)]
    return Scene(f"{limit:,}, crowded", quota, prepare, calls, is_admitted=True)


def filling(limit: int) -> Scene:
    """Return the scene of a new partition that uses its whole limit."""
    cost = 25 if limit == 100_000 else 1
    calls = [Call(None, cost)] * (limit // cost)
    return Scene(f"{limit:,}", make_quota(limit, DAY_US), lambda *_: [], calls, is_admitted=True)


def refused(limit: int) -> Scene:
    """Return the scene of a partition whose limit is used up."""
    quota = make_quota(limit, DAY_US)
    return Scene(
        f"{limit:,}",
        quota,
        lambda subject, now: used_up(subject, quota, now),
        [Call(None, 1)] * 150,
        is_admitted=False,
    )


def used_up(subject: Subject, quota: Quota, now: int) -> list[Call]:
    """Use the whole limit up to *now*, in the way that costs the most bytes."""
    return traffic.use_up(quota, now) if subject.has_log else [Call(now, quota.limit)]


def compare(
    client: redis.Redis, scene: Scene, subjects: Sequence[Subject], rounds: int
) -> dict[str, Timing]:
    """Time *subjects* in turns; the first of them is the yardstick."""
    spent: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for number in range(rounds):
        for turn in range(len(subjects)):
            # Nobody always follows the same neighbour.
            subject = subjects[(turn + number) % len(subjects)]
            spent[subject.name].append(script_time(client, scene, subject))
    return measure.timings(spent, subjects[0].name)


def script_time(client: redis.Redis, scene: Scene, subject: Subject) -> float:
    """Return the microseconds per call in one round."""
    commands = commands_of(scene, subject)
    times = []
    for _ in range(scene.repetitions):
        prepare(client, scene, subject)
        times.append(measure.script_time(client, commands, is_admitted=scene.is_admitted))
    return fmean(times)


def prepare(client: redis.Redis, scene: Scene, subject: Subject) -> None:
    """Bring the partitions into the state to start from."""
    client.flushall()
    seconds, microseconds = client.time()
    keys = [storage_key(at) for at in range(scene.partitions)]
    calls = scene.prepare(subject, seconds * SECOND_US + microseconds)
    if calls:
        measure.execute(client, (subject.command(keys[0], scene.quota, call) for call in calls))
        measure.clone(client, keys)


def commands_of(scene: Scene, subject: Subject) -> list[Command]:
    """Return the calls to every partition, which take turns."""
    return [
        subject.command(storage_key(at), scene.quota, call)
        for call in scene.calls
        for at in range(scene.partitions)
    ]


def bytes_of(client: redis.Redis, subject: Subject, quota: Quota, calls: Sequence[Call]) -> int:
    """Return the bytes of a new partition after *calls*, its name included."""
    client.flushall()
    key = storage_key(0)
    measure.execute(client, (subject.command(key, quota, call) for call in calls))
    return client.memory_usage(key, samples=0) or 0
