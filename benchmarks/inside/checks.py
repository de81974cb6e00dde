"""Checks through a contender's library, and how long they took."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import cycle
from typing import Any

from benchmarks.contenders.contender import Check, Contender, Rule

# One per store and rule, opened once: no round pays for connecting.
_opened: dict[tuple[Any, ...], Check] = {}


async def admitted(
    contender: Contender, *, store: str, url: str, rule: Sequence[int], key: str, checks: int
) -> list[int]:
    """Count what is admitted of so many checks one by one, then of as many at once."""
    check = await _open(contender, store, url, rule)
    by_one = [await check(f"{key}-1") for _ in range(checks)]
    at_once = await asyncio.gather(*(check(f"{key}-2") for _ in range(checks)))
    return [sum(by_one), sum(at_once)]


async def touch(
    contender: Contender, *, store: str, url: str, rule: Sequence[int], keys: int
) -> None:
    """Check every key once, so that the rounds find it known."""
    check = await _open(contender, store, url, rule)
    names = _names(keys)
    left = iter(range(keys))

    async def caller() -> None:
        for _ in left:
            await check(next(names))

    await asyncio.gather(*(caller() for _ in range(64)))


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

    Latency counts from when a caller was due.
    """
    check = await _open(contender, store, url, rule)
    names = _names(keys)
    spent: list[float] = []
    failures = 0

    async def caller(due: float, name: str) -> None:
        nonlocal failures
        try:
            await check(name)
        except Exception:  # noqa: BLE001 - a library that gives up is part of the picture
            failures += 1
        spent.append(time.perf_counter() - due)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for arrival in range(int(rate * seconds)):
            due = start + arrival / rate
            # Not on time to the microsecond: loops count in milliseconds.
            await asyncio.sleep(due - time.perf_counter())
            callers.create_task(caller(due, next(names)))
    return {"checks": len(spent), "failures": failures, **_percentiles(spent)}


async def _open(contender: Contender, store: str, url: str, rule: Sequence[int]) -> Check:
    check = _opened.get((store, *rule))
    if check is None:
        if store == "memory":
            check = await contender.in_memory(Rule(*rule))
        else:
            check = await contender.on_redis(url, Rule(*rule))
        _opened[store, *rule] = check
    return check


async def _callers(
    check: Check, keys: int, concurrency: int, seconds: float, *, is_admitted: bool
) -> list[float]:
    names = _names(keys)
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
        if await check(next(names)) is not is_admitted:
            message = f"a check was not {'admitted' if is_admitted else 'refused'}"
            raise RuntimeError(message)
        now = time.perf_counter()
        spent.append(now - before)


@cache
def _names(keys: int) -> Iterator[str]:
    """Return so many keys over and over; each round goes on where the last one stopped."""
    return cycle([f"user:{number}" for number in range(keys)])


def _percentiles(spent: list[float]) -> dict[str, float]:
    """Return medians and 99th percentiles, in microseconds."""
    spent.sort()
    return {
        "p50": spent[len(spent) // 2] * 1e6,
        "p99": spent[len(spent) * 99 // 100] * 1e6,
    }
