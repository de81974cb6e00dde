"""The dependency in apps: keys, dynamic limits and costs, tiers, and its own methods."""

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Annotated
from uuid import uuid4

import pytest
from clock import Clock
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Security, WebSocket
from fastapi.testclient import TestClient

from fastapi_throttle import (
    UNLIMITED,
    ConfigurationError,
    Decision,
    MemoryBackend,
    RateLimit,
    RedisBackend,
    Throttle,
    ThrottleError,
    ThrottleSettings,
    client_ip,
    everyone,
    first_of,
    principal,
    tiers,
)

Text = Annotated[str | None, Header()]


def new_app(**options):
    clock = Clock()
    app = FastAPI()
    app.state.throttle = Throttle(app, backend=MemoryBackend(clock=clock), **options)
    app.state.clock = clock
    return app


def limited(limit, **options):
    app = new_app(**options)
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(limit)])
    return app


def statuses(app, *headers):
    client = TestClient(app)
    return [client.get("/x", headers=each).status_code for each in headers]


async def current_user(x_user: Text = None, x_tier: Text = None):
    return SimpleNamespace(id=x_user, tier=x_tier) if x_user else None


async def current_tier(user: Annotated[object, Depends(current_user)]):
    return user.tier if user else None


# --- keys ---------------------------------------------------------------------------------------


def test_the_default_key_is_the_address():
    app = limited(RateLimit(1, "1m"))

    one = TestClient(app, client=("203.0.113.1", 1)).get("/x").status_code
    again = TestClient(app, client=("203.0.113.1", 2)).get("/x").status_code
    other = TestClient(app, client=("203.0.113.2", 1)).get("/x").status_code

    assert (one, again, other) == (200, 429, 200)


@pytest.mark.matrix
def test_a_principal_pays_for_itself():
    app = limited(RateLimit(1, "1m", key=principal(current_user)))

    assert statuses(app, {"x-user": "a"}, {"x-user": "b"}, {"x-user": "a"}) == [200, 200, 429]


def test_a_resolver_that_gives_none_leaves_it_to_the_address():
    app = limited(RateLimit(1, "1m", key=principal(current_user)))

    assert statuses(app, {}, {}, {"x-user": "a"}) == [200, 429, 200]


def test_a_user_never_shares_with_an_address_of_the_same_text():
    app = limited(RateLimit(1, "1m", key=principal(current_user)))
    client = TestClient(app, client=("1.2.3.4", 1))

    assert client.get("/x").status_code == 200
    assert client.get("/x", headers={"x-user": "1.2.3.4"}).status_code == 200


@pytest.mark.matrix
def test_the_users_dependency_runs_once_for_key_tier_and_endpoint():
    runs = []

    async def user(x_user: Text = None):
        runs.append(x_user)
        return SimpleNamespace(id=x_user, tier="pro")

    async def tier(user: Annotated[object, Depends(user)]):
        return user.tier

    limit = RateLimit(
        tiers({"free": "1/m", "pro": "3/m"}, by=tier, default="free"), key=principal(user)
    )
    app = new_app()

    @app.get("/x", dependencies=[Depends(limit)])
    def x(user: Annotated[object, Depends(user)]):
        return user.id

    assert TestClient(app).get("/x", headers={"x-user": "ada"}).json() == "ada"
    assert runs == ["ada"]


@pytest.mark.matrix
def test_overriding_the_users_dependency_changes_the_bucket():
    app = limited(RateLimit(1, "1m", key=principal(current_user)))
    assert statuses(app, {"x-user": "a"}, {"x-user": "a"}) == [200, 429]

    app.dependency_overrides[current_user] = lambda: SimpleNamespace(id="other")

    assert statuses(app, {"x-user": "a"}, {"x-user": "b"}) == [200, 429]


