"""The same for tests that are not pytest's: context managers, a clock, an assertion."""

import asyncio
import unittest
from contextlib import suppress

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient

from fastapi_throttle import (
    Backend,
    ConfigurationError,
    MemoryBackend,
    RateLimit,
    RateLimitExceeded,
    RedisBackend,
    Throttle,
    ThrottleError,
    ThrottleSettings,
    all_of,
    everyone,
)
from fastapi_throttle.override import overrides
from fastapi_throttle.testing import FakeClock, assert_throttled, override

NOBODY = "redis://127.0.0.1:1"
search = RateLimit(5, "1m", name="search")


def new_app(*limits, **options) -> FastAPI:
    app = FastAPI()
    app.add_api_route("/search", lambda: 1, dependencies=[Depends(each) for each in limits])
    Throttle(app, **options)
    return app


def statuses(app: FastAPI, times: int) -> list[int]:
    client = TestClient(app)
    return [client.get("/search").status_code for _ in range(times)]


class SearchTests(unittest.TestCase):
    app = new_app(search, backend=RedisBackend(NOBODY))

    def setUp(self) -> None:
        self.clock = FakeClock()
        self.throttle = self.enterContext(override(clock=self.clock, limits={search: "2/minute"}))

    def test_once(self) -> None:
        self.assertEqual(statuses(self.app, 3), [200, 200, 429])  # noqa: PT009
        self.clock.advance("1m")
        self.assertEqual(statuses(self.app, 1), [200])  # noqa: PT009

    def test_twice(self) -> None:
        self.test_once()
        self.throttle.exhaust("search")
        self.assertEqual(self.throttle.remaining("search"), 0)  # noqa: PT009


def test_unittest_alone():
    result = unittest.TestResult()

    unittest.defaultTestLoader.loadTestsFromTestCase(SearchTests).run(result)

    assert result.testsRun == 2
    assert result.wasSuccessful(), result.failures + result.errors


def test_everything_is_as_before_when_it_ends():
    backend = MemoryBackend()
    app = new_app(search, backend=backend)
    statuses(app, 2)

    with override(enabled=True, limits={"search": "1/minute"}, clock=FakeClock()) as throttle:
        assert statuses(app, 2) == [200, 429]
        throttle.fail_store("down")
        assert statuses(app, 1) == [200]

    # What was counted before went when counters were emptied, what was counted within does now.
    assert backend.partitions == 0
    assert statuses(app, 6) == [200] * 5 + [429]


def test_one_within_another_starts_anew_and_leaves_the_outer_in_force():
    app = new_app(search)

    with override(limits={search: "3/minute"}) as outer:
        with override(limits={search: "1/minute"}) as inner:
            assert statuses(app, 2) == [200, 429]
        with override(enabled=False):
            assert statuses(app, 9) == [200] * 9
        assert statuses(app, 4) == [200] * 3 + [429]

    assert (len(outer.decisions), len(inner.decisions)) == (4, 2)


@pytest.mark.parametrize("backend", [MemoryBackend(), RedisBackend(NOBODY)])
@pytest.mark.parametrize("wanted", [{}, {"enabled": False}, {"clock": FakeClock()}])
def test_the_outer_finds_what_it_counted(backend: Backend, wanted: dict):
    app, same = new_app(search, backend=backend), new_app(search, backend=backend)

    with override(limits={search: "3/minute"}) as outer:
        statuses(app, 2)
        with suppress(KeyError), override(**wanted) as inner:
            assert inner.remaining("search") == 5
            assert statuses(app, 3) + statuses(same, 2) == [200] * 5
            raise KeyError
        assert outer.remaining("search") == 1
        assert statuses(app, 2) == [200, 429]


def test_the_apps_own_counters_go_on_without_isolation():
    app = new_app(search)
    statuses(app, 2)

    with override(isolation=False) as throttle:
        assert statuses(app, 2) == [200] * 2
        assert throttle.remaining("search") == 1

    assert statuses(app, 2) == [200, 429]


def test_another_backend():
    backend = MemoryBackend()
    app, other = new_app(search), new_app(search)

    with override(backend=backend):
        statuses(app, 3)
        statuses(other, 1)
        assert statuses(app, 2) == [200, 429]

    assert backend.partitions == 1


def test_a_name_that_no_limit_has_is_named_at_the_end():
    with (
        pytest.raises(ThrottleError, match=r"^no limit is named 'serch'"),
        override(limits={"serch": "1/minute"}),
    ):
        RateLimit(1, "1m", name="unrelated")


