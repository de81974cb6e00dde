"""The fields on whatever response leaves."""

import asyncio
from pathlib import Path

import http_sf
import pytest
from clock import Clock
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles
from starlette.testclient import WebSocketDenialResponse

from fastapi_throttle import (
    MemoryBackend,
    RateLimit,
    RateLimitExceeded,
    RateLimitUnavailable,
    Throttle,
)
from fastapi_throttle.errors import BackendError

pytestmark = pytest.mark.matrix


def new_app(limit=None, backend=None):
    app = FastAPI()
    Throttle(app, backend=backend or MemoryBackend())
    limit = limit or RateLimit("5/second; 9/hour", name="api")
    limited = [Depends(limit)]

    app.add_api_route("/dict", lambda: {}, dependencies=limited)
    app.add_api_route("/response", lambda: Response("x"), dependencies=limited)
    app.add_api_route("/json", lambda: JSONResponse({}, 201), dependencies=limited)
    app.add_api_route("/redirect", lambda: RedirectResponse("/dict"), dependencies=limited)
    app.add_api_route("/stream", lambda: StreamingResponse(iter(["x"])), dependencies=limited)
    app.add_api_route("/forbidden", raising(HTTPException(403)), dependencies=limited)
    app.add_api_route("/error", raising(ZeroDivisionError()), dependencies=limited)
    app.add_api_route("/invalid", invalid, dependencies=limited)
    app.add_api_route("/model", lambda: Item(name="lamp"), dependencies=limited)
    app.add_api_route("/file", lambda: FileResponse(__file__), dependencies=limited)
    app.add_api_route("/background", in_background, dependencies=limited)
    later = [*limited, Depends(raising(HTTPException(401)))]
    app.add_api_route("/later", lambda: {}, dependencies=later)
    app.add_api_route("/free", lambda: {})
    mounted = FastAPI()
    mounted.add_api_route("/x", lambda: {}, dependencies=limited)
    app.mount("/mounted", mounted)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent))
    return app


class Item(BaseModel):
    name: str


def in_background(tasks: BackgroundTasks):
    tasks.add_task(list)
    return Response("x")


def raising(error):
    def endpoint():
        raise error

    return endpoint


def invalid(number: int):
    return number


def get(app, path="/dict"):
    return TestClient(app, raise_server_exceptions=False, follow_redirects=False).get(path)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dict", 200),
        ("/response", 200),
        ("/json", 201),
        ("/redirect", 307),
        ("/stream", 200),
        ("/forbidden", 403),
        ("/error", 500),
        ("/invalid?number=x", 422),
        ("/mounted/x", 200),
        ("/model", 200),
        ("/file", 200),
        ("/background", 200),
        ("/later", 401),
    ],
)
def test_every_way_out_carries_the_fields_once(path, status):
    response = get(new_app(), path)

    assert response.status_code == status
    assert response.headers.get_list("ratelimit-policy") == [
        '"api-1s";q=5;w=1, "api-1h";q=9;w=3600'
    ]
    assert response.headers.get_list("ratelimit") == ['"api-1s";r=4;t=1, "api-1h";r=8;t=3600']


def test_a_refusal_carries_the_fields_once():
    app = new_app(RateLimit(1, "1m"))
    get(app)

    refused = get(app)

    assert refused.status_code == 429
    for name, value in {
        "retry-after": "60",
        "ratelimit": '"1-per-1m";r=0;t=60',
        "ratelimit-policy": '"1-per-1m";q=1;w=60',
        "cache-control": "no-store",
    }.items():
        assert refused.headers.get_list(name) == [value]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json() == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Quota Exceeded",
        "status": 429,
        "detail": "Rate limit exceeded: 1 per 1m. Try again in 60 seconds.",
        "violated-policies": ["1-per-1m"],
    }


@pytest.mark.parametrize("path", ["/free", "/static/test_layer.py", "/docs", "/missing"])
def test_what_is_not_limited_carries_no_fields(path):
    assert "ratelimit" not in get(new_app(), path).headers


async def test_the_first_byte_of_a_stream_is_not_held_back():
    app = FastAPI()
    Throttle(app)
    sent = []

    async def body():
        yield b"first"
        assert [message["type"] for message in sent] == [
            "http.response.start",
            "http.response.body",
        ]
        yield b"second"

    @app.get("/stream", dependencies=[Depends(RateLimit(5, "1m"))])
    async def stream():
        return StreamingResponse(body())

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/stream", "headers": [], "query_string": b""}
    await app({**scope, "root_path": "", "client": ("203.0.113.9", 1)}, receive, send)

    assert (b"ratelimit", b'"5-per-1m";r=4;t=60') in sent[0]["headers"]
    assert [message.get("body") for message in sent[1:]] == [b"first", b"second", b""]


def test_a_request_that_failed_before_the_limit_carries_no_fields():
    app = FastAPI()
    Throttle(app)
    dependencies = [Depends(raising(HTTPException(401))), Depends(RateLimit(1, "1m"))]
    app.add_api_route("/x", lambda: {}, dependencies=dependencies)

    response = get(app, "/x")

    assert response.status_code == 401
    assert "ratelimit" not in response.headers