@pytest.mark.matrix
@pytest.mark.parametrize(
    "key",
    [
        lambda request: request.headers.get("x-user"),
        lambda conn: conn.headers.get("x-user"),
    ],
)
def test_a_lambda_of_the_request_is_no_query_parameter(key):
    app = limited(RateLimit(1, "1m", key=key))

    assert statuses(app, {"x-user": "a"}, {"x-user": "b"}, {"x-user": "a"}) == [200, 200, 429]


@pytest.mark.parametrize("value", [True, 1.5, ["a"], object()])
def test_a_resolver_of_a_wrong_type_leaves_it_to_the_address_and_is_logged(value, caplog):
    async def wrong():
        return value

    app = limited(RateLimit(1, "1m", key=wrong))

    assert statuses(app, {}, {}) == [200, 429]
    [message] = caplog.messages
    assert f"wrong returned a value of type {type(value).__name__} as an identity" in message


@pytest.mark.parametrize("blank", ["", "  ", b""])
def test_a_blank_id_is_nobody(blank):
    app = limited(RateLimit(1, "1m", key=lambda request: blank))
    one, two = (
        TestClient(app, client=("203.0.113.1", 1)),
        TestClient(app, client=("203.0.113.2", 1)),
    )

    assert [one.get("/x").status_code, two.get("/x").status_code, one.get("/x").status_code] == [
        200, 200, 429,
    ]  # fmt: skip


def test_first_of_asks_in_order():
    app = limited(RateLimit(1, "1m", key=first_of(principal(current_user), client_ip())))

    assert statuses(app, {"x-user": "a"}, {}, {"x-user": "a"}, {}) == [200, 200, 429, 429]


def test_everyone_is_one_partition():
    app = limited(RateLimit(1, "1m", key=everyone()))

    one = TestClient(app, client=("203.0.113.1", 1)).get("/x").status_code
    other = TestClient(app, client=("203.0.113.2", 1)).get("/x").status_code

    assert (one, other) == (200, 429)


def test_a_key_that_knows_nobody_ends_at_the_address_whatever_the_default():
    app = limited(RateLimit(1, "1m", key=lambda request: None), default_key=everyone())

    one = TestClient(app, client=("203.0.113.1", 1)).get("/x").status_code
    other = TestClient(app, client=("203.0.113.2", 1)).get("/x").status_code

    assert (one, other) == (200, 200)


@pytest.mark.parametrize("kind", ["key", "first_of"])
def test_a_plain_resolver_that_raises_leaves_it_to_the_address(kind, caplog):
    def broken(request):
        raise LookupError(request.headers["x-user"])

    app = limited(RateLimit(1, "1m", key=broken if kind == "key" else first_of(broken)))

    assert statuses(app, {"x-user": "secret-1"}, {"x-user": "secret-2"}) == [200, 429]
    assert "broken raised LookupError" in caplog.text
    assert "secret" not in caplog.text


class PlainCallable:
    def __call__(self, request):
        return request.headers.get("x-user")


@pytest.mark.parametrize(
    "key",
    [
        PlainCallable(),
        partial(lambda header, request: request.headers.get(header), "x-user"),
        Depends(lambda request: request.headers.get("x-user")),
        Security(lambda request: request.headers.get("x-user"), scopes=["me"]),
    ],
)
def test_other_callables_of_the_request_are_no_query_parameters(key):
    app = limited(RateLimit(1, "1m", key=key))

    assert statuses(app, {"x-user": "a"}, {"x-user": "b"}, {"x-user": "a"}) == [200, 200, 429]


def tenant_of(request):
    return request.headers.get("x-user")


def cost_of(request):
    return 1


def test_overrides_reach_functions_of_the_request():
    app = limited(RateLimit(3, "1m", key=tenant_of, cost=cost_of))
    app.dependency_overrides[tenant_of] = lambda: "one"
    app.dependency_overrides[cost_of] = lambda: 3

    assert statuses(app, {"x-user": "a"}, {"x-user": "b"}) == [200, 429]


