"""Stores of several kinds, and stores that fail."""

from pathlib import Path

import pytest
from suites import APP, Suite, on_redis

NOBODY = "redis://127.0.0.1:1"

# It must take effect in the app: what it admits is counted elsewhere.
STORES = """
import pytest
import redis
from shop import *

@pytest.mark.parametrize("time", ["first", "second"])
class TestStores:
    @pytest.mark.throttle(backend="memory")
    def test_memory(self, time):
        assert statuses(6) == [200] * 5 + [429]

    @pytest.mark.throttle(backend="fakeredis")
    def test_fakeredis(self, time):
        assert statuses(6) == [200] * 5 + [429]

    @pytest.mark.throttle(backend="redis")
    def test_redis(self, time):
        assert statuses(6) == [200] * 5 + [429]

    def test_redis_to_look_into(self, time, throttle_redis):
        inside = redis.Redis.from_url(throttle_redis)
        assert inside.dbsize() == 0
        assert statuses(6) == [200] * 5 + [429]
        assert inside.dbsize() == 1
        inside.close()
"""


@pytest.mark.parametrize("app", [APP, on_redis(NOBODY)], ids=["in-process", "redis"])
def test_a_test_chooses_where_it_counts(suite: Suite, app: str):
    suite(STORES, app=app).assert_outcomes(passed=8)


def test_in_four_processes_each_has_its_own_redis(suite: Suite):
    tests = STORES.replace('["first", "second"]', "range(6)")

    result = suite(tests, "-n", "4", "-p", "xdist", in_subprocess=True)

    result.assert_outcomes(passed=24)
    assert result.errlines == []


def test_an_app_may_be_wired_to_it(suite: Suite):
    tests = """
    from fastapi_throttle import RedisBackend
    from shop import *

    def test_app(throttle_redis):
        app = FastAPI(dependencies=[Depends(RateLimit("5/minute"))])
        app.add_api_route("/", lambda: 1)
        Throttle(app, backend=RedisBackend(throttle_redis))
        with TestClient(app) as client:
            assert [client.get("/").status_code for _ in range(6)] == [200] * 5 + [429]
    """
    suite(tests).assert_outcomes(passed=1)


def test_without_a_redis_server_its_tests_are_skipped(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))

    result = suite(STORES, "-rs")

    result.assert_outcomes(passed=4, skipped=4)
    result.stdout.fnmatch_lines("SKIPPED*no Redis for this test: redis-server is not on PATH*")


def test_a_redis_server_that_ends_at_once_says_why(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho out of paper\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    result = suite(STORES, "-rs")

    result.assert_outcomes(passed=4, skipped=4)
    result.stdout.fnmatch_lines("SKIPPED*redis-server ended: out of paper*")


def test_no_redis_server_is_left_behind(suite: Suite, pytester: pytest.Pytester):
    tests = (
        STORES
        + """
from pathlib import Path

def test_note(throttle_redis):
    Path("socket").write_text(throttle_redis.removeprefix("unix://"))
"""
    )
    suite(tests, in_subprocess=True).assert_outcomes(passed=9)

    assert not Path((pytester.path / "socket").read_text()).parent.exists()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("closed", [503] * 7), ("local", [200] * 5 + [429] * 2), ("open", [200] * 7)],
)
def test_the_app_meets_an_outage(suite: Suite, mode: str, expected: list[int]):
    app = APP.replace('name="search"', f'name="search", failure_mode="{mode}"')
    tests = f"""
    import pytest
    from shop import *

    @pytest.mark.parametrize("kind", ["down", "timeout", "slow"])
    def test_outage(throttle, throttle_clock, kind):
        statuses(4)
        with throttle.fail_store(kind):
            assert statuses(7) == {expected}
            assert {{each.failure_mode for each in throttle.decisions[4:]}} == {{"{mode}"}}
            throttle_clock.advance("1m")
            assert statuses(7) == {expected}

        # It is asked again at the clock's time, not at the machine's.
        statuses(1)
        assert throttle.decisions[-1].degraded
        throttle_clock.advance("1m")
        assert statuses(6) == [200] * 5 + [429]
        assert not throttle.decisions[-1].degraded
    """
    suite(tests, app=app).assert_outcomes(passed=3)


