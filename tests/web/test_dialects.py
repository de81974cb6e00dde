"""What clients see: dialects, problem details, CORS, WebSockets."""

import time

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from fastapi_throttle import (
    EXPOSE_HEADERS,
    MemoryBackend,
    RateLimit,
    RateLimitExceeded,
    Throttle,
    ThrottleSettings,
    all_of,
    everyone,
)
from fastapi_throttle.errors import BackendError

pytestmark = pytest.mark.matrix


def new_app(limit=None, backend=None, **settings):
    app = FastAPI()
    backend = MemoryBackend() if backend is None else backend
    Throttle(app, backend=backend, settings=ThrottleSettings(**settings))
    app.add_api_route(
        "/x", lambda: {}, dependencies=[Depends(limit or RateLimit(1, "1m", name="api"))]
    )
    return app


def fields(response):
    return {name for name in response.headers if "ratelimit" in name}


DRAFT = {"ratelimit", "ratelimit-policy"}
LEGACY = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}


@pytest.mark.parametrize(
    ("dialect", "names"),
    [("draft", DRAFT), ("legacy", LEGACY), ("both", DRAFT | LEGACY), ("none", set())],
)
def test_each_dialect_writes_its_fields_on_admissions_and_refusals(dialect, names):
    client = TestClient(new_app(fields=dialect))

    admitted, refused = client.get("/x"), client.get("/x")

    assert (admitted.status_code, refused.status_code) == (200, 429)
    assert fields(admitted) == fields(refused) == names
    assert refused.headers["retry-after"] == "60"


def test_legacy_fields_show_the_window_with_the_least_remaining():
    client = TestClient(new_app(RateLimit("9/second; 5/hour"), fields="legacy"))

    response = client.get("/x")

    assert [response.headers[name] for name in sorted(LEGACY)] == ["5", "4", "3600"]


def test_legacy_reset_can_count_from_the_epoch():
    client = TestClient(new_app(fields="legacy", legacy_reset="epoch"))

    reset = int(client.get("/x").headers["x-ratelimit-reset"])

    assert 0 <= reset - (time.time() + 59) <= 5


def test_a_refusal_is_a_problem_with_the_usual_detail():
    client = TestClient(new_app(RateLimit("1/second; 9/hour", name="api")))
    client.get("/x")

    refused = client.get("/x")

    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json() == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Quota Exceeded",
        "status": 429,
        "detail": "Rate limit exceeded: 1 per 1s. Try again in 1 second.",
        "violated-policies": ["api-1s"],
    }


def test_every_violated_policy_is_named():
    together = all_of(
        RateLimit(1, "1m", name="a"),
        RateLimit(1, "1h", name="b", key=everyone()),
        RateLimit(9, "1h", name="c"),
    )
    client = TestClient(new_app(together))
    client.get("/x")

    assert client.get("/x").json()["violated-policies"] == ["a", "b"]


def test_a_violated_policy_is_named_as_in_the_fields():
    app = new_app()
    limits = [RateLimit(1, "1m", key=lambda request: request.headers["x-id"]), RateLimit(1, "1m")]
    app.add_api_route("/two", lambda: {}, dependencies=[Depends(limit) for limit in limits])
    client = TestClient(app)
    client.get("/two", headers={"x-id": "a"})

    refused = client.get("/two", headers={"x-id": "b"})

    assert refused.headers["ratelimit"] == '"1-per-1m";r=0;t=60, "1-per-1m-2";r=0;t=60'
    assert refused.json()["violated-policies"] == ["1-per-1m-2"]


def test_an_apps_own_kind_of_refusal_is_a_problem_too():
    class TooManyGuesses(RateLimitExceeded): ...

    app, guesses = new_app(), RateLimit(1, "1m", name="guesses")

    @app.get("/guess")
    async def guess(request: Request):
        decision = await guesses.hit(request)
        if not decision.allowed:
            raise TooManyGuesses(decision)

    client = TestClient(app)
    client.get("/guess")
    refused = client.get("/guess")

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert refused.json()["violated-policies"] == ["guesses"]


