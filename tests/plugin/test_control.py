"""What a test does to limits, and the clock they go by."""

import pytest
from suites import APP, Suite

UNNAMED = APP.replace(', name="search"', "")

# An app with keys of every kind: what a resolver returns, users, tiers, several windows.
SHOP = """
from typing import Annotated
from fastapi import Depends, FastAPI, Header, Request
from fastapi.testclient import TestClient
from fastapi_throttle import *

app = FastAPI()
Throttle(app)


async def tenant(x_tenant: Annotated[str, Header()] = "none") -> str:
    return x_tenant


async def user(x_user: Annotated[int, Header()] = 1) -> int:
    return x_user


async def number(x_number: Annotated[str | None, Header()] = None) -> tuple[str, str] | None:
    return ("number", x_number) if x_number else None


per_tenant = RateLimit(5, "1m", key=tenant, name="tenants")
per_user = RateLimit("5/second; 20/minute", key=principal(user), name="users")
per_tier = RateLimit(tiers({"free": "5/m", "pro": "9/m"}, by=tenant, default="free"), name="tiers")
per_number = RateLimit(3, 60, key=number, name="numbers")
smooth = RateLimit(6, "1m", algorithm="gcra", burst=2, name="smooth")
aligned = RateLimit(3, "1h", algorithm="fixed-window", name="aligned")
routed = RateLimit(3, "1m", scope="route", name="routed")
dynamic = RateLimit(lambda request: "4/minute", name="dynamic")
both = all_of(per_tenant, RateLimit(9, "1m", key=everyone(), name="all"))

LIMITS = {
    "tenants": per_tenant, "users": per_user, "numbers": per_number, "smooth": smooth,
    "aligned": aligned, "routed": routed, "routed-too": routed, "dynamic": dynamic, "both": both,
}
for path, limit in LIMITS.items():
    app.add_api_route(f"/{path}", lambda: path, dependencies=[Depends(limit)])


@app.post("/login/{name}")
async def login(name: str, request: Request):
    await per_tenant.reset(request, key=name)


@app.get("/left")
async def left(request: Request):
    return (await smooth.peek(request)).remaining


client = TestClient(app)


def status(path, **headers):
    sent = {f"x-{name}": value for name, value in headers.items()}
    return client.get(path, headers=sent).status_code


def statuses(times, path, **headers):
    return [status(path, **headers) for _ in range(times)]
"""


@pytest.mark.parametrize("app", [APP, UNNAMED], ids=["named", "unnamed"])
def test_the_clock_moves_only_when_told(suite: Suite, app: str):
    tests = """
    import time
    from datetime import timedelta
    import pytest
    from fastapi_throttle import ConfigurationError
    from fastapi_throttle.clock import monotonic, wall_clock
    from shop import *

    def test_clock(throttle_clock):
        now = throttle_clock.now
        statuses(5)
        assert client.get("/search").headers["retry-after"] == "60"

        throttle_clock.advance("30s")
        assert client.get("/search").headers["retry-after"] == "30"
        assert client.get("/search").headers["ratelimit"].endswith("r=0;t=30")
        throttle_clock.advance(timedelta(seconds=29))
        assert statuses(1) == [429]
        throttle_clock.advance(1)
        assert statuses(6) == [200] * 5 + [429]
        assert throttle_clock.now == now + 60

    @pytest.mark.parametrize("duration", ["soon", -1, 0, float("nan")])
    def test_a_mistake_is_named(throttle_clock, duration):
        with pytest.raises(ConfigurationError, match="^duration must"):
            throttle_clock.advance(duration)

    def test_the_next_test_has_a_clock_of_its_own(throttle_clock):
        assert statuses(6) == [200] * 5 + [429]
        throttle_clock.advance("1m")
        assert statuses(1) == [200]

    def test_or_that_of_the_machine():
        assert wall_clock() == pytest.approx(time.time_ns() / 1000, abs=60_000_000)
        assert monotonic() == pytest.approx(time.monotonic(), abs=60)
    """
    suite(tests, app=app).assert_outcomes(passed=7)


def test_whatever_depends_on_time_goes_by_the_clock(suite: Suite):
    app = APP.replace(
        "Throttle(app)",
        "from fastapi_throttle import ThrottleSettings\n"
        'Throttle(app, settings=ThrottleSettings(fields="both", legacy_reset="epoch"))',
    )
    tests = """
    import pytest
    from shop import *

    @pytest.mark.throttle(backend="memory")
    def test_in_memory(throttle_clock):
        check(throttle_clock)

    @pytest.mark.throttle(backend="fakeredis")
    def test_in_fakeredis(throttle_clock):
        check(throttle_clock)

    def test_in_redis(throttle_clock, throttle_redis):
        check(throttle_clock)

    def check(clock):
        statuses(5)
        fields = client.get("/search").headers
        assert int(fields["x-ratelimit-reset"]) == clock.now + 60
        assert fields["retry-after"] == "60"
        clock.advance("59s")
        assert statuses(1) == [429]
        clock.advance("1s")
        assert statuses(1) == [200]
    """
    suite(tests, app=app).assert_outcomes(passed=3)


