"""The oracle, memory, fakeredis and real Redis decide alike: any history, alone or together."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest
from clock import Clock
from fakeredis import FakeAsyncRedis
from histories import ALGORITHMS, HISTORIES, History, foretell, long_history, play, play_together
from hypothesis import HealthCheck, given, settings
from redis_server import RedisServer

from fastapi_throttle.backends import Backend, MemoryBackend, RedisBackend
from fastapi_throttle.model import MAX_LIMIT, AlgorithmName

# A state lives in Redis for at least a second of real time, whatever the injected clock shows.
REAL_SECONDS = 0.9
BUDGET = 30

Play = Callable[[History, AlgorithmName], Awaitable[None]]


@dataclass
class Stage:
    """Where histories are played: one event loop, one clock, the two kinds of Redis."""

    runner: asyncio.Runner
    clock: Clock
    redis: dict[str, RedisBackend]
    tags: Iterator[int]

    def check(self, history: History, algorithm: AlgorithmName) -> None:
        self.runner.run(self._check(history, algorithm))

    def check_together(self, history: History, algorithm: AlgorithmName) -> None:
        self.runner.run(self._check_together(history, algorithm))

    async def _check(self, history: History, algorithm: AlgorithmName) -> None:
        events = await foretell(history, algorithm, "memory")
        await play(events, MemoryBackend(clock=self.clock), self.clock)
        for backend in self.redis.values():
            await self._check_in_real_time(history, algorithm, partial(self._play, backend))

    async def _check_together(self, history: History, algorithm: AlgorithmName) -> None:
        for backend in self.redis.values():
            await self._check_in_real_time(history, algorithm, partial(self._play_three, backend))

    async def _play(self, backend: Backend, history: History, algorithm: AlgorithmName) -> None:
        events = await foretell(history, algorithm, f"{next(self.tags)}")
        await play(events, backend, self.clock)

    async def _play_three(
        self, backend: Backend, history: History, algorithm: AlgorithmName
    ) -> None:
        """Let checks of three partitions, and repeated ones, ride together."""
        stories = [await foretell(history, algorithm, f"{next(self.tags)}") for _ in range(3)]
        await play_together(stories, backend, self.clock)

    async def _check_in_real_time(
        self, history: History, algorithm: AlgorithmName, play_it: Play
    ) -> None:
        """Play it, and play it again if the machine was too busy to be quick about it."""
        for is_last in (False, False, False, False, True):
            started = time.monotonic()
            try:
                await play_it(history, algorithm)
            except AssertionError:
                if is_last or time.monotonic() - started < REAL_SECONDS:
                    raise
            else:
                return


@pytest.fixture(scope="module")
def stage(redis_server: RedisServer) -> Iterator[Stage]:
    redis_server.client.flushall()
    clock = Clock()
    redis = {
        "fakeredis": RedisBackend(FakeAsyncRedis(), clock=clock, budget=BUDGET),
        "redis": RedisBackend(redis_server.url, clock=clock, budget=BUDGET),
    }
    with asyncio.Runner() as runner:
        yield Stage(runner, clock, redis, itertools.count())
        for backend in redis.values():
            runner.run(backend.aclose())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
@given(history=HISTORIES)
def test_all_backends_decide_as_the_oracle(
    stage: Stage, algorithm: AlgorithmName, history: History
):
    stage.check(history, algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(history=HISTORIES)
def test_checks_that_ride_together_are_decided_as_by_the_oracle(
    stage: Stage, algorithm: AlgorithmName, history: History
):
    stage.check_together(history, algorithm)


@pytest.mark.soak
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=20_000, suppress_health_check=[HealthCheck.too_slow])
@given(history=HISTORIES)
def test_all_backends_decide_as_the_oracle_for_longer(
    stage: Stage, algorithm: AlgorithmName, history: History
):
    stage.check(history, algorithm)


@pytest.mark.parametrize(
    "plan",
    [
        *((128,), (129,), (1_000,), (100_000,), (100, 1_000, 20), (100_000, 128, 2_000)),
        # Sums of units are kept modulo 2^32.
        *((MAX_LIMIT,), (2**31, 2**30)),
    ],
    ids=str,
)
def test_all_backends_decide_as_the_oracle_while_many_entries_are_in_use(
    stage: Stage, plan: tuple[int, ...]
):
    stage.check(long_history(plan, seed=len(plan) * plan[0]), "sliding-window")
    stage.check_together(long_history(plan, seed=plan[0]), "sliding-window")