def test_a_lambda_may_take_the_request_by_name_only():
    app = limited(RateLimit(1, "1m", key=lambda *, request: request.headers.get("x-user")))

    assert statuses(app, {"x-user": "a"}, {"x-user": "b"}, {"x-user": "a"}) == [200, 200, 429]


async def wrong():
    return 1.5


def test_a_wrong_type_from_security_is_no_500():
    app = limited(RateLimit(1, "1m", key=Security(wrong, scopes=["me"])))

    assert statuses(app, {}, {}) == [200, 429]


def test_a_throttle_can_say_who_pays_by_default():
    app = limited(RateLimit(1, "1m"), default_key=everyone())

    one = TestClient(app, client=("203.0.113.1", 1)).get("/x").status_code
    other = TestClient(app, client=("203.0.113.2", 1)).get("/x").status_code

    assert (one, other) == (200, 429)


def test_an_error_of_the_apps_own_authentication_is_not_touched():
    async def user():
        raise HTTPException(401, "who are you?")

    app = limited(RateLimit(1, "1m", key=principal(user)))

    assert statuses(app, {}, {}, {}) == [401, 401, 401]


# --- limits and costs from dependencies ---------------------------------------------------------


@pytest.mark.matrix
def test_each_tier_has_its_limit_and_anonymous_callers_pay_by_address():
    limit = RateLimit(
        tiers({"free": "2/minute", "pro": "5/minute"}, by=current_tier, default="free"),
        key=principal(current_user),
    )
    app = limited(limit)
    free, pro = {"x-user": "f", "x-tier": "free"}, {"x-user": "p", "x-tier": "pro"}

    assert statuses(app, *[free] * 3) == [200, 200, 429]
    assert statuses(app, *[pro] * 6) == [200] * 5 + [429]
    assert statuses(app, *[{}] * 3) == [200, 200, 429]


def test_an_unknown_tier_is_an_error_that_names_it():
    app = limited(
        RateLimit(
            tiers({"free": "2/m"}, by=current_tier, default="free"), key=principal(current_user)
        )
    )

    with pytest.raises(
        ConfigurationError, match=r"current_tier returned the tier 'gold'.*\['free'\]"
    ):
        statuses(app, {"x-user": "a", "x-tier": "gold"})


def test_an_upgrade_applies_at_once_to_what_was_used():
    plan = {"rate": "10/minute"}
    app = limited(RateLimit(lambda request: plan["rate"], name="plan"))
    client = TestClient(app)
    for _ in range(8):
        client.get("/x")

    plan["rate"] = "100/minute"
    assert client.get("/x").headers["ratelimit"] == '"plan";r=91;t=60'

    plan["rate"] = "5/minute"
    refused = client.get("/x")
    assert refused.status_code == 429
    assert refused.headers["ratelimit"] == '"plan";r=0;t=60'


def test_a_dynamic_int_uses_the_window():
    app = limited(RateLimit(lambda request: 2, "1m"))

    assert statuses(app, {}, {}, {}) == [200, 200, 429]


def test_unlimited_callers_are_not_counted_and_get_no_fields():
    app = limited(RateLimit(lambda request: UNLIMITED))
    client = TestClient(app)

    responses = [client.get("/x") for _ in range(5)]

    assert {response.status_code for response in responses} == {200}
    assert "ratelimit" not in responses[0].headers


@pytest.mark.parametrize("value", [None, True, 1.5, 0, -1, "soon", {"limit": 5}])
def test_a_limit_dependency_that_returns_something_else_is_named(value):
    async def plan():
        return value

    app = limited(RateLimit(plan, "1m"))

    with pytest.raises(ConfigurationError, match=r"plan returned .* as a limit"):
        statuses(app, {})


def test_a_cost_comes_from_a_dependency():
    def cost(pages: int = 1):
        return pages

    app = limited(RateLimit(10, "1m", cost=cost))
    client = TestClient(app)

    assert client.get("/x?pages=4").headers["ratelimit"] == '"10-per-1m";r=6;t=60'
    assert client.get("/x?pages=7").status_code == 429
    assert client.get("/x?pages=6").status_code == 200