class Down(MemoryBackend):
    async def hit(self, hits):
        message = "down"
        raise BackendError(message)


def test_a_store_that_cannot_answer_is_reduced_capacity():
    app = new_app(backend=Down(), failure_mode="closed")
    refused = TestClient(app).get("/x")

    assert refused.status_code == 503
    assert refused.json()["type"].endswith("#temporary-reduced-capacity")
    assert refused.json()["violated-policies"] == ["api"]


@pytest.mark.parametrize(
    ("mode", "violated"), [("local", ["api-1m"]), ("closed", ["api-1m", "api-1h"])]
)
def test_without_a_store_the_window_that_refuses_is_violated_or_all_are_unchecked(mode, violated):
    limit = RateLimit("1/minute; 9/hour", name="api", failure_mode=mode)
    client = TestClient(new_app(limit, Down()))
    client.get("/x")

    assert client.get("/x").json()["violated-policies"] == violated


@pytest.mark.parametrize("error", [429, RateLimitExceeded, HTTPException, StarletteHTTPException])
def test_a_handler_registered_after_the_throttle_wins(error):
    app = new_app()

    @app.exception_handler(error)
    def handler(request, error):
        return JSONResponse({"left": error.decision.remaining}, 429)

    client = TestClient(app)
    client.get("/x")
    refused = client.get("/x")

    assert refused.json() == {"left": 0}
    assert refused.headers["retry-after"] == "60"
    assert fields(refused) == DRAFT


def test_a_handler_of_something_else_does_not_switch_problems_off():
    app = new_app()
    app.add_exception_handler(404, lambda request, error: PlainTextResponse("no", 404))
    client = TestClient(app)
    client.get("/x")

    assert client.get("/x").headers["content-type"] == "application/problem+json"


def test_problems_can_be_switched_off():
    client = TestClient(new_app(problem_details=False))
    client.get("/x")

    assert list(client.get("/x").json()) == ["detail"]


def test_a_mounted_app_answers_with_problems_too():
    app, mounted = new_app(), FastAPI()
    mounted.add_api_route("/y", lambda: {}, dependencies=[Depends(RateLimit(1, "1m"))])
    app.mount("/sub", mounted)
    client = TestClient(app)
    client.get("/sub/y")

    assert client.get("/sub/y").headers["content-type"] == "application/problem+json"


def test_an_app_may_say_anything_in_a_refusal():
    app, guesses = new_app(), RateLimit(1, "1m", name="guesses")
    details = [{"code": "guesses"}, 1, True, ["a"], None]
    told = iter(details)

    @app.get("/guess")
    async def guess(request: Request):
        decision = await guesses.hit(request)
        if not decision.allowed:
            refusal = RateLimitExceeded(decision)
            refusal.detail = next(told)
            raise refusal

    client = TestClient(app)
    client.get("/guess")
    refused = [client.get("/guess") for _ in details]

    assert {each.status_code for each in refused} == {429}
    assert repr([each.json()["detail"] for each in refused]) == repr(details)


def test_an_app_may_add_header_fields_to_a_refusal():
    app, guesses = new_app(), RateLimit(1, "1m", name="guesses")

    @app.get("/guess")
    async def guess(request: Request):
        decision = await guesses.hit(request)
        if not decision.allowed:
            refusal = RateLimitExceeded(decision)
            refusal.headers["X-Reason"] = "guesses"
            raise refusal

    client = TestClient(app)
    client.get("/guess")
    refused = client.get("/guess")

    assert refused.status_code == 429
    assert refused.headers["x-reason"] == "guesses"
    for name in ("ratelimit", "ratelimit-policy", "retry-after", "cache-control"):
        assert len(refused.headers.get_list(name)) == 1


def unwrapped(app):
    return app


