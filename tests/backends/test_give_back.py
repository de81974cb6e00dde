"""Redis takes back what was charged as the pure algorithms do."""

from random import Random
from typing import Any

import pytest
import redis
from clock import Clock
from oracle import Oracle, hit_of, policy_of
from redis_server import RedisServer

from fastapi_throttle.algorithms import ALGORITHMS, Claim, give_back
from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.backends.redis import script
from fastapi_throttle.model import AlgorithmName, Hit

WINDOW_US = 3_600_000_000


def give_back_in(oracle: Oracle, hit: Hit, at: int, now: int) -> None:
    claims = [
        Claim(ALGORITHMS[hit.policy.algorithm], oracle.states.get(key), quota, hit.cost)
        for key, quota in zip(hit.keys, hit.policy.quotas, strict=True)
    ]
    oracle.states.update(zip(hit.keys, give_back(claims, at, now), strict=True))


def give_back_in_redis(client: redis.Redis, hit: Hit, at: int, now: int) -> Any:
    return client.execute_command("EVAL", *script.giving_back([hit], at, now))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("limit", [1, 10, 128, 1_000, 100_000])
@pytest.mark.parametrize("seed", range(3))
async def test_any_history(
    algorithm: AlgorithmName, limit: int, seed: int, redis_server: RedisServer, redis_url: str
):
    random, clock = Random(f"{limit} {seed}"), Clock()
    oracle, backend = Oracle(clock), RedisBackend(redis_url, budget=30, clock=clock)
    policy = policy_of((limit, WINDOW_US), (3 * limit, 3 * WINDOW_US), algorithm=algorithm)
    for _ in range(60):
        clock.step(random.choice((0, 1, 1_000, WINDOW_US // 60, random.randrange(WINDOW_US // 3))))
        charged = []
        for _ in range(random.choice((1, 1, 2, 12))):
            at, cost = clock.now, random.randint(1, max(limit // 4, 1))
            clock.step(random.choice((0, 0, 1, 500)))
            hit = hit_of(policy, cost)
            told = await backend.hit((hit,))
            assert told == await oracle.hit((hit,))
            if told[0].allowed:
                charged.append((hit, at))
        random.shuffle(charged)
        for hit, at in charged[: random.randrange(len(charged) + 1)]:
            clock.step(random.choice((0, 0, 300)))
            give_back_in(oracle, hit, at, clock.now)
            give_back_in_redis(redis_server.client, hit, at, clock.now)
            assert await backend.peek((hit,)) == await oracle.peek((hit,))
    await backend.aclose()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_all_of_it_leaves_no_key_and_what_is_left_keeps_its_ttl(
    algorithm: AlgorithmName, redis_server: RedisServer, redis_url: str
):
    clock = Clock()
    backend = RedisBackend(redis_url, budget=30, clock=clock)
    client, hit = redis_server.client, hit_of(policy_of((10, WINDOW_US), algorithm=algorithm), 3)
    await backend.hit((hit,))
    await backend.hit((hit,))
    give_back_in_redis(client, hit, clock.now, clock.now)
    assert client.ttl(hit.keys[0]) > 0

    give_back_in_redis(client, hit, clock.now, clock.now)
    give_back_in_redis(client, hit, clock.now, clock.now)
    assert not client.exists(hit.keys[0])
    await backend.aclose()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_by_the_clock_of_the_server_and_never_after_it_stepped_back(
    algorithm: AlgorithmName, redis_server: RedisServer, redis_url: str
):
    backend = RedisBackend(redis_url, budget=30)
    client, hit = redis_server.client, hit_of(policy_of((10, WINDOW_US), algorithm=algorithm), 3)
    seconds, microseconds = client.time()
    at = seconds * 1_000_000 + microseconds
    await backend.hit((hit,))
    client.execute_command("EVAL", *script.giving_back([hit], at + 10_000_000, None))
    assert (await backend.peek((hit,)))[0].remaining == 7
    client.execute_command("EVAL", *script.giving_back([hit], at, None))
    # A gcra owes what passed in between a moment longer.
    assert (await backend.peek((hit,)))[0].remaining >= 9
    await backend.aclose()


@pytest.mark.parametrize("state", [b"", b"rubbish", b"\xff" * 40, None])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_what_cannot_be_read_is_no_error(
    algorithm: AlgorithmName, state: bytes | None, redis_server: RedisServer, redis_url: str
):
    backend = RedisBackend(redis_url, budget=30)
    client, hit = redis_server.client, hit_of(policy_of((10, WINDOW_US), algorithm=algorithm))
    if state is None:
        client.lpush(hit.keys[0], "a list")
    else:
        client.set(hit.keys[0], state)
    client.execute_command("EVAL", *script.giving_back([hit], 0, None))

    assert (await backend.hit((hit,)))[0].allowed
    await backend.aclose()