def test_a_cost_that_never_fits_says_so_without_retry_after():
    app = limited(RateLimit(10, "1m", cost=lambda request: 11))

    refused = TestClient(app).get("/x")

    assert refused.status_code == 429
    assert "retry-after" not in refused.headers
    assert "more than the limit ever allows" in refused.json()["detail"]


def test_a_cost_of_nothing_is_admitted_and_writes_nothing():
    app = limited(RateLimit(1, "1m", cost=lambda request: 0))
    client = TestClient(app)

    assert client.get("/x").headers["ratelimit"] == '"1-per-1m";r=1'
    assert client.get("/x").headers["ratelimit"] == '"1-per-1m";r=1'


@pytest.mark.parametrize("value", [-1, True, 1.5, "3", None, float("nan")])
def test_a_cost_dependency_that_returns_something_else_is_named(value):
    async def pages():
        return value

    app = limited(RateLimit(10, "1m", cost=pages))

    with pytest.raises(ConfigurationError, match="pages returned a cost that must be an int"):
        statuses(app, {})


# --- its own methods ----------------------------------------------------------------------------


def test_the_dependencys_value_is_the_decision():
    app, limit = new_app(), RateLimit("5/second; 9/hour", name="search")

    @app.get("/x")
    def x(decision: Annotated[Decision, Depends(limit)]):
        return [decision.allowed, decision.policy.name, decision.remaining, decision.window] + [
            quota.remaining for quota in decision.quotas
        ]

    assert TestClient(app).get("/x").json() == [True, "search", 4, 1.0, 4, 8]


def test_hit_counts_at_every_call_and_never_raises_for_a_refusal():
    app, limit = new_app(), RateLimit(2, "1m")

    @app.get("/x", dependencies=[Depends(limit)])
    async def x(request: Request):
        return [(await limit.hit(request)).allowed for _ in range(3)]

    response = TestClient(app).get("/x")

    assert response.json() == [True, False, False]
    assert response.headers["ratelimit"] == '"2-per-1m";r=0;t=60'


def test_a_hit_before_the_dependency_does_not_replace_it():
    app, limit = new_app(), RateLimit(2, "1m")

    async def earlier(request: Request):
        await limit.hit(request)

    app.add_api_route("/x", lambda: {}, dependencies=[Depends(earlier), Depends(limit)])

    assert TestClient(app).get("/x").headers["ratelimit"] == '"2-per-1m";r=0;t=60'


def test_hit_takes_the_identity_the_dependency_resolved():
    app, limit = new_app(), RateLimit(2, "1m", key=principal(current_user))

    @app.get("/x", dependencies=[Depends(limit)])
    async def x(request: Request):
        return (await limit.hit(request)).remaining

    client = TestClient(app)

    assert client.get("/x", headers={"x-user": "a"}).json() == 0
    assert client.get("/x", headers={"x-user": "b"}).json() == 0


def test_hit_takes_a_key_as_text():
    app, limit = new_app(), RateLimit(2, "1m", key=principal(current_user))

    @app.get("/x", dependencies=[Depends(limit)])
    async def x(request: Request):
        return (await limit.hit(request, key="user:b")).remaining

    client = TestClient(app)

    assert client.get("/x", headers={"x-user": "a"}).json() == 1
    assert client.get("/x", headers={"x-user": "b"}).json() == 0


def test_hit_without_a_known_payer_says_to_pass_a_key():
    app, limit = new_app(), RateLimit(2, "1m", key=principal(current_user))
    app.add_api_route("/limited", lambda: {}, dependencies=[Depends(limit)])

    @app.get("/x")
    async def x(request: Request):
        with pytest.raises(ThrottleError, match="nobody is known to pay: pass key="):
            await limit.hit(request)

    assert statuses(app, {}) == [200]


