"""Waits are true on a real Redis with its own clock: too early is refused, in time is admitted."""

import asyncio
import time

import pytest
from oracle import hit_of, policy_of

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.model import AlgorithmName

EARLY = 0.02


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_whoever_waits_as_told_is_admitted_and_20_ms_earlier_refused(
    algorithm: AlgorithmName, window: int, redis_url: str
):
    """Told apart by what is certain: an answer that came before the instant was too early."""
    backend = RedisBackend(redis_url, budget=5)
    hit = hit_of(policy_of((5, window * 1_000_000), algorithm=algorithm))
    for _ in range(10):
        asked_at = time.monotonic()
        while (decision := (await backend.hit((hit,)))[0]).allowed:
            asked_at = time.monotonic()
        await asyncio.sleep(decision.retry_after - EARLY)
        (early,) = await backend.hit((hit,))
        if is_certain := time.monotonic() < asked_at + decision.retry_after:
            break

    assert is_certain
    assert not early.allowed
    assert 0 < early.retry_after < 2 * EARLY
    await asyncio.sleep(early.retry_after)
    (in_time,) = await backend.hit((hit,))
    assert in_time.allowed
    await backend.aclose()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_all_workers_share_the_clock_of_the_server(algorithm: AlgorithmName, redis_url: str):
    """Two backends, as two hosts would have."""
    first, second = (RedisBackend(redis_url, budget=5) for _ in range(2))
    hit = hit_of(policy_of((6, 3_600_000_000), algorithm=algorithm))

    allowed = [(await backend.hit((hit,)))[0].allowed for backend in (first, second) * 4]

    assert allowed == [True] * 6 + [False] * 2
    await first.aclose()
    await second.aclose()
