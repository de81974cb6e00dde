"""Limits that are decided before a byte of the body is read."""

from typing import Annotated

import pytest
from fastapi import Body, Depends, FastAPI, Request, UploadFile
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: TID251 - users have it
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

from fastapi_throttle import (
    ConfigurationError,
    Decision,
    MemoryBackend,
    RateLimit,
    Throttle,
    all_of,
    client_ip,
    everyone,
    first_of,
    principal,
)

pytestmark = pytest.mark.matrix


JSON = {"content-type": "application/json"}
MULTIPART = {"content-type": "multipart/form-data; boundary=line"}


async def pass_on(request, call_next):
    return await call_next(request)


async def read_first(request, call_next):
    await request.body()
    return await call_next(request)


def new_app(*middleware, before_body=True, limit=2):
    app = FastAPI()
    Throttle(app, backend=MemoryBackend())
    for each in middleware:
        app.add_middleware(BaseHTTPMiddleware, dispatch=each)
    dependencies = [Depends(RateLimit(limit, "1m", before_body=before_body))]

    @app.post("/json", dependencies=dependencies)
    async def json(body: dict): ...

    @app.post("/file", dependencies=dependencies)
    async def file(file: UploadFile): ...

    @app.post("/raw", dependencies=dependencies)
    async def raw(request: Request):
        return (await request.body()).decode()

    return app


class Chunks:
    """A body that counts how much of it is read."""

    def __init__(self, chunks=50):
        self.left = chunks
        self.read = 0

    async def __call__(self):
        self.read += 1
        self.left -= 1
        return {"type": "http.request", "body": b"x" * 65536, "more_body": self.left > 0}