def test_hit_of_a_dynamic_limit_needs_its_dependency():
    app, limit = new_app(), RateLimit(lambda request: "2/minute", name="plan")
    app.add_api_route("/limited", lambda: {}, dependencies=[Depends(limit)])

    @app.get("/x")
    async def x(request: Request):
        with pytest.raises(ThrottleError, match="not resolved in this request"):
            await limit.hit(request, key="user:a")

    assert statuses(app, {}) == [200]


def test_hit_of_an_unnamed_limit_that_no_route_depends_on_says_that_it_needs_a_name():
    app, limit = new_app(), RateLimit(2, "1m")

    @app.get("/x")
    async def x(request: Request):
        with pytest.raises(ThrottleError, match="needs a name"):
            await limit.hit(request)

    assert statuses(app, {}) == [200]


def test_peek_consumes_nothing_and_equals_the_next_hit():
    app, limit = new_app(), RateLimit(2, "1m")
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(limit)])

    @app.get("/peek")
    async def peek(request: Request):
        decision = await limit.peek(request)
        return [decision.allowed, decision.remaining]

    client = TestClient(app)

    assert [client.get("/peek").json() for _ in range(9)] == [[True, 2]] * 9
    client.get("/x")
    assert client.get("/peek").json() == [True, 1]
    client.get("/x")
    assert client.get("/peek").json() == [False, 0]
    assert "ratelimit" not in client.get("/peek").headers


def test_reset_forgets_one_caller():
    app, limit = new_app(), RateLimit(1, "1m", key=principal(current_user))
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(limit)])

    @app.delete("/x/{user}")
    async def reset(user: str, request: Request):
        await limit.reset(request, key=f"user:{user}")

    assert statuses(app, {"x-user": "a"}, {"x-user": "b"}) == [200, 200]
    TestClient(app).delete("/x/a")
    assert statuses(app, {"x-user": "a"}, {"x-user": "b"}) == [200, 429]


def test_messages_of_a_websocket_are_counted_by_hit():
    app, limit = new_app(), RateLimit(3, "1m")

    @app.websocket("/ws")
    async def ws(socket: WebSocket, handshake: Annotated[Decision, Depends(limit)]):
        await socket.accept()
        async for _ in socket.iter_text():
            await socket.send_json((await limit.hit(socket)).allowed)

    with TestClient(app).websocket_connect("/ws") as socket:
        answers = []
        for _ in range(3):
            socket.send_text("hi")
            answers.append(socket.receive_json())

    assert answers == [True, True, False]


# --- outside of requests ------------------------------------------------------------------------


async def test_a_worker_counts_by_name_what_the_app_counts():
    app = limited(RateLimit(3, "1m", name="api", key=principal(current_user)))
    throttle = app.state.throttle
    statuses(app, {"x-user": "a"})

    assert (await throttle.peek("api", "user:a")).remaining == 2
    assert (await throttle.hit("api", "user:a", cost=2)).remaining == 0
    assert (await throttle.hit("api", "user:a")).allowed is False
    assert statuses(app, {"x-user": "a"}, {"x-user": "b"}) == [429, 200]

    await throttle.reset("api", "user:a")
    assert statuses(app, {"x-user": "a"}) == [200]


async def test_a_worker_without_an_app_counts_a_named_limit():
    throttle = Throttle(backend=MemoryBackend())
    limit = RateLimit(1, "1m", name="jobs")

    assert (await throttle.hit(limit, "nightly")).allowed
    assert not (await throttle.hit(limit, "nightly")).allowed


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (RateLimit(1, "1m"), "needs a name: no route of the app depends on it"),
        ("unknown", "no limit is named 'unknown'; known are \\[\\]"),
        (RateLimit(lambda request: 5, "1m", name="plan"), "'plan' depends on the request"),
        (RateLimit(1, "1m", name="r", scope="route"), "no bucket outside of a request"),
    ],
)
async def test_what_cannot_be_counted_outside_of_requests_says_why(limit, says):
    with pytest.raises(ThrottleError, match=says):
        await Throttle(backend=MemoryBackend()).hit(limit, "user:a")


