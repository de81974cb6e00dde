"""Every test starts with empty counters in its process, whatever the app is wired to."""

import pytest
from redis_server import RedisServer
from suites import APP, Suite, on_redis

NOBODY = "redis://127.0.0.1:1"

SIX_TWICE = """
import pytest
from shop import *

@pytest.mark.parametrize("time", ["first", "second"])
def test_the_sixth_is_refused(time):
    assert statuses(6) == [200] * 5 + [429]
"""

OWN_STORE = """
class Unreachable:
    async def hit(self, hits):
        raise RuntimeError("no test should get here")

    peek = reset = hit

    async def aclose(self):
        pass

Throttle(app, backend=Unreachable())
"""

APPS = {
    "one without a throttle": APP.replace("Throttle(app)", ""),
    "one that counts in its process": APP,
    "one with a Redis that is not there": on_redis(NOBODY),
    "one with a store of its own": APP.replace("Throttle(app)", OWN_STORE),
}


@pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
def test_the_next_test_gets_its_429_on_the_sixth(suite: Suite, app: str):
    suite(SIX_TWICE, app=app).assert_outcomes(passed=2)


@pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
def test_without_isolation_the_same_tests_fail(suite: Suite, app: str):
    """The negative control: or the tests above would prove nothing."""
    outcomes = suite(SIX_TWICE, app=app, ini="throttle_isolation = false").parseoutcomes()

    assert outcomes["failed"] >= 1


def test_the_app_counts_where_it_does_anyway_without_isolation(
    suite: Suite, redis_url: str, redis_server: RedisServer
):
    ini = "throttle_isolation = false"
    isolated = suite(SIX_TWICE, app=on_redis(redis_url))
    keys_then = redis_server.client.dbsize()
    outcomes = suite(SIX_TWICE, app=on_redis(redis_url), ini=ini).parseoutcomes()

    isolated.assert_outcomes(passed=2)
    assert keys_then == 0
    assert outcomes == {"passed": 1, "failed": 1}
    assert redis_server.client.dbsize() == 1


def test_a_test_may_ask_for_isolation_or_do_without(
    suite: Suite, redis_url: str, redis_server: RedisServer
):
    tests = """
    import pytest
    from shop import *

    @pytest.mark.throttle(isolation=False)
    def test_in_redis():
        assert statuses(6) == [200] * 5 + [429]

    def test_in_process():
        assert statuses(6) == [200] * 5 + [429]
    """
    suite(tests, app=on_redis(redis_url)).assert_outcomes(passed=2)

    assert redis_server.client.dbsize() == 1


def test_a_backend_in_the_process_is_kept_and_emptied(suite: Suite):
    app = APP.replace("Throttle(app)", "backend = MemoryBackend(3)\nThrottle(app, backend=backend)")
    tests = """
    import pytest
    from shop import *

    @pytest.fixture(scope="session", autouse=True)
    def afterwards():
        yield
        assert backend.partitions == 1  # of the last test, which has not ended

    @pytest.mark.parametrize("time", ["first", "second"])
    def test_it_counts(time):
        assert statuses(1) == [200]
        assert backend.partitions == 1

    def test_it_is_left_empty():
        assert backend.partitions == 0
        assert statuses(1) == [200]
    """
    app = "from fastapi_throttle import MemoryBackend\n" + app

    suite(tests, app=app).assert_outcomes(passed=3)


def test_what_was_counted_outside_of_tests_is_forgotten(suite: Suite):
    tests = (
        SIX_TWICE
        + """
assert statuses(5) == [200] * 5  # while pytest collects
"""
    )
    suite(tests).assert_outcomes(passed=2)


def test_limits_of_modules_that_no_test_names_are_reset(suite: Suite, pytester: pytest.Pytester):
    pytester.makepyfile(
        parts="""
        from fastapi import APIRouter, Depends
        from fastapi_throttle import RateLimit

        router = APIRouter(dependencies=[Depends(RateLimit("5/minute"))])
        router.add_api_route("/part", lambda: {})
        """
    )
    app = APP.replace("client =", "from parts import router\napp.include_router(router)\nclient =")

    suite(SIX_TWICE.replace("statuses(6)", 'statuses(6, "/part")'), app=app).assert_outcomes(
        passed=2
    )


def test_fixtures_of_modules_belong_to_the_test_that_needs_them_first(suite: Suite):
    tests = """
    import pytest
    from shop import *

    @pytest.fixture(scope="module")
    def used():
        assert statuses(5) == [200] * 5

    def test_first(used):
        assert statuses(1) == [429]

    def test_second(used):
        assert statuses(1) == [200]
    """
    suite(tests, app=on_redis(NOBODY)).assert_outcomes(passed=2)


def test_an_app_that_a_test_makes_or_imports_late_is_isolated_too(suite: Suite):
    tests = """
    import pytest

    @pytest.mark.parametrize("time", ["first", "second"])
    def test_the_sixth_is_refused(time):
        import shop

        assert shop.statuses(6) == [200] * 5 + [429]
    """
    suite(tests, app=on_redis(NOBODY), in_subprocess=True).assert_outcomes(passed=2)