def test_another_error_is_not_hidden_by_it():
    with pytest.raises(KeyError), override(limits={"serch": "1/minute"}):
        raise KeyError


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ({"limits": {search: "twice"}}, ConfigurationError, r"limits\['search'\] must .* 'twice'"),
        ({"limits": {search: 2}}, TypeError, r"limits\['search'\] must be text .* got 2"),
        ({"limits": {RateLimit(1, 60): "x"}}, ConfigurationError, r"limits\['1-per-1m .*'\] must"),
        ({"limits": {5: "1/m"}}, TypeError, "limit must be a RateLimit or the name of one, got 5"),
        ({"limits": ["search"]}, TypeError, r"limits must be a mapping .*, got \['search'\]"),
        ({"enabled": "off"}, TypeError, "enabled must be True or False, got 'off'"),
        ({"isolation": 0}, TypeError, "isolation must be True or False, got 0"),
        ({"backend": "memory"}, TypeError, "backend must be a Backend such as .*, got <class 'str"),
        ({"backend": MemoryBackend}, TypeError, "backend must .*, got the class MemoryBackend"),
        ({"clock": 5}, TypeError, r"clock must be a FakeClock or .*, got 5"),
        ({"clock": FakeClock}, TypeError, "clock must be a FakeClock or .*, got <class"),
    ],
)
def test_a_mistake_is_named_at_once(wanted: dict, error: type[Exception], message: str):
    with pytest.raises(error, match=f"^{message}"), override(**wanted):
        pytest.fail("it should not begin")

    assert overrides.active is None


@pytest.mark.parametrize("start", ["now", float("nan"), float("inf"), -1, True, None])
def test_a_start_that_is_no_time_is_named(start: object):
    message = f"^start must be at least 0 seconds since the Unix epoch, got {start!r}$"
    with pytest.raises((TypeError, ConfigurationError), match=message):
        FakeClock(start)


def test_a_fake_clock_is_a_clock_for_backends():
    clock = FakeClock(start=1_000.5)
    app = new_app(RateLimit(1, "10s"), backend=MemoryBackend(clock=clock))

    assert statuses(app, 2) == [200, 429]
    clock.advance("10s")
    assert statuses(app, 1) == [200]
    assert clock.now == 1_010.5


def refused(*limits, **settings):
    app = new_app(*limits, settings=ThrottleSettings(backend="memory://", **settings))
    client = TestClient(app)
    return [client.get("/search") for _ in range(2)][-1]


@pytest.mark.parametrize("settings", [{}, {"problem_details": False}], ids=["problem", "fields"])
def test_assert_throttled_knows_policy_and_wait(settings):
    with override(clock=FakeClock()):
        response = refused(RateLimit("1/second; 9/hour", name="search"), **settings)

    assert_throttled(response)
    assert_throttled(response, policy="search")
    assert_throttled(response, policy="search-1s", retry_after=1)
    for policy in ("search-1h", "sear", "search-"):
        with pytest.raises(AssertionError, match=rf"'{policy}' must have .*got \['search-1s'\]"):
            assert_throttled(response, policy=policy)
    with pytest.raises(AssertionError, match=r"^Retry-After must be 2, got 1$"):
        assert_throttled(response, retry_after=2)


def test_assert_throttled_tells_policies_apart():
    together = all_of(
        RateLimit(1, "1m", name="mine"), RateLimit(9, "1h", name="ours", key=everyone())
    )
    response = refused(together)

    assert_throttled(response, policy="mine")
    with pytest.raises(AssertionError, match=r"'ours' must have refused, got \['mine'\]"):
        assert_throttled(response, policy="ours")


def test_assert_throttled_knows_unnamed_policies():
    assert_throttled(refused(RateLimit(1, "1m")), policy="1-per-1m")


def test_assert_throttled_takes_answers_of_httpx_and_of_the_apps_own_handlers():
    app = new_app(RateLimit(1, "1m", name="search"))

    @app.exception_handler(RateLimitExceeded)
    async def refuse(request, error):
        return PlainTextResponse("slow down", 429)

    async def second():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            await client.get("/search")
            return await client.get("/search")

    assert_throttled(asyncio.run(second()), policy="search", retry_after=60)


@pytest.mark.parametrize("status", [200, 401, 503])
def test_assert_throttled_fails_for_other_answers(status):
    with pytest.raises(AssertionError, match=f"^the response must be 429, got {status}$"):
        assert_throttled(httpx.Response(status))