async def post(app, path, body):
    """Post through bare ASGI; return the status and the fields."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("203.0.113.9", 1),
        "server": ("testserver", 80),
        "state": {},
    }
    await app(scope, body, send)
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize("path", ["/json", "/file"])
@pytest.mark.parametrize("middleware", [(), (pass_on,)])
async def test_a_refused_body_is_not_read(path, middleware):
    app = new_app(*middleware, limit=1)
    await post(app, path, Chunks(1))
    body = Chunks()

    status, headers = await post(app, path, body)

    assert status == 429
    assert headers[b"retry-after"] == b"60"
    assert body.read == 0


async def test_without_it_a_refused_body_is_read_first():
    app = new_app(before_body=False, limit=1)
    await post(app, "/raw", Chunks(1))
    body = Chunks()

    await post(app, "/json", body)

    assert body.read == 50


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/json", {"content": b"{"}),
        ("/json", {"content": b"\xff\xfe"}),
        ("/file", {"content": b"broken", "headers": MULTIPART}),
    ],
)
@pytest.mark.parametrize("middleware", [(), (pass_on,)])
def test_bodies_that_cannot_be_parsed_count(path, options, middleware):
    client = TestClient(new_app(*middleware))
    options = {"headers": JSON, **options}

    answers = [client.post(path, **options) for _ in range(4)]

    assert [answer.status_code for answer in answers][2:] == [429, 429]
    assert {answer.status_code for answer in answers[:2]} <= {400, 422}
    assert answers[0].headers["ratelimit"] == '"2-per-1m";r=1;t=60'


def test_without_it_bodies_that_cannot_be_parsed_are_free():
    client = TestClient(new_app(before_body=False))

    answers = [client.post("/json", content=b"{", headers=JSON).status_code for _ in range(4)]

    assert answers == [422] * 4


def test_admitted_bodies_arrive_whole_and_count_once():
    client = TestClient(new_app(pass_on))

    first = client.post("/raw", content=b"hello" * 1000)

    assert first.json() == "hello" * 1000
    assert first.headers["ratelimit"] == '"2-per-1m";r=1;t=60'
    assert [client.post("/raw").status_code for _ in range(2)] == [200, 429]


def test_an_apps_own_handler_still_answers():
    app = new_app()

    @app.exception_handler(429)
    def handler(request, error):
        return PlainTextResponse("slow down", 429)

    client = TestClient(app)
    refused = [client.post("/json", content=b"{", headers=JSON) for _ in range(3)][-1]

    assert (refused.text, refused.headers["retry-after"]) == ("slow down", "60")


@pytest.fixture
def nothing_told(monkeypatch):
    """Warnings come once per process: let them come again."""
    monkeypatch.setattr("fastapi_throttle.identity.identity._warned", set())


@pytest.mark.usefixtures("nothing_told")
def test_a_middleware_that_reads_first_degrades_to_the_normal_time_with_one_warning(caplog):
    client = TestClient(new_app(read_first))

    answers = [client.post("/json", json={}).status_code for _ in range(3)]

    assert answers == [200, 200, 429]
    assert sum("decided after the body was read" in message for message in caplog.messages) == 1


def copying(app):
    async def hand_on_a_copy(scope, receive, send):
        await app(dict(scope), receive, send)

    return hand_on_a_copy


@pytest.mark.usefixtures("nothing_told")
def test_a_middleware_that_hides_the_route_degrades_and_the_warning_names_it(caplog):
    app = new_app(limit=1)
    app.add_middleware(copying)
    client = TestClient(app)

    assert broken(client, "/json", 2) == [422, 422]
    assert [client.post("/json", json={}).status_code for _ in range(2)] == [200, 429]
    [warning] = caplog.messages
    assert "hands on a copy of the scope" in warning


@pytest.mark.usefixtures("nothing_told")
def test_routes_that_are_not_fastapis_give_no_cause_to_warn(caplog):
    app = new_app()

    async def raw(request):
        return PlainTextResponse(await request.body())

    app.add_route("/starlette", raw, methods=["POST"])
    app.mount("/mounted", Starlette(routes=[Route("/x", raw, methods=["POST"])]))
    client = TestClient(app)

    assert client.post("/starlette", content=b"hello").text == "hello"
    assert client.post("/mounted/x", content=b"hello").text == "hello"
    assert caplog.messages == []


@pytest.mark.usefixtures("nothing_told")
def test_without_such_limits_a_middleware_may_read_first(caplog):
    client = TestClient(new_app(read_first, before_body=False))

    assert client.post("/json", json={}).status_code == 200
    assert caplog.messages == []


def test_a_compressed_answer_changes_nothing():
    app = new_app()
    app.add_middleware(GZipMiddleware, minimum_size=1)
    client = TestClient(app)

    answers = [client.post("/json", content=b"{", headers=JSON).status_code for _ in range(3)]

    assert answers == [422, 422, 429]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"key": lambda request: "x"}, "key must need only the connection .* got .*lambda"),
        ({"key": principal(lambda: None)}, "key must need only the connection .* got Principal"),
        ({"cost": lambda request: 1}, "cost must need only the connection"),
    ],
)
def test_what_needs_dependencies_is_refused(options, says):
    with pytest.raises(ConfigurationError, match=says):
        RateLimit(5, "1m", before_body=True, **options)


def test_a_dynamic_limit_is_refused():
    with pytest.raises(ConfigurationError, match="limit must need only the connection"):
        RateLimit(lambda request: "5/minute", before_body=True)


@pytest.mark.parametrize("key", [None, client_ip(), first_of(principal(), client_ip())])
def test_resolvers_of_the_connection_are_fine(key):
    assert RateLimit(5, "1m", before_body=True, key=key).before_body


def test_body_params_stay_documented():
    app = new_app()

    @app.post("/more", dependencies=[Depends(RateLimit(5, "1m", before_body=True))])
    async def more(number: int = Body()): ...

    assert "requestBody" in app.openapi()["paths"]["/more"]["post"]


def add_json(app, *limits):
    @app.post("/late", dependencies=[Depends(limit) for limit in limits])
    async def late(body: dict): ...


def broken(client, path, count):
    """Post what cannot be parsed; return the statuses."""
    return [client.post(path, content=b"{", headers=JSON).status_code for _ in range(count)]


@pytest.mark.parametrize("earlier", [True, False])
def test_a_route_declared_after_the_first_request_is_decided_before_its_body(earlier):
    app = new_app(before_body=earlier)
    client = TestClient(app)
    client.post("/raw")
    add_json(app, RateLimit(1, "1m", before_body=True))

    assert broken(client, "/late", 3) == [422, 429, 429]


def opaque(app):
    async def served(*args):
        await app(*args)

    return served


@pytest.mark.parametrize("wrap", [GZipMiddleware, opaque])
def test_a_mounted_app_behind_middleware_is_decided_before_the_body(wrap):
    app = FastAPI()
    Throttle(app)
    app.mount("/sub", wrap(new_mounted()))

    assert broken(TestClient(app), "/sub/late", 3) == [422, 429, 429]


def new_mounted():
    mounted = FastAPI()
    add_json(mounted, RateLimit(1, "1m", before_body=True))
    return mounted


def test_an_overridden_limit_is_not_decided():
    app, limit = new_app(), RateLimit(1, "1m", before_body=True)
    add_json(app, limit)
    app.dependency_overrides[limit] = lambda: None

    answers = [TestClient(app).post("/late", json={}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert not any("ratelimit" in answer.headers for answer in answers)


def test_what_depends_on_a_limit_may_be_overridden():
    app, limit, kept = new_app(), RateLimit(1, "1m", before_body=True), RateLimit(2, "1m")

    def guard(decision: Annotated[Decision, Depends(limit)]): ...

    add_json(app, guard, kept)
    app.dependency_overrides[guard] = lambda: None

    assert [TestClient(app).post("/late", json={}).status_code for _ in range(3)] == [200, 200, 429]


def test_an_overridden_key_pays_and_other_overrides_change_nothing():
    app, key = new_app(), everyone()
    callers = iter("abcabc")

    def other(): ...

    add_json(app, RateLimit(1, "1m", before_body=True, key=key), other)
    app.dependency_overrides[other] = lambda: None
    assert broken(TestClient(app), "/late", 2) == [422, 429]

    app.dependency_overrides[key] = lambda: next(callers)
    answers = [TestClient(app).post("/late", json={}).status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]


def test_limits_that_are_decided_together_stay_together():
    app = new_app()
    mine = RateLimit(9, "1m", name="mine", before_body=True)
    ours = RateLimit(1, "1m", name="ours", before_body=True, key=everyone())
    add_json(app, all_of(mine, ours))
    client = TestClient(app)

    assert broken(client, "/late", 3) == [422, 429, 429]
    assert client.post("/late").headers["ratelimit"] == '"mine";r=8;t=60, "ours";r=0;t=60'


def test_limits_that_are_decided_together_are_decided_at_one_time():
    early = RateLimit(1, "1m", before_body=True)

    with pytest.raises(ConfigurationError, match=r"same for all limits .* got \[True, False\]"):
        all_of(early, RateLimit(2, "1m"))


def test_a_mistake_is_seen_and_not_taken_for_a_broken_body():
    app = new_app()
    client = TestClient(app)
    client.post("/raw")
    add_json(app, RateLimit(1, "1m", name="x", before_body=True))
    app.add_api_route("/other", lambda: {}, dependencies=[Depends(RateLimit(2, "1m", name="x"))])
    client.get("/other")

    with pytest.raises(ConfigurationError, match="the name 'x' must stand for one rule"):
        client.post("/late", json={})
