"""Stores with few and with many partitions."""

import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

from redis.asyncio import Redis

from benchmarks.contenders.contender import Contender
from benchmarks.inside.checks import names_of
from fastapi_throttle import Decision, MemoryBackend, RateLimit, RedisBackend, Throttle

BATCH = 1_000
# By number of partitions: throttles whose memory holds as many.
_filled: dict[int, Throttle] = {}


class Recording:
    """A backend that admits everything and notes which storage keys the library makes."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._memory = MemoryBackend()
        self._admitted: tuple[Decision, ...] = ()

    async def hit(self, hits: Sequence[Any]) -> tuple[Decision, ...]:
        """Note and admit."""
        self._admitted = self._admitted or await self._memory.hit(hits)
        self.keys += hits[0].keys
        return self._admitted

    async def peek(self, hits: Sequence[Any]) -> tuple[Decision, ...]:
        """Tell so."""
        return await self._memory.peek(hits)

    async def reset(self, hits: Sequence[Any]) -> None:
        """Forget nothing."""

    async def aclose(self) -> None:
        """Close nothing."""


async def fill_redis(_: Contender, *, url: str, rule: Sequence[int], partitions: int) -> None:
    """Give so many partitions the state that one check makes, as `checks` will ask for them."""
    limit = _limit(rule)
    recording = Recording()
    recorder = Throttle(backend=recording)
    callers = list(islice(names_of(partitions), partitions))
    for caller in callers:
        await recorder.hit(limit, caller)
    throttle = Throttle(backend=RedisBackend(url))
    await throttle.hit(limit, callers[0])
    await throttle.aclose()
    first, *others = recording.keys
    async with Redis.from_url(url) as client:
        for start in range(0, len(others), BATCH):
            pipeline = client.pipeline(transaction=False)
            for key in others[start : start + BATCH]:
                pipeline.copy(first, key)
            await pipeline.execute()


async def in_memory(
    _: Contender, *, rule: Sequence[int], partitions: int, checks: int
) -> dict[str, float]:
    """Return the microseconds per check where so many partitions are known."""
    limit = _limit(rule)
    callers = names_of(partitions)
    throttle = _filled.get(partitions)
    if throttle is None:
        throttle = _filled[partitions] = Throttle(backend=MemoryBackend(max_partitions=partitions))
        for caller in islice(callers, partitions):
            await throttle.hit(limit, caller)
    asked = list(islice(callers, checks))
    start = time.perf_counter()
    for caller in asked:
        await throttle.hit(limit, caller)
    return {"time": (time.perf_counter() - start) / checks * 1e6}


def _limit(rule: Sequence[int]) -> RateLimit:
    return RateLimit(*rule, name="bench")