@pytest.mark.parametrize(
    ("key", "same"),
    [
        ("user:42", "user:42"),
        ("ip:203.0.113.9", "ip:::ffff:203.0.113.9"),
        ("ip:2001:db8::1", "ip:2001:db8::2"),
        ("ip:2001:db8::1", "ip:2001:db8::/64"),
    ],
)
async def test_keys_as_text_name_what_resolvers_give(key, same):
    throttle, limit = Throttle(backend=MemoryBackend()), RateLimit(5, "1m", name="api")
    await throttle.hit(limit, key)

    assert (await throttle.peek(limit, same)).remaining == 4


async def test_plain_text_can_never_name_a_user():
    throttle, limit = Throttle(backend=MemoryBackend()), RateLimit(5, "1m", name="api")
    app = FastAPI()
    throttle.install(app)
    app.add_api_route(
        "/x",
        lambda: {},
        dependencies=[Depends(RateLimit(5, "1m", name="api", key=lambda request: "user:42"))],
    )
    statuses(app, {})

    assert (await throttle.peek(limit, "user:42")).remaining == 5


# --- the throttle -------------------------------------------------------------------------------


def test_after_exactly_retry_after_the_caller_is_admitted():
    app = limited(RateLimit(2, "1m"))
    client = TestClient(app)
    client.get("/x")
    app.state.clock.advance(20.5)
    client.get("/x")

    refused = client.get("/x")
    assert refused.headers["retry-after"] == "40"

    app.state.clock.advance(39)
    assert client.get("/x").status_code == 429
    app.state.clock.advance(1)
    assert client.get("/x").status_code == 200


def test_a_disabled_throttle_counts_nothing():
    app = limited(RateLimit(1, "1m"), settings=ThrottleSettings(enabled=False))

    assert statuses(app, {}, {}, {}) == [200, 200, 200]


def test_an_app_has_one_throttle():
    app = new_app()

    with pytest.raises(ConfigurationError, match="an app has one Throttle"):
        Throttle(app)
    with pytest.raises(ConfigurationError, match="one Throttle serves one app"):
        app.state.throttle.install(FastAPI())


@pytest.mark.parametrize("cost", [-1, True, 1.5])
async def test_a_bad_cost_of_a_worker_is_named(cost):
    throttle, limit = Throttle(backend=MemoryBackend()), RateLimit(1, "1m", name="jobs")

    with pytest.raises(ConfigurationError, match="cost must be an int of at least 0"):
        await throttle.hit(limit, "nightly", cost=cost)


def test_a_throttle_takes_over_from_the_default_of_an_app_without_one():
    app = FastAPI()
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(RateLimit(1, "1m"))])
    client = TestClient(app)
    assert [client.get("/x").status_code for _ in range(2)] == [200, 429]

    Throttle(app, backend=MemoryBackend())

    assert client.get("/x").headers["ratelimit"] == '"1-per-1m";r=0;t=60'


def test_a_throttle_can_be_installed_into_a_running_app():
    app = FastAPI()
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(RateLimit(2, "1m"))])
    app.add_api_route("/free", lambda: {})
    client = TestClient(app)
    client.get("/free")

    Throttle(app, backend=MemoryBackend())

    assert client.get("/x").headers["ratelimit"] == '"2-per-1m";r=1;t=60'


def test_a_request_has_one_decision_even_where_it_reaches_a_limit_twice_at_once(redis_url):
    """As where an endpoint resolves parts of its answer at the same time."""
    app, limit = FastAPI(), RateLimit(10, "1m", name=uuid4().hex)
    Throttle(app, backend=RedisBackend(redis_url, budget=2))

    @app.get("/")
    async def answer(request: Request):
        first, second = await asyncio.gather(*(limit(_connection=request) for _ in range(2)))
        return first is second

    with TestClient(app) as client:
        assert client.get("/").json() is True