@pytest.mark.parametrize("app", [APP, UNNAMED], ids=["named", "unnamed"])
def test_exhaust_lasts_one_window_of_the_clock(suite: Suite, app: str):
    tests = """
    from shop import *

    def test_exhaust(throttle, throttle_clock):
        throttle.exhaust(limit)

        refused = client.get("/search")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
        assert "r=0;t=60" in refused.headers["ratelimit"]
        throttle_clock.advance("59.5s")
        assert client.get("/search").headers["retry-after"] == "1"
        throttle_clock.advance("0.5s")
        assert statuses(6) == [200] * 5 + [429]

    def test_the_next_test_knows_nothing_of_it():
        assert statuses(1) == [200]
    """
    suite(tests, app=app).assert_outcomes(passed=2)


def test_allow_undoes_exhaust_and_nothing_else(suite: Suite):
    tests = """
    from shop import *

    def test_allow(throttle):
        statuses(3)
        throttle.exhaust("search")
        assert statuses(1) == [429]

        throttle.allow("search")
        assert throttle.remaining("search") == 2
        assert statuses(3) == [200, 200, 429]
    """
    suite(tests).assert_outcomes(passed=1)


def test_exhaust_reaches_limits_of_every_kind_and_no_other(suite: Suite):
    tests = """
    import pytest
    from shop import *

    NAMES = {"tenants", "users", "numbers", "smooth", "aligned", "dynamic"}

    @pytest.mark.parametrize("name", NAMES)
    def test_exhaust(throttle, name):
        throttle.exhaust(name)
        assert status(f"/{name}") == 429
        assert {status(f"/{other}") for other in NAMES - {name}} == {200}

    def test_each_route(throttle):
        throttle.exhaust("routed")
        assert (status("/routed"), status("/routed-too")) == (429, 429)

    def test_what_is_decided_together_is_refused_together(throttle):
        throttle.exhaust("all")
        assert statuses(6, "/both", tenant="a") == [429] * 6
        assert throttle.remaining("tenants", "a") == 5
        throttle.allow("all")
        assert statuses(6, "/both", tenant="a") == [200] * 5 + [429]

    def test_each_window_is_used_up_for_its_own_length(throttle, throttle_clock):
        throttle.exhaust("users")
        assert client.get("/users").headers["retry-after"] == "60"
        throttle_clock.advance("1s")
        states = client.get("/users").headers["ratelimit"]
        assert states == '"users-1s";r=5, "users-1m";r=0;t=59'
    """
    suite(tests, app=SHOP).assert_outcomes(passed=9)


def test_a_key_is_what_the_resolver_gives(suite: Suite):
    tests = """
    import pytest
    from shop import *

    def test_text_of_a_resolver(throttle):
        throttle.exhaust("tenants", key="a")
        assert [status("/tenants", tenant=each) for each in "ab"] == [429, 200]

    def test_text_that_reads_like_a_user(throttle):
        throttle.exhaust("tenants", key="user:1")
        assert [status("/tenants", tenant=each) for each in ("user:1", "1")] == [429, 200]

    def test_a_user(throttle):
        throttle.exhaust("users", key="user:7")
        assert [status("/users", user=each) for each in "78"] == [429, 200]

    def test_a_tuple(throttle):
        throttle.exhaust("numbers", key=("number", "7"))
        assert [status("/numbers", number=each) for each in "78"] == [429, 200]

    @pytest.mark.parametrize("key", ["ip:testclient", "peer:invalid"])
    def test_the_test_client(throttle, key):
        throttle.exhaust("smooth", key=key)
        assert status("/smooth") == 429

    def test_an_address(throttle):
        throttle.exhaust("smooth", key="ip:203.0.113.9")
        assert status("/smooth") == 200
        assert TestClient(app, client=("203.0.113.9", 1)).get("/smooth").status_code == 429

    def test_all_but_one(throttle):
        throttle.exhaust("tenants")
        throttle.allow("tenants", key="a")
        assert [status("/tenants", tenant=each) for each in "ab"] == [200, 429]

    def test_what_the_app_resets_is_allowed(throttle):
        throttle.exhaust("tenants")
        status("/tenants", tenant="a")
        client.post("/login/a")
        assert [status("/tenants", tenant=each) for each in "ab"] == [200, 429]
    """
    suite(tests, app=SHOP).assert_outcomes(passed=9)


