"""Everybody at once: exactly the limit is admitted, and one check is one call of the script."""

import ast
import asyncio
import shlex
import struct
from collections.abc import AsyncIterator

import pytest
from oracle import hit_of, policy_of
from redis_server import RedisServer

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends import Backend, MemoryBackend, RedisBackend
from fastapi_throttle.backends.redis import script
from fastapi_throttle.model import AlgorithmName, Hit

LIMIT = 100
HOUR_US = 3_600_000_000


@pytest.fixture(params=["memory", "redis"])
async def backend(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Backend]:
    """Each backend in turn."""
    backend = MemoryBackend() if request.param == "memory" else RedisBackend(redis_url, budget=5)
    yield backend
    await backend.aclose()


def hits(algorithm: AlgorithmName, limit: int = LIMIT) -> tuple[Hit, ...]:
    """Claim a unit of a quota that all share, and one of a looser quota besides."""
    shared = policy_of((limit, HOUR_US), algorithm=algorithm)
    looser = policy_of((10 * limit, HOUR_US), (20 * limit, 2 * HOUR_US), algorithm=algorithm)
    return hit_of(shared), hit_of(looser, 2, "everybody")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_of_400_parallel_hits_exactly_the_limit_is_admitted(
    algorithm: AlgorithmName, backend: Backend
):
    both = hits(algorithm)

    decisions = await asyncio.gather(*(backend.hit(both) for _ in range(400)))

    assert sum(decision.allowed for decision, _ in decisions) == LIMIT
    assert all(mine.allowed == other.allowed for mine, other in decisions)
    (mine, other) = await backend.peek(both)
    assert mine.remaining == 0
    assert other.remaining == 10 * LIMIT - 2 * LIMIT


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_flushing_the_scripts_in_mid_run_changes_nothing(
    algorithm: AlgorithmName, redis_server: RedisServer, redis_url: str
):
    backend = RedisBackend(redis_url, budget=5)
    both = hits(algorithm)

    async def flush() -> None:
        for _ in range(50):
            await asyncio.to_thread(redis_server.client.script_flush)

    _, *decisions = await asyncio.gather(flush(), *(backend.hit(both) for _ in range(400)))
    for _ in range(3):
        redis_server.client.script_flush()
        decisions.append(await backend.hit(both))

    assert sum(decision.allowed for decision, _ in decisions) == LIMIT
    assert (await backend.peek(both))[1].remaining == 10 * LIMIT - 2 * LIMIT
    await backend.aclose()


async def test_a_check_is_one_call_of_the_script(redis_server: RedisServer, redis_url: str):
    """Several hits with several quotas, admitted, refused, peeked at. A new script is sent once."""
    backend = RedisBackend(redis_url, budget=5, max_connections=1)
    both = hits("sliding-window", limit=2)
    redis_server.client.script_flush()

    with redis_server.monitored() as commands:
        for _ in range(3):
            await backend.hit(both)
        await backend.peek(both)
        await backend.reset(both)

    evalsha = f'"EVALSHA" "{script.SHA}" "3" '
    verbs = [command.split(maxsplit=1)[0] for command in commands]
    assert verbs == ['"EVALSHA"', '"EVAL"', '"EVALSHA"', '"EVALSHA"', '"EVALSHA"', '"DEL"']
    assert all(command.startswith(evalsha) for command in commands[2:5])
    await backend.aclose()


async def test_what_goes_over_the_wire_is_numbers_and_the_keys(
    redis_server: RedisServer, redis_url: str
):
    backend = RedisBackend(redis_url, budget=5)
    (hit,) = hits("gcra")[:1]
    await backend.hit((hit,))

    with redis_server.monitored() as commands:
        await backend.hit((hit._replace(cost=2**70),))

    (command,) = commands
    _, _, _, key, now, rule, times = shlex.split(command, posix=False)
    assert key == f'"{hit.keys[0]}"'
    assert now == '""'
    assert _bytes(rule) == struct.pack(">xcQQQ", b"g", 2**32, HOUR_US // LIMIT, HOUR_US)
    assert _bytes(times) == struct.pack(">H", 1)
    await backend.aclose()


def _bytes(quoted: str) -> bytes:
    return ast.literal_eval(f"b{quoted}")