def test_an_apps_own_handler_wins_and_gets_what_it_forgot():
    app = new_app(RateLimit(1, "1m"))

    @app.exception_handler(RateLimitExceeded)
    def handler(request, error):
        return JSONResponse({"left": error.decision.remaining}, 429)

    get(app)
    refused = get(app)

    assert refused.json() == {"left": 0}
    assert refused.headers["retry-after"] == "60"


def test_an_apps_handler_of_http_exceptions_sees_a_refusal():
    app = new_app(RateLimit(1, "1m"))

    @app.exception_handler(HTTPException)
    def handler(request, error):
        return JSONResponse({"sorry": error.detail}, error.status_code, error.headers)

    get(app)
    refused = get(app)

    assert refused.status_code == 429
    assert refused.json()["sorry"].startswith("Rate limit exceeded")
    assert refused.headers.get_list("retry-after") == ["60"]


def test_a_handler_of_validation_errors_keeps_the_fields():
    app = new_app()

    @app.exception_handler(RequestValidationError)
    def handler(request, error):
        return JSONResponse({}, 400)

    assert get(app, "/invalid?number=x").headers["ratelimit"].startswith('"api-1s";r=4')


@pytest.mark.parametrize(
    ("algorithm", "state"),
    [
        ("sliding-window", '"api";r=2;t=7'),
        ("gcra", '"api";r=3;t=1'),
        ("fixed-window", '"api";r=2;t=7'),
    ],
)
def test_the_state_tells_when_one_more_is_left_not_when_all_are(algorithm, state):
    clock = Clock()
    app = new_app(RateLimit("5/10s", algorithm=algorithm, name="api"), MemoryBackend(clock=clock))
    get(app)
    clock.advance(2)
    get(app)
    clock.advance(1.5)

    assert get(app).headers["ratelimit"] == state


@pytest.mark.parametrize("rate", ["1/minute", "5/second; 1000/hour; 10000/day", "7/1.5s"])
def test_the_fields_are_structured_fields(rate):
    response = get(new_app(RateLimit(rate)))

    policies = http_sf.parse(response.headers["ratelimit-policy"].encode(), tltype="list")
    states = http_sf.parse(response.headers["ratelimit"].encode(), tltype="list")

    assert [name for name, _ in policies] == [name for name, _ in states]
    assert len({name for name, _ in policies}) == rate.count("/")
    assert all(set(parameters) == {"q", "w"} for _, parameters in policies)
    assert all(set(parameters) == {"r", "t"} for _, parameters in states)


class DownBackend(MemoryBackend):
    """A store that cannot answer."""

    async def hit(self, hits):
        message = "down"
        raise BackendError(message)


CLOSED = RateLimit("5/second; 9/hour", name="api", failure_mode="closed")


def test_a_store_that_cannot_answer_is_503_and_claims_nothing(caplog):
    app = new_app(CLOSED, DownBackend())

    response = get(app)

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.headers["cache-control"] == "no-store"
    assert "ratelimit" not in response.headers
    assert get(app).status_code == 503
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_windows_below_a_second_round_up_in_the_field():
    assert get(new_app(RateLimit(5, 0.2))).headers["ratelimit-policy"] == '"5-per-0.2s";q=5;w=1'


def test_a_handshake_that_is_refused_carries_the_fields_of_all_limits():
    app = FastAPI()
    Throttle(app)
    limits = [RateLimit(9, "1m", name="first"), RateLimit(1, "1m", name="second")]

    @app.websocket("/ws", dependencies=[Depends(limit) for limit in limits])
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.close()

    client = TestClient(app)
    with client.websocket_connect("/ws"):
        pass
    again = client.websocket_connect("/ws")
    with pytest.raises(WebSocketDenialResponse) as refused, again:
        pass

    assert refused.value.headers["ratelimit"] == '"first";r=7;t=60, "second";r=0;t=60'


def test_the_503_carries_a_degraded_decision():
    app = new_app(CLOSED, DownBackend())
    seen = []

    @app.exception_handler(RateLimitUnavailable)
    def handler(request, error):
        seen.append(error.decision)
        return JSONResponse({}, 503)

    response = get(app)

    assert response.headers["retry-after"] == "1"
    assert (seen[0].allowed, seen[0].degraded, seen[0].retry_after) == (False, True, 1.0)
    assert seen[0].quotas == ()


def test_the_endpoints_signature_is_untouched():
    app = new_app()

    assert "parameters" not in app.openapi()["paths"]["/dict"]["get"]


def test_a_lifespan_closes_what_the_backend_opened():
    closed = []

    class Backend(MemoryBackend):
        async def aclose(self):
            closed.append(self)

    app, backend = FastAPI(), Backend()
    Throttle(app, backend=backend)

    with TestClient(app):
        assert closed == []
    assert closed == [backend]