def with_a_scope_of_its_own(app):
    """Hand on what ASGI knows, as some middleware does, and nothing that was added to it."""

    async def serve(scope, receive, send):
        known = {name: value for name, value in scope.items() if "fastapi_throttle" not in name}
        await app(known, receive, send)

    return serve


@pytest.mark.parametrize("wrapped", [unwrapped, with_a_scope_of_its_own])
def test_a_problem_carries_its_fields_where_no_layer_writes_them(wrapped):
    """As where an app is served alone that is mounted in one with a throttle."""
    app, mounted = new_app(), FastAPI()
    mounted.add_api_route("/y", lambda: {}, dependencies=[Depends(RateLimit(1, "1m", name="y"))])
    app.mount("/sub", wrapped(mounted))
    app.mount("/known", mounted)
    TestClient(app).get("/known/y")
    path, served = ("/y", mounted) if wrapped is unwrapped else ("/sub/y", app)
    client = TestClient(served)
    client.get(path)

    refused = client.get(path)

    assert refused.headers["content-type"] == "application/problem+json"
    for name, value in {
        "retry-after": "60",
        "ratelimit": '"y";r=0;t=60',
        "ratelimit-policy": '"y";q=1;w=60',
        "cache-control": "no-store",
    }.items():
        assert refused.headers.get_list(name) == [value]


def test_an_app_without_a_throttle_keeps_fastapis_body():
    app = FastAPI()
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(RateLimit(1, "1m"))])
    client = TestClient(app)
    client.get("/x")

    refused = client.get("/x")

    assert list(refused.json()) == ["detail"]
    for name, value in {
        "retry-after": "60",
        "ratelimit": '"1-per-1m";r=0;t=60',
        "ratelimit-policy": '"1-per-1m";q=1;w=60',
        "cache-control": "no-store",
    }.items():
        assert refused.headers.get_list(name) == [value]


def test_browsers_may_read_a_refusal_and_preflights_do_not_count():
    app = new_app(RateLimit(2, "1m"))
    origin = {"origin": "https://page.example"}
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["*"], expose_headers=EXPOSE_HEADERS
    )
    client = TestClient(app)
    preflight = {**origin, "access-control-request-method": "GET"}

    preflights = [client.options("/x", headers=preflight) for _ in range(5)]
    answers = [client.get("/x", headers=origin) for _ in range(3)]

    assert {each.status_code for each in preflights} == {200}
    assert not any(fields(each) for each in preflights)
    assert [each.status_code for each in answers] == [200, 200, 429]
    for each in answers:
        assert each.headers["access-control-allow-origin"] == "*"
        exposed = each.headers["access-control-expose-headers"].split(", ")
        assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed)


def test_middleware_in_between_changes_nothing():
    app = new_app(RateLimit(2, "1m"))
    app.add_middleware(GZipMiddleware, minimum_size=1)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["testserver"])
    client = TestClient(app)

    answers = [client.get("/x") for _ in range(3)]

    assert [each.status_code for each in answers] == [200, 200, 429]
    assert [each.headers.get_list("ratelimit") for each in answers] == [
        ['"2-per-1m";r=1;t=60'], ['"2-per-1m";r=0;t=60'], ['"2-per-1m";r=0;t=60'],
    ]  # fmt: skip


async def test_a_server_that_cannot_refuse_a_handshake_closes_it():
    app = FastAPI()
    Throttle(app, backend=MemoryBackend())

    @app.websocket("/ws", dependencies=[Depends(RateLimit(1, "1m", key=everyone()))])
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.close()

    async def connect():
        sent = []

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message)

        scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b""}
        await app({**scope, "root_path": "", "client": None, "subprotocols": []}, receive, send)
        return sent

    assert [message["type"] for message in await connect()] == [
        "websocket.accept", "websocket.close",
    ]  # fmt: skip
    [closed] = await connect()
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    assert "Try again in 60 seconds" in closed["reason"]
