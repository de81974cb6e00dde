"""Several limits of different callers as one decision."""

import re
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Header
from fastapi.testclient import TestClient

from fastapi_throttle import (
    UNLIMITED,
    ConfigurationError,
    Decision,
    MemoryBackend,
    RateLimit,
    RedisBackend,
    Throttle,
    all_of,
    everyone,
    tiers,
)

pytestmark = pytest.mark.matrix


SAME = RateLimit(1, "1m", name="a")


async def tenant(x_tenant: Annotated[str, Header()]) -> str:
    return x_tenant


async def user(x_user: Annotated[str, Header()]) -> str:
    return x_user


def limits():
    return (
        RateLimit(2, "1m", key=user, name="user"),
        RateLimit(3, "1m", key=tenant, name="tenant"),
        RateLimit(4, "1m", key=everyone(), name="service"),
    )


def new_app(*together, backend=None):
    app = FastAPI()
    Throttle(app, backend=backend if backend is not None else MemoryBackend())
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(all_of(*together))])
    return app


def get(app, user="u", tenant="t"):
    return TestClient(app).get("/x", headers={"x-user": user, "x-tenant": tenant})


def left(response):
    return [int(units) for units in re.findall(r";r=(\d+)", response.headers["ratelimit"])]


@pytest.mark.parametrize("store", ["memory", "redis"])
def test_what_one_limit_refuses_is_charged_by_none(store, redis_url):
    backend = MemoryBackend() if store == "memory" else RedisBackend(redis_url, budget=2)
    app = new_app(*limits(), backend=backend)

    with TestClient(app):
        assert left(get(app)) == [1, 2, 3]
        assert left(get(app)) == [0, 1, 2]
        refused = get(app)
        assert (refused.status_code, left(refused)) == (429, [0, 1, 2])
        assert left(get(app, user="v")) == [1, 0, 1]
        refused = get(app, user="w")
        assert (refused.status_code, left(refused)) == (429, [2, 0, 1])
        assert left(get(app, user="w", tenant="s")) == [1, 2, 0]
        assert get(app, user="x", tenant="r").status_code == 429


def test_it_is_one_script_call(redis_url, redis_server):
    app = new_app(*limits(), backend=RedisBackend(redis_url, budget=2))
    with TestClient(app) as client:
        headers = {"x-user": "u", "x-tenant": "t"}
        client.get("/x", headers=headers)
        with redis_server.monitored() as commands:
            client.get("/x", headers=headers)

    assert [command.split()[0] for command in commands] == ['"EVALSHA"']


def test_retry_after_is_that_of_the_limit_that_refuses_longest():
    short = RateLimit(1, "1m", key=user, name="short")
    long = RateLimit(1, "1h", key=tenant, name="long")
    app = new_app(short, long)
    get(app)

    refused = get(app)

    assert refused.headers["retry-after"] == "3600"
    assert "1 per 1h" in refused.json()["detail"]


def test_its_value_is_one_decision_per_limit():
    app, together = FastAPI(), all_of(*limits())
    Throttle(app)

    @app.get("/x")
    def x(decisions: Annotated[tuple[Decision, ...], Depends(together)]):
        return [decision.policy.name for decision in decisions]

    assert get(app).json() == ["user", "tenant", "service"]


def test_unlimited_parts_and_costs_of_their_own():
    by_plan = tiers({"free": "1/m", "pro": UNLIMITED}, by=lambda: "pro", default="free")
    units = RateLimit(10, "1m", key=user, cost=lambda request: 4, name="units")
    app = new_app(RateLimit(by_plan, name="plan"), units)

    assert left(get(app)) == [6]
    assert [get(app).status_code for _ in range(2)] == [200, 429]


def test_never_is_longer_than_any_wait():
    app = new_app(
        RateLimit(1, "1m", name="wait"), RateLimit(1, "1m", name="never", cost=lambda request: 2)
    )

    refused = get(app)

    assert refused.status_code == 429
    assert "retry-after" not in refused.headers


def test_an_unlimited_part_in_front_keeps_decisions_apart():
    by_plan = tiers({"free": "1/m", "pro": UNLIMITED}, by=lambda: "pro", default="free")
    app, together = FastAPI(), all_of(RateLimit(by_plan, name="plan"), RateLimit(7, "1m", name="b"))
    Throttle(app)

    @app.get("/x")
    def x(decisions: Annotated[tuple[Decision, ...], Depends(together)]):
        return [[decision.policy.name, len(decision.quotas)] for decision in decisions]

    assert get(app).json() == [["plan", 0], ["b", 1]]


def test_unnamed_limits_in_it_are_buckets_of_their_own():
    app = new_app(RateLimit(5, "1m", key=user), RateLimit(5, "1m", key=user))

    assert left(get(app)) == [4, 4]
    assert left(get(app)) == [3, 3]


def test_a_limit_that_was_counted_before_is_not_charged_again():
    own, together = RateLimit(5, "1m", name="own"), RateLimit(5, "1m", key=user, name="user")
    app = FastAPI()
    Throttle(app)
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(own), Depends(all_of(own, together))])

    assert left(get(app)) == [4, 4]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((), ConfigurationError, "at least two limits"),
        ((SAME,), ConfigurationError, "at least two limits"),
        ((SAME, SAME), ConfigurationError, "each once"),
        ((SAME, RateLimit(1, "1m", name="a")), ConfigurationError, "each once"),
        ((SAME, "1/minute"), TypeError, "RateLimit objects, got '1/minute'"),
    ],
)
def test_what_cannot_be_put_together_is_named(arguments, error, says):
    with pytest.raises(error, match=says):
        all_of(*arguments)