def test_remaining_is_what_is_left(suite: Suite):
    tests = """
    import pytest
    from fastapi_throttle import ThrottleError
    from shop import *

    def test_of_a_caller(throttle):
        statuses(2, "/tenants", tenant="a")
        status("/tenants", tenant="b")
        assert throttle.remaining("tenants", key="a") == 3
        assert throttle.remaining(per_tenant, key="b") == 4
        assert throttle.remaining("tenants", key="c") == 5
        assert throttle.remaining("tenants") == 3

    def test_it_uses_nothing(throttle):
        status("/users")
        assert [throttle.remaining("users") for _ in range(30)] == [4] * 30

    def test_of_what_nobody_used(throttle, throttle_clock):
        names = ("tenants", "users", "smooth", "tiers", "routed")
        assert [throttle.remaining(name) for name in names] == [5, 5, 2, 5, 3]
        throttle.exhaust("tenants", key="a")
        assert [throttle.remaining("tenants", key) for key in ("a", "b", None)] == [0, 5, 0]
        throttle_clock.advance("1m")
        assert throttle.remaining("tenants", key="a") == 5

    def test_of_what_depends_on_the_request(throttle):
        with pytest.raises(ThrottleError, match="'dynamic' depends on the request"):
            throttle.remaining("dynamic")
        status("/dynamic")
        assert throttle.remaining("dynamic") == 3

    @pytest.mark.parametrize("keys", [(42, "42"), ("42", 42)])
    def test_of_what_is_exhausted_for_ids_of_one_text(throttle, keys):
        throttle.exhaust("tenants", key=keys[0])
        assert throttle.remaining("tenants", key=keys[1]) == 0

    def test_it_follows_the_clock(throttle, throttle_clock):
        statuses(2, "/smooth")
        assert throttle.remaining("smooth") == 0
        throttle_clock.advance("10s")
        assert throttle.remaining("smooth") == 1

    def test_while_the_store_fails(throttle):
        status("/tenants")
        throttle.fail_store("down")
        assert throttle.remaining("tenants") == 4

    async def test_inside_a_running_loop(throttle):
        status("/tenants")
        assert throttle.remaining("tenants") == 4
        throttle.reset()
        assert throttle.remaining("tenants") == 5
    """
    app = SHOP.replace("LIMITS = {", 'LIMITS = {"tiers": per_tier, ')
    ini = "anyio_mode = auto"

    suite(tests, "-p", "anyio", app=app, ini=ini).assert_outcomes(passed=9)


@pytest.mark.parametrize("window", ["1m", "1h"])
def test_remaining_goes_by_the_rule_of_each_app(suite: Suite, window: str):
    tests = f"""
    from shop import *

    def test_two_apps(throttle):
        other = FastAPI(dependencies=[Depends(RateLimit(7, "{window}", name="search"))])
        other.add_api_route("/", lambda: 1)
        statuses(2)
        assert throttle.remaining("search") == 3
        assert [TestClient(other).get("/").status_code for _ in range(5)] == [200] * 5
        assert throttle.remaining("search") == 2
        throttle.override("search", "6/{window}")
        assert throttle.remaining("search") == 1
    """
    suite(tests).assert_outcomes(passed=1)


def test_decisions_are_those_of_this_test(suite: Suite):
    tests = """
    from shop import *

    def test_decisions(throttle):
        statuses(6, "/tenants")
        status("/both")
        client.get("/left")
        assert [decision.allowed for decision in throttle.decisions] == [True] * 5 + [False] * 3
        assert [str(decision.policy) for decision in throttle.decisions[5:]] == [
            "tenants", "tenants", "all"
        ]

    def test_none_yet(throttle):
        assert throttle.decisions == []

    def test_none_while_off(throttle, throttle_off):
        status("/tenants")
        assert throttle.decisions == []
    """
    suite(tests, app=SHOP).assert_outcomes(passed=3)


def test_reset_starts_anew(suite: Suite):
    tests = """
    import pytest
    from shop import *

    def check(throttle):
        throttle.override("search", "2/minute")
        assert statuses(3) == [200, 200, 429]
        throttle.reset()
        assert throttle.decisions == []
        assert statuses(3) == [200, 200, 429]
        throttle.exhaust("search")
        throttle.reset()
        assert statuses(1) == [200]

    def test_what_this_process_counted_in_an_outage(throttle):
        throttle.fail_store("down")
        assert statuses(6) == [200] * 5 + [429]
        throttle.reset()
        assert statuses(6) == [200] * 5 + [429]

    def test_reset(throttle):
        check(throttle)

    @pytest.mark.throttle(backend="fakeredis")
    def test_reset_fakeredis(throttle):
        check(throttle)

    def test_reset_redis(throttle, throttle_redis):
        check(throttle)
    """
    suite(tests).assert_outcomes(passed=4)