def test_throttles_of_one_test_share_what_stands_for_their_redis(suite: Suite):
    """As a web process and its workers do."""
    app = (
        on_redis(NOBODY)
        + f"""
worker = Throttle(backend=RedisBackend("{NOBODY}"))
"""
    )
    tests = """
    import asyncio
    from shop import *

    def test_the_worker_sees_what_the_app_counted():
        statuses(3)

        decision = asyncio.run(worker.peek(limit, "ip:testclient"))
        assert decision.remaining == 5

        asyncio.run(worker.hit(limit, "peer:invalid"))
        assert asyncio.run(worker.peek(limit, "peer:invalid")).remaining == 1
    """
    suite(tests, app=app).assert_outcomes(passed=1)


def test_a_suite_without_limits_imports_neither_fastapi_nor_redis(suite: Suite):
    tests = """
    import sys
    from unittest import TestCase

    def test_of_something_else():
        assert not {"fastapi", "starlette", "redis", "pydantic"} & sys.modules.keys()

    class TestOld(TestCase):
        def test_of_something_else(self):
            assert "fastapi" not in sys.modules
    """
    suite(tests, in_subprocess=True).assert_outcomes(passed=2)


FIFTY = """
import pytest
from shop import *

def test_fifty_in_a_row():
    assert statuses(50) == [200] * 50

@pytest.mark.throttle(enabled=True)
def test_with_limits():
    assert statuses(6) == [200] * 5 + [429]

@pytest.mark.throttle(enabled=False)
def test_without_limits():
    assert statuses(50) == [200] * 50

def test_off(throttle_off):
    assert statuses(50) == [200] * 50

def test_off_late(request):
    statuses(5)
    request.getfixturevalue("throttle_off")
    assert statuses(50) == [200] * 50
"""


def test_fifty_requests_pass_with_limits_off(suite: Suite):
    suite(FIFTY, ini="throttle_default = off").assert_outcomes(passed=5)


def test_fifty_requests_fail_with_limits_on(suite: Suite):
    result = suite(FIFTY)

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines("FAILED test_shop.py::test_fifty_in_a_row*")


def test_the_environment_may_switch_limits_off(suite: Suite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASTAPI_THROTTLE_ENABLED", "false")

    suite(FIFTY).assert_outcomes(passed=5)


def test_the_sum_of_many_tests_in_four_processes(suite: Suite):
    tests = SIX_TWICE.replace('["first", "second"]', "range(60)")
    result = suite(tests, "-n", "4", "-p", "xdist", app=on_redis(NOBODY), in_subprocess=True)

    result.assert_outcomes(passed=60)
    assert result.errlines == []


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            "enabeld=True",
            "@pytest.mark.throttle: it takes enabled, limits, backend, isolation * got enabeld",
        ),
        ("False", "@pytest.mark.throttle: it takes * got False"),
        ("backend='disk'", "*backend must be one of memory, fakeredis, redis, got 'disk'"),
        ("enabled='off'", "@pytest.mark.throttle: enabled must be True or False, got 'off'"),
        ("isolation='no'", "@pytest.mark.throttle: isolation must be True or False, got 'no'"),
        ("limits=['search']", "@pytest.mark.throttle: limits must be a mapping *, got ['search']"),
        (
            "limits={'serch': '2/minute'}",
            "@pytest.mark.throttle: no limit is named 'serch'; known are *'search'*",
        ),
        (
            "limits={'search': 'twice'}",
            "@pytest.mark.throttle: limits['search'] must look like * got 'twice'",
        ),
        (
            "limits={'search': 2}",
            "@pytest.mark.throttle: limits['search'] must be text such as '100/minute', got 2",
        ),
        (
            "limits={5: '2/minute'}",
            "@pytest.mark.throttle: limit must be a RateLimit or the name of one, got 5",
        ),
    ],
)
def test_a_mistake_in_the_marker_is_named(suite: Suite, marker: str, message: str):
    tests = f"""
    import pytest
    from shop import *

    @pytest.mark.throttle({marker})
    def test_something():
        statuses(1)
    """
    result = suite(tests)

    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines(f"{message.replace('[', '[[]')}*")
    result.stdout.no_fnmatch_line("*another exception occurred*")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("throttle_default = maybe", "throttle_default must be 'on' or 'off', got 'maybe'"),
        ("throttle_isolation = maybe", "throttle_isolation must be true or false: *'maybe'"),
    ],
)
def test_a_mistake_in_the_ini_is_named(suite: Suite, line: str, message: str):
    result = suite(SIX_TWICE, ini=line)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(f"ERROR: {message}")


def test_markers_add_up_the_nearest_first(suite: Suite):
    app = (
        APP
        + """
@app.get("/other", dependencies=[Depends(RateLimit(5, "1m", name="other"))])
async def other():
    return "other"
"""
    )
    tests = """
    import pytest
    from shop import *

    pytestmark = pytest.mark.throttle(enabled=False, limits={"search": "1/minute", "other": "1/m"})

    @pytest.mark.throttle(enabled=True)
    class TestBoth:
        @pytest.mark.throttle(limits={"search": "3/minute"})
        def test_nearest(self):
            assert statuses(4) == [200] * 3 + [429]
            assert statuses(2, "/other") == [200, 429]

    def test_off():
        assert statuses(50) == [200] * 50
    """
    suite(tests, app=app).assert_outcomes(passed=2)