def test_a_slow_store_does_what_it_is_asked(suite: Suite):
    tests = """
    import pytest
    from shop import *

    @pytest.mark.parametrize("kind", ["down", "timeout", "slow"])
    def test_what_is_counted(throttle, throttle_clock, kind):
        throttle.fail_store(kind)
        statuses(1)
        assert throttle.remaining("search") == (4 if kind == "slow" else 5)

    def test_the_next_test_has_a_store():
        assert statuses(6) == [200] * 5 + [429]
    """
    suite(tests).assert_outcomes(passed=4)


def test_the_app_waits_for_its_budget_unless_the_clock_stands_still(suite: Suite):
    app = APP.replace(
        "Throttle(app)",
        "from fastapi_throttle import ThrottleSettings\n"
        "Throttle(app, settings=ThrottleSettings(budget_ms=400))",
    )
    tests = """
    import time
    import pytest
    from shop import *

    def seconds():
        started = time.monotonic()
        assert statuses(1) == [200]
        return time.monotonic() - started

    @pytest.mark.parametrize("kind", ["timeout", "slow"])
    def test_it_waits(throttle, kind):
        throttle.fail_store(kind)
        assert seconds() >= 0.39

    @pytest.mark.parametrize("kind", ["timeout", "slow"])
    def test_it_does_not_with_a_clock(throttle, throttle_clock, kind):
        throttle.fail_store(kind)
        assert seconds() < 0.39

    def test_it_does_not_when_refused(throttle):
        throttle.fail_store("down")
        assert seconds() < 0.39
    """
    suite(tests, app=app).assert_outcomes(passed=5)


def test_an_outage_reaches_what_the_app_asks_for_itself(suite: Suite):
    tests = """
    import asyncio
    import pytest
    from fastapi_throttle import BackendError
    from shop import *

    throttle_of_worker = Throttle()

    def test_reset_raises(throttle):
        throttle.fail_store("down")
        with pytest.raises(BackendError) as raised:
            asyncio.run(throttle_of_worker.reset(limit, "user:1"))
        assert isinstance(raised.value.__cause__, ConnectionRefusedError)
        assert asyncio.run(throttle_of_worker.peek(limit, "user:1")).failure_mode == "local"
    """
    suite(tests).assert_outcomes(passed=1)


def test_one_failure_within_another_leaves_the_outer_in_force(suite: Suite):
    tests = """
    import pytest
    from shop import *

    def test_nested(throttle, throttle_clock):
        with throttle.fail_store("down"):
            with throttle.fail_store("slow"):
                statuses(1)
            assert throttle.remaining("search") == 4
            throttle_clock.advance("1m")
            statuses(1)
            assert throttle.decisions[-1].degraded
        throttle_clock.advance("1m")
        statuses(1)
        assert not throttle.decisions[-1].degraded

    def test_an_exception(throttle):
        with pytest.raises(KeyError), throttle.fail_store("down"):
            raise KeyError
        statuses(1)
        assert not throttle.decisions[-1].degraded
    """
    suite(tests).assert_outcomes(passed=2)


@pytest.mark.parametrize("isolation", ["true", "false"])
def test_a_redis_that_is_asked_for_late_is_counted_in(suite: Suite, isolation: str):
    tests = """
    import pytest
    import redis
    from shop import *

    @pytest.fixture(params=["memory", "redis"])
    def store(request):
        return request.param == "redis" and request.getfixturevalue("throttle_redis")

    def keys_in(url):
        with redis.Redis.from_url(url) as inside:
            return inside.dbsize()

    def test_before_anything_is_counted(store):
        assert statuses(6) == [200] * 5 + [429]
        assert not store or keys_in(store) == 1

    def test_after(throttle, request):
        statuses(5)
        url = request.getfixturevalue("throttle_redis")
        assert statuses(6) == [200] * 5 + [429]
        assert keys_in(url) == 1
        assert throttle.remaining("search") == 0
        throttle.reset()
        assert keys_in(url) == 0

    @pytest.mark.throttle(backend="memory")
    def test_unless_the_test_counts_elsewhere(throttle_redis):
        assert statuses(1) == [200]
        assert keys_in(throttle_redis) == 0
    """
    suite(tests, ini=f"throttle_isolation = {isolation}").assert_outcomes(passed=4)
