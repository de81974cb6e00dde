"""What clients and code see while the store cannot answer, by failure mode."""

import asyncio
import time

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient

from fastapi_throttle import (
    BackendError,
    ConfigurationError,
    MemoryBackend,
    RateLimit,
    Throttle,
    ThrottleSettings,
    all_of,
    everyone,
)


class Down(MemoryBackend):
    """A store that cannot answer.

    Attributes:
        fault: Why.
        is_down: False: it answers.
        asked: How often it was asked.
    """

    def __init__(self, fault="infrastructure"):
        super().__init__()
        self.fault = fault
        self.is_down = True
        self.asked = 0

    async def hit(self, hits):
        self._fail()
        return await super().hit(hits)

    async def peek(self, hits):
        self._fail()
        return await super().peek(hits)

    async def reset(self, hits):
        self._fail()
        await super().reset(hits)

    def _fail(self):
        self.asked += 1
        if self.is_down:
            message = "down"
            raise BackendError(message, fault=self.fault)


def new_app(*limits, backend=None, **settings):
    app = FastAPI()
    throttle = Throttle(app, backend=backend or Down(), settings=ThrottleSettings(**settings))
    for number, limit in enumerate(limits):
        app.add_api_route(f"/{number}", lambda: {}, dependencies=[Depends(limit)])
    return app, throttle


def statuses(client, path, number=4):
    return [client.get(path).status_code for _ in range(number)]


OUTCOMES = {"local": [200, 200, 429, 429], "closed": [503] * 4, "open": [200] * 4}


@pytest.mark.parametrize("fault", ["infrastructure", "configuration", "key"])
def test_each_limit_follows_its_mode(fault):
    limits = [RateLimit(2, "1m", failure_mode=mode) for mode in OUTCOMES]
    client = TestClient(new_app(*limits, backend=Down(fault))[0])

    for number, outcome in enumerate(OUTCOMES.values()):
        assert statuses(client, f"/{number}") == outcome


def test_overload_is_never_a_way_in():
    limits = [RateLimit(2, "1m", failure_mode=mode) for mode in OUTCOMES]
    client = TestClient(new_app(*limits, backend=Down("overload"))[0])

    assert statuses(client, "/0") == OUTCOMES["local"]
    assert statuses(client, "/1") == OUTCOMES["closed"]
    assert statuses(client, "/2") == OUTCOMES["local"]


@pytest.mark.parametrize("mode", OUTCOMES)
def test_the_setting_is_for_limits_that_name_no_mode(mode):
    client = TestClient(new_app(RateLimit(2, "1m"), failure_mode=mode)[0])

    assert statuses(client, "/0") == OUTCOMES[mode]


def test_without_a_word_limits_are_counted_in_the_process():
    client = TestClient(new_app(RateLimit(2, "1m"))[0])

    assert statuses(client, "/0") == OUTCOMES["local"]


def test_workers_share_a_limit():
    client = TestClient(new_app(RateLimit(2, "1m"), workers=2)[0])

    assert statuses(client, "/0") == [200, 429, 429, 429]


@pytest.mark.parametrize(
    ("modes", "outcome"),
    [
        (("open", "open"), "open"),
        (("open", "local"), "local"),
        (("open", "closed", "local"), "closed"),
        ((None, "open"), "local"),
        ((None, "closed"), "closed"),
    ],
)
def test_limits_that_are_decided_together_follow_the_strictest_mode(modes, outcome):
    limits = [
        RateLimit(2, "1m", name=f"limit-{number}", failure_mode=mode)
        for number, mode in enumerate(modes)
    ]
    client = TestClient(new_app(all_of(*limits))[0])

    assert statuses(client, "/0") == OUTCOMES[outcome]


def test_a_local_refusal_is_a_429_that_tells_when_to_come_back_and_not_what_is_left():
    client = TestClient(new_app(RateLimit(2, "1m"), fields="both")[0])
    admitted = client.get("/0")
    client.get("/0")

    refused = client.get("/0")

    assert refused.status_code == 429
    assert 59 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["type"].endswith("#quota-exceeded")
    assert refused.json()["violated-policies"] == ["2-per-1m"]
    for response in (admitted, refused):
        assert not any("ratelimit" in name for name in response.headers)


