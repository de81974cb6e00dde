"""Checks through a contender's library, and how long they took."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import cycle, islice
from typing import Any

from benchmarks.contenders.contender import Check, Contender, Rule

# Opened once: no round pays for connecting.
_opened: dict[tuple[Any, ...], Check] = {}
# Keys come in no order, the same for everybody.
SEED = 1


async def admitted(
    contender: Contender, *, store: str, url: str, rule: Sequence[int], key: str, checks: int
) -> list[int]:
    """Count what is admitted of so many checks one by one, then of as many at once."""
    check = await _open(contender, store, url, rule)
    by_one = [await check(f"{key}-1") for _ in range(checks)]
    at_once = await asyncio.gather(*(check(f"{key}-2") for _ in range(checks)))
    return [sum(by_one), sum(at_once)]


async def touch(
    contender: Contender, *, store: str, url: str, rule: Sequence[int], keys: int, callers: int
) -> None:
    """Check every key, so that the rounds find it known, and all connections open."""
    check = await _open(contender, store, url, rule)
    names = names_of(keys)
    left = iter(range(max(keys, callers)))

    async def caller() -> None:
        for _ in left:
            await check(next(names))

    await asyncio.gather(*(caller() for _ in range(callers)))


async def series(
    contender: Contender,
    *,
    store: str,
    url: str,
    rule: Sequence[int],
    keys: int,
    count: int,
    is_admitted: bool,
) -> dict[str, float]:
    """Check one after the other, without a look at the clock in between.

    Raises:
        RuntimeError: As for `closed_loop`.
    """
    check = await _open(contender, store, url, rule)
    names = list(islice(names_of(keys), count))
    start = time.perf_counter()
    answers = [await check(name) for name in names]
    elapsed = time.perf_counter() - start
    _compare(answers, is_admitted=is_admitted)
    return {"checks": count, "time": elapsed / count * 1e6}


async def closed_loop(
    contender: Contender,
    *,
    store: str,
    url: str,
    rule: Sequence[int],
    keys: int,
    concurrency: int,
    seconds: float,
    is_admitted: bool,
) -> dict[str, float]:
    """Let *concurrency* callers ask, each again as soon as it is answered.

    Raises:
        RuntimeError: A check was refused that was meant to be admitted, or the other way round.
    """
    check = await _open(contender, store, url, rule)
    # At full speed, connections open, before the round begins.
    run_up = await _callers(check, keys, concurrency, seconds / 5, is_admitted=is_admitted)
    cpu = time.process_time()
    start = time.perf_counter()
    spent = await _callers(check, keys, concurrency, seconds, is_admitted=is_admitted)
    elapsed = time.perf_counter() - start
    cpu = time.process_time() - cpu
    return {
        "checks": len(run_up) + len(spent),
        "rate": len(spent) / elapsed,
        "cpu": cpu / len(spent) * 1e6,
        **_percentiles(spent),
    }


async def open_loop(
    contender: Contender,
    *,
    store: str,
    url: str,
    rule: Sequence[int],
    keys: int,
    rate: int,
    seconds: float,
) -> dict[str, float]:
    """Let callers arrive at *rate* per second, whether those before them were answered or not.

    Latency counts from when a caller was due. The first tenth is a run-up.
    """
    check = await _open(contender, store, url, rule)
    names = names_of(keys)
    spent: list[float] = []
    failures = 0

    async def caller(due: float, name: str) -> None:
        nonlocal failures
        try:
            await check(name)
        except Exception:  # noqa: BLE001 - a library that gives up is part of the picture
            failures += 1
        if due - start > seconds / 10:
            spent.append(time.perf_counter() - due)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for arrival in range(int(rate * seconds)):
            due = start + arrival / rate
            # Timers of loops round to milliseconds: look at the clock between all that is done.
            while time.perf_counter() < due:  # noqa: ASYNC110
                await asyncio.sleep(0)
            callers.create_task(caller(due, next(names)))
    return {"checks": len(spent), "failures": failures, **_percentiles(spent)}


async def _open(contender: Contender, store: str, url: str, rule: Sequence[int]) -> Check:
    check = _opened.get((contender, store, url, *rule))
    if check is None:
        if store == "memory":
            check = await contender.in_memory(Rule(*rule))
        else:
            check = await contender.on_redis(url, Rule(*rule))
        _opened[contender, store, url, *rule] = check
    return check


async def _callers(
    check: Check, keys: int, concurrency: int, seconds: float, *, is_admitted: bool
) -> list[float]:
    names = names_of(keys)
    spent: list[float] = []
    end = time.perf_counter() + seconds
    await asyncio.gather(
        *(_caller(check, names, end, spent, is_admitted=is_admitted) for _ in range(concurrency))
    )
    return spent


async def _caller(
    check: Check, names: Iterator[str], end: float, spent: list[float], *, is_admitted: bool
) -> None:
    now = time.perf_counter()
    while now < end:
        before = now
        answer = await check(next(names))
        now = time.perf_counter()
        spent.append(now - before)
        if answer is not is_admitted:
            _compare([answer], is_admitted=is_admitted)


def _compare(answers: Sequence[bool], *, is_admitted: bool) -> None:
    wrong = answers.count(not is_admitted)
    if wrong:
        message = f"{wrong} checks were not {'admitted' if is_admitted else 'refused'}"
        raise RuntimeError(message)


@cache
def names_of(keys: int) -> Iterator[str]:
    """Return so many keys over and over; each round goes on where the last one stopped."""
    names = [f"user:{number}" for number in range(keys)]
    random.Random(SEED).shuffle(names)  # noqa: S311 - repeatable, not secret
    return cycle(names)


def _percentiles(spent: list[float]) -> dict[str, float]:
    """Return medians and 99th percentiles, in microseconds."""
    spent.sort()
    return {
        "p50": spent[len(spent) // 2] * 1e6,
        "p99": spent[len(spent) * 99 // 100] * 1e6,
    }
