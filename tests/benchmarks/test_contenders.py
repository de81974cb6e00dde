"""The benchmarks ask everybody alike: our own contenders, in process and in theirs."""

import sys

import pytest
from fastapi.testclient import TestClient

from benchmarks.contenders import plain, throttle
from benchmarks.contenders.contender import Rule
from benchmarks.field import CannotError, Entry, Worker
from benchmarks.inside import checks, request_path
from benchmarks.rounds import LIMIT, check_bound

OURS = throttle.CONTENDERS["sliding-window"]
ALL = {**throttle.CONTENDERS, **plain.CONTENDERS}


@pytest.fixture
def worker():
    worker = Worker(Entry("ours", "throttle", "gcra", sys.prefix))
    yield worker
    worker.close()


@pytest.mark.parametrize("contender", ALL.values(), ids=ALL)
async def test_each_contender_admits_its_limit(contender, redis_url):
    arguments = {"store": "redis", "url": redis_url, "rule": (10, 60)}

    counts = await checks.admitted(contender, **arguments, key="user:a", checks=30)
    await contender.aclose()

    assert counts == [10, 10]


async def test_rounds_count_and_time_every_check(redis_url):
    numbers = await checks.closed_loop(
        OURS,
        store="redis",
        url=redis_url,
        rule=(1_000_000, 60),
        keys=10,
        concurrency=4,
        seconds=0.05,
        is_admitted=True,
    )

    assert numbers["checks"] > 4
    assert 0 < numbers["p50"] <= numbers["p99"]
    assert numbers["cpu"] > 0


async def test_a_round_that_is_not_what_it_is_called_fails():
    arguments = {"store": "memory", "url": "", "rule": (1, 60), "keys": 1}
    with pytest.raises(RuntimeError, match="4 checks were not admitted"):
        await checks.series(OURS, **arguments, count=5, is_admitted=True)


async def test_an_arrival_counts_from_when_it_was_due():
    numbers = await checks.open_loop(
        OURS, store="memory", url="", rule=(1_000_000, 60), keys=10, rate=1_000, seconds=0.1
    )

    assert 80 <= numbers["checks"] <= 90
    assert numbers["failures"] == 0
    assert numbers["p50"] > 0


async def test_a_limit_costs_a_request_something_that_is_measured():
    numbers = await request_path.requests(OURS, count=200)

    assert 0 < numbers["bare"] < numbers["limited"]
    assert numbers["added"] == pytest.approx(numbers["limited"] / numbers["bare"] - 1)


@pytest.mark.parametrize("contender", ALL.values(), ids=ALL)
def test_each_app_has_a_free_route_and_limited_ones(contender, redis_url):
    with TestClient(contender.app(redis_url, {"few": Rule(2, 60)})) as client:
        answers = [client.get(path).status_code for path in ("/free", "/few", "/few", "/few")]

    assert answers == [200, 200, 200, 429]


def test_a_worker_answers_from_its_own_process(worker):
    check_bound(worker, "memory", "", "user:a")

    with pytest.raises(CannotError, match=f"admitted .* at a limit of {LIMIT}"):
        check_bound(worker, "memory", "", "user:a")


def test_what_a_worker_cannot_do_is_told(worker):
    with pytest.raises(CannotError, match="AttributeError"):
        worker.ask("checks.unknown")


def test_a_library_without_a_scene_says_so():
    worker = Worker(Entry("plain", "plain", "plain", sys.prefix))
    try:
        with pytest.raises(CannotError, match="does not count in the process"):
            check_bound(worker, "memory", "", "user:a")
    finally:
        worker.close()