def test_a_local_refusal_names_the_limit_that_refuses():
    tight = RateLimit(1, "1m", name="tight")
    wide = RateLimit(9, "1m", name="wide", key=everyone())
    client = TestClient(new_app(all_of(tight, wide))[0])
    client.get("/0")

    assert client.get("/0").json()["violated-policies"] == ["tight"]


def test_a_refusal_that_nothing_was_counted_for_is_a_503():
    client = TestClient(new_app(RateLimit(2, "1m", failure_mode="closed"))[0])

    refused = client.get("/0")

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["type"].endswith("#temporary-reduced-capacity")


def test_a_cost_above_the_share_is_503_until_the_store_answers():
    backend = Down()
    client = TestClient(new_app(RateLimit(2, "1m", cost=2), backend=backend, workers=2)[0])

    assert statuses(client, "/0", 1) == [503]
    backend.is_down = False
    assert statuses(client, "/0", 2) == [200, 429]


def test_the_store_counts_again_as_soon_as_it_answers():
    backend = Down()
    client = TestClient(new_app(RateLimit(2, "1m"), backend=backend)[0])
    statuses(client, "/0", 2)
    backend.is_down = False

    responses = [client.get("/0") for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[0].headers["ratelimit"].startswith('"2-per-1m";r=1')


@pytest.mark.parametrize(("mode", "allowed"), [("local", True), ("closed", False), ("open", True)])
def test_its_own_methods_follow_the_mode(mode, allowed):
    limit = RateLimit(2, "1m", name="jobs", failure_mode=mode)
    app, throttle = new_app(limit)
    found = []

    @app.get("/methods")
    async def methods(request: Request):
        found.append(await limit.hit(request))
        found.append(await limit.peek(request))
        with pytest.raises(BackendError):
            await limit.reset(request)

    TestClient(app).get("/methods")
    found.append(asyncio.run(throttle.hit("jobs", "user:42")))
    found.append(asyncio.run(throttle.peek(limit, "user:42")))
    with pytest.raises(BackendError):
        asyncio.run(throttle.reset("jobs", "user:42"))

    assert len(found) == 4
    for decision in found:
        assert (decision.allowed, decision.degraded) == (allowed, True)
        assert (decision.failure_mode, decision.quotas) == (mode, ())
        assert decision.retry_after == (0.0 if allowed else 1.0)


def test_a_store_that_is_given_up_is_not_asked():
    backend = Down()
    client = TestClient(new_app(RateLimit(2, "1m", failure_mode="open"), backend=backend)[0])

    statuses(client, "/0", 20)

    assert backend.asked == 3


class Silent(MemoryBackend):
    """A store that never answers."""

    budget = 60.0

    async def hit(self, hits):
        await asyncio.Event().wait()

    peek = reset = hit


def test_all_checks_of_a_request_share_one_budget():
    limits = [RateLimit(99, "1m", name=f"limit-{number}") for number in range(4)]
    app = FastAPI(dependencies=[Depends(limit) for limit in limits[:2]])
    Throttle(app, backend=Silent(), settings=ThrottleSettings(budget_ms=200))

    @app.get("/", dependencies=[Depends(limits[2])])
    async def index(request: Request):
        await limits[3].hit(request)
        await limits[3].peek(request)
        with pytest.raises(BackendError):
            await limits[3].reset(request)

    client = TestClient(app)
    client.get("/docs")
    started = time.monotonic()
    response = client.get("/")

    assert response.status_code == 200
    assert 0.2 <= time.monotonic() - started < 0.35


def test_calls_outside_of_requests_have_a_budget_each():
    throttle = Throttle(backend=Silent(), settings=ThrottleSettings(budget_ms=50))
    limit = RateLimit(9, "1m", name="jobs")
    started = time.monotonic()

    for _ in range(2):
        assert asyncio.run(throttle.hit(limit, "user:1")).degraded

    assert 0.1 <= time.monotonic() - started < 0.3


@pytest.mark.parametrize("mode", ["Open", "", True, "shut"])
def test_an_unknown_mode_is_refused(mode):
    with pytest.raises(ConfigurationError, match="failure_mode must be one of local, closed, open"):
        RateLimit(1, "1m", failure_mode=mode)


@pytest.mark.parametrize(
    "wrong", [{"failure_mode": "shut"}, {"workers": 0}, {"workers": -1}, {"workers": 1.5}]
)
def test_a_wrong_setting_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ThrottleSettings(**wrong)