@pytest.mark.parametrize("app", [APP, UNNAMED], ids=["named", "unnamed"])
def test_override_gives_a_limit_another_rate(suite: Suite, app: str):
    tests = """
    from shop import *

    def test_until_the_end(throttle):
        throttle.override(limit, "2/minute")
        assert statuses(3) == [200, 200, 429]
        assert "q=2;w=60" in client.get("/search").headers["ratelimit-policy"]

    def test_as_written():
        assert statuses(6) == [200] * 5 + [429]

    def test_for_a_while(throttle):
        with throttle.override(limit, "2/second; 3/hour"):
            with throttle.override(limit, "1/second"):
                assert "q=1;w=1" in client.get("/search").headers["ratelimit-policy"]
            assert "q=3;w=3600" in client.get("/search").headers["ratelimit-policy"]
        assert "q=5;w=60" in client.get("/search").headers["ratelimit-policy"]
    """
    suite(tests, app=app).assert_outcomes(passed=3)


def test_override_reaches_limits_of_every_kind(suite: Suite):
    tests = """
    import pytest
    from shop import *

    NAMES = ["tenants", "users", "smooth", "aligned", "routed", "dynamic", "tiers"]

    @pytest.mark.parametrize("name", NAMES)
    def test_override(throttle, name):
        throttle.override(name, "2/minute")
        assert statuses(3, f"/{name}") == [200, 200, 429]
        assert throttle.remaining(name) == 0

    def test_what_is_decided_together(throttle):
        throttle.override("all", "1/minute")
        assert [status("/both", tenant=each) for each in "ab"] == [200, 429]

    @pytest.mark.throttle(limits={"tenants": "1/minute"})
    def test_an_app_that_is_made_later(throttle):
        later = FastAPI(dependencies=[Depends(RateLimit(9, "1m", name="tenants"))])
        later.add_api_route("/", lambda: 1)
        client = TestClient(later)
        assert [client.get("/").status_code for _ in range(2)] == [200, 429]
    """
    app = SHOP.replace("LIMITS = {", 'LIMITS = {"tiers": per_tier, ')

    suite(tests, app=app).assert_outcomes(passed=9)


def test_what_nobody_knows_is_named(suite: Suite):
    tests = """
    import pytest
    from fastapi_throttle import ConfigurationError, ThrottleError
    from shop import *

    @pytest.mark.parametrize("method", ["exhaust", "allow", "remaining"])
    def test_a_name(throttle, method):
        with pytest.raises(ThrottleError, match=r"^no limit is named 'serch'; known .*'search'"):
            getattr(throttle, method)("serch")

    def test_a_name_to_override(throttle):
        with pytest.raises(ThrottleError, match="^no limit is named 'serch'"):
            throttle.override("serch", "2/minute")

    @pytest.mark.parametrize(
        ("rate", "message"),
        [
            ("twice", "rate must look like .* got 'twice'"),
            (2, "rate must be text such as '100/minute', got 2"),
            ("3000000/second", "limit must be lower with algorithm 'gcra', .*3000000-per-1s"),
        ],
    )
    def test_a_rate(throttle, rate, message):
        with pytest.raises((ConfigurationError, TypeError), match=f"^{message}"):
            throttle.override("search", rate)
        assert statuses(3) == [200] * 3

    @pytest.mark.parametrize("key", [3.5, True, "", " ", ["a"], ("a", None), object()])
    @pytest.mark.parametrize("method", ["exhaust", "allow", "remaining"])
    def test_a_key_that_nobody_has(throttle, method, key):
        with pytest.raises(TypeError, match="^key must be text such as 'user:42' or .*, got "):
            getattr(throttle, method)("search", key=key)

    def test_no_limit(throttle):
        with pytest.raises(TypeError, match="limit must be a RateLimit or the name of one, got 5"):
            throttle.exhaust(5)

    def test_a_kind(throttle):
        with pytest.raises(ConfigurationError, match="^kind .* timeout, down, slow, got 'dwon'"):
            throttle.fail_store("dwon")
        assert statuses(1) == [200]
    """
    app = APP.replace('"1m",', '"1m", algorithm="gcra",')

    suite(tests, app=app).assert_outcomes(passed=30)
