"""A real Redis Cluster of three nodes: every check is decided once, by the node of its keys."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from oracle import hit_of, policy_of
from redis.asyncio import RedisCluster as Client
from redis_cluster import RedisCluster, slot_of
from redis_server import RedisServer

from fastapi_throttle import RateLimit, Throttle, ThrottleSettings
from fastapi_throttle.backends import RedisBackend

pytestmark = pytest.mark.matrix  # redis-py's words for redirections change.

OUTAGES = (Path(__file__).parents[2] / "docs/outages.md").read_text(encoding="utf-8")
HOUR_US = 3_600_000_000
MANY = policy_of((1_000_000, HOUR_US))
TWO = policy_of((3, 60_000_000), (100, HOUR_US))
# What nothing here comes near to: it is about counts, on a machine that is busy.
BUDGET = 5.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
async def backend(cluster: RedisCluster) -> AsyncIterator[RedisBackend]:
    for node in cluster.nodes:
        node.client.flushall()
        node.client.script_flush()
    backend = RedisBackend(cluster.url, budget=BUDGET)
    yield backend
    await backend.aclose()


def elsewhere(cluster: RedisCluster, key: str):
    """Return a node that does not hold *key*."""
    return next(node for node in cluster.nodes if node is not cluster.owner(key))


async def test_several_quotas_are_decided_together(backend: RedisBackend):
    for somebody in ("a", "b", "c", "d"):
        told = [(await backend.hit((hit_of(TWO, 1, somebody),)))[0] for _ in range(4)]

        assert [decision.allowed for decision in told] == [True, True, True, False]
        assert [state.remaining for state in told[-1].quotas] == [0, 97]
        assert told[-1].retry_after == pytest.approx(60, abs=1)

        await backend.reset((hit_of(TWO, 1, somebody),))
        (decision,) = await backend.peek((hit_of(TWO, 1, somebody),))
        assert [state.remaining for state in decision.quotas] == [3, 100]


async def test_a_thousand_identities_spread_over_all_nodes(
    cluster: RedisCluster, backend: RedisBackend
):
    hits = [hit_of(TWO, 1, f"user {number}") for number in range(1_000)]

    for left in (2, 1):
        decisions = await asyncio.gather(*(backend.hit((hit,)) for hit in hits))

        assert {decision.remaining for (decision,) in decisions} == {left}
    for node in cluster.nodes:
        assert node.client.dbsize() > 2 * 250
        # They ride together: a call of the script for each slot, and far fewer round trips.
        assert len(node.client.client_list()) < 10
    assert sum(node.client.dbsize() for node in cluster.nodes) == 2_000


async def test_a_given_client_serves_as_an_address(cluster: RedisCluster, backend: RedisBackend):
    client = Client(host="127.0.0.1", port=cluster.nodes[1].port, decode_responses=True)
    given = RedisBackend(client, budget=BUDGET)

    for number in range(10):
        await given.hit((hit_of(TWO, 1, f"user {number}"),))
        (decision,) = await backend.hit((hit_of(TWO, 1, f"user {number}"),))
        assert decision.remaining == 1

    # It was never asked anything, so it does not know the nodes yet.
    assert client.get_nodes() == []
    await given.aclose()
    await client.aclose()


async def test_its_findings_are_those_of_all_nodes(cluster: RedisCluster, backend: RedisBackend):
    last = cluster.nodes[-1].client
    last.config_set("maxmemory-policy", "allkeys-lru")
    last.config_set("maxmemory", "1gb")
    try:
        harmful = [found for found in await backend.findings() if found.is_harmful]
        other = [found for found in await backend.findings() if not found.is_harmful]
    finally:
        last.config_set("maxmemory", "0")

    assert ["allkeys-lru" in found.text for found in harmful] == [True]
    assert len(other) == 1  # none of them saves anything


def test_an_app_is_told_by_a_setting(cluster: RedisCluster):
    app = FastAPI(dependencies=[Depends(RateLimit(2, "1h", name="settings"))])
    app.add_api_route("/", lambda: {})
    settings = ThrottleSettings(backend=cluster.url, budget_ms=5_000, startup="require")
    throttle = Throttle(app, settings=settings)

    with TestClient(app) as client:
        assert [client.get("/").status_code for _ in range(3)] == [200, 200, 429]
    assert throttle.health().state == "ok"


async def test_the_documented_permissions_suffice(cluster: RedisCluster, backend: RedisBackend):
    (rights,) = re.findall(r"^ACL SETUSER limiter (.+)", OUTAGES, re.MULTILINE)
    (more,) = re.findall(r"Cluster needs `(.+?)`", OUTAGES)
    rules = f"{rights} {more}".replace("~ft:*", "~*").split()
    for node in cluster.nodes:
        node.client.execute_command("ACL", "SETUSER", "limiter", *rules)
    limited = RedisBackend(cluster.url.replace("//", "//limiter:a-long-password@"), budget=BUDGET)

    hits = [hit_of(TWO, 1, name) for name in ("a", "b", "c", "d")]
    assert all(decision.allowed for decision in await limited.hit(hits))
    one = hit_of(MANY, 1, "moving")
    with cluster.migrating(one.keys[0], elsewhere(cluster, one.keys[0])):
        assert (await limited.hit((one,)))[0].allowed
    await limited.reset(hits)
    (settings_are_unknown,) = await limited.findings()
    assert not settings_are_unknown.is_harmful
    await limited.aclose()


async def test_who_asks_first_may_be_pointed_to_a_node_that_does_not_answer(
    cluster: RedisCluster,
):
    """The first of the addresses hangs: another one tells who holds what."""
    backend = RedisBackend(cluster.url, budget=1)
    name = next(
        name
        for name in map(str, range(100))
        if cluster.owner(hit_of(MANY, 1, name).keys[0]) is cluster.nodes[1]
    )
    with cluster.nodes[0].paused():
        (decision,) = await backend.hit((hit_of(MANY, 1, name),))
    assert decision.allowed
    await backend.aclose()


def test_identities_have_slots_of_their_own():
    assert slot_of(hit_of(TWO).keys[0]) == slot_of(hit_of(TWO).keys[1])
    assert len({slot_of(hit_of(TWO, 1, f"{n}").keys[0]) for n in range(100)}) > 90


async def test_a_node_that_knows_no_other_is_not_believed(
    cluster: RedisCluster, backend: RedisBackend
):
    with RedisServer("--cluster-enabled", "yes") as stranger:
        url = f"redis+cluster://127.0.0.1:{stranger.port},127.0.0.1:{cluster.nodes[2].port}"
        misled = RedisBackend(url, budget=BUDGET)
        for name in ("a", "b", "c", "d"):
            (decision,) = await misled.hit((hit_of(TWO, 1, name),))
            assert decision.allowed
        await misled.aclose()
