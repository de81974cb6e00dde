"""What a response tells of limits that its endpoint hit by hand."""

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

from fastapi_throttle import MemoryBackend, RateLimit, Throttle
from fastapi_throttle.errors import BackendError

pytestmark = pytest.mark.matrix


async def refuse(limit, request, key=None):
    """Hit until it is enough; the last hit is refused."""
    await limit.hit(request, key, cost=3)
    assert not (await limit.hit(request, key, cost=3)).allowed


def answer(endpoint, backend=None, **options):
    """Return the response of a route that runs *endpoint* with a limit of 4 per minute."""
    app, limit = FastAPI(), RateLimit(4, "1m", name="api", **options)
    Throttle(app, backend=backend or MemoryBackend())

    @app.get("/")
    async def route(request: Request):
        await endpoint(limit, request)

    return TestClient(app).get("/")


def refused_then(then, status):
    async def endpoint(limit, request):
        await refuse(limit, request, "a")
        await then(limit, request)
        raise HTTPException(status)

    return answer(endpoint)


async def nothing(limit, request): ...


async def admit_a(limit, request):
    assert (await limit.hit(request, "a")).allowed


async def admit_b(limit, request):
    assert (await limit.hit(request, "b")).allowed


async def peek_a(limit, request):
    await limit.peek(request, "a")


async def refuse_never(limit, request):
    assert (await limit.hit(request, "b", cost=5)).retry_after is None


async def reset_a(limit, request):
    await limit.reset(request, "a")


@pytest.mark.parametrize("then", [nothing, admit_b, peek_a])
def test_a_refused_caller_is_told_when_whatever_happens_to_others(then):
    assert refused_then(then, 429).headers["retry-after"] == "60"


@pytest.mark.parametrize("then", [admit_a, reset_a])
def test_who_may_come_back_at_once_is_not_told_to_wait(then):
    assert "retry-after" not in refused_then(then, 429).headers


def test_never_is_longer_than_any_wait():
    assert "retry-after" not in refused_then(refuse_never, 429).headers


def test_the_fields_show_the_last_decision():
    assert refused_then(admit_b, 429).headers["ratelimit"] == '"api";r=3;t=60'


class Down(MemoryBackend):
    """A store that cannot answer."""

    async def hit(self, hits):
        message = "down"
        raise BackendError(message)


def test_a_503_of_the_app_itself_says_nothing_of_a_limit_that_was_exceeded():
    refused = refused_then(nothing, 503)

    assert refused.status_code == 503
    assert "retry-after" not in refused.headers


@pytest.mark.parametrize(("status", "retry_after"), [(503, "1"), (429, None)])
def test_a_limit_that_could_not_be_checked_is_told_with_503_alone(status, retry_after):
    async def endpoint(limit, request):
        assert (await limit.hit(request)).failure_mode == "closed"
        raise HTTPException(status)

    refused = answer(endpoint, Down(), failure_mode="closed")

    assert refused.status_code == status
    assert refused.headers.get("retry-after") == retry_after


def test_what_this_process_refuses_while_the_store_is_down_is_told_with_429():
    async def endpoint(limit, request):
        await refuse(limit, request)
        raise HTTPException(429)

    assert answer(endpoint, Down()).headers["retry-after"] == "60"


@pytest.mark.parametrize(
    ("key", "state"), [(None, '"api";r=4'), ("a", '"api";r=4'), ("b", '"api";r=1;t=60')]
)
def test_the_fields_know_of_a_reset(key, state):
    async def endpoint(limit, request):
        await limit.hit(request, "a" if key else None, cost=3)
        await limit.reset(request, key)

    assert answer(endpoint).headers["ratelimit"] == state


def test_a_reset_burst_is_whole_again():
    async def endpoint(limit, request):
        await limit.hit(request, cost=3)
        await limit.reset(request)
        assert (await limit.peek(request)).remaining == 9

    response = answer(endpoint, algorithm="gcra", burst=9)

    assert response.headers["ratelimit"] == '"api";r=9'


def test_a_reset_of_what_was_not_hit_leaves_no_fields():
    async def endpoint(limit, request):
        await limit.reset(request)

    assert "ratelimit" not in answer(endpoint).headers
