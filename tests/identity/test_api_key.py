"""Only a key that somebody owns is an identity."""

import secrets
import threading
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated

import future_annotations
import pytest
from fastapi import Depends, FastAPI, Form, HTTPException, Security, WebSocket
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBasic, HTTPBearer
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from fastapi_throttle import MemoryBackend, RateLimit, Throttle, api_key, client_ip, first_of

pytestmark = pytest.mark.matrix

HEADER = APIKeyHeader(name="X-API-Key")
OWNERS = {"key-1": "acme", "key-2": "globex", "key-1b": "acme"}


def verify(key: str) -> str | None:
    return OWNERS.get(key)


async def verify_async(key):
    return OWNERS.get(key)


class VerifyObject:
    async def __call__(self, key):
        return OWNERS.get(key)


async def verify_dependency(
    key: Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))],
):
    return OWNERS.get(key)


def new_app(key, limit=1):
    app = FastAPI()
    Throttle(app, backend=MemoryBackend())
    app.add_api_route(
        "/x", lambda: {}, dependencies=[Depends(RateLimit(limit, "1m", key=key, name="api"))]
    )
    return app


def statuses(app, *headers, client=("203.0.113.1", 1), path="/x"):
    test_client = TestClient(app, client=client)
    return [test_client.get(path, headers=each).status_code for each in headers]


def bearer(*values):
    return [{"authorization": value} for value in values]


@pytest.mark.parametrize(
    "how", [verify, verify_async, VerifyObject(), verify_dependency, Depends(verify_dependency)]
)
def test_the_owner_pays_whatever_key_they_use(how):
    app = new_app(api_key(HEADER, verify=how))
    one, other, same = ({"x-api-key": key} for key in ("key-1", "key-2", "key-1b"))

    assert statuses(app, one, other, same, other) == [200, 200, 429, 429]


@pytest.mark.parametrize(
    "how",
    [
        future_annotations.by_dependency,
        future_annotations.is_known,
        future_annotations.by_request,
        future_annotations.by_key,
    ],
)
def test_verifiers_whose_annotations_are_text_verify(how):
    app = new_app(api_key(HEADER, verify=how), limit=5)

    invented = statuses(app, *({"x-api-key": secrets.token_hex()} for _ in range(20)))

    assert invented == [200] * 5 + [429] * 15
    assert statuses(app, {"x-api-key": "key-1"}, {"x-api-key": "key-2"}) == [200, 200]


@pytest.mark.parametrize("how", [OWNERS.get, OWNERS.__contains__])
def test_a_builtin_verifies(how):
    app = new_app(api_key(HEADER, verify=how))

    assert statuses(app, *({"x-api-key": key} for key in ("key-1", "key-2", "none"))) == [200] * 3
    assert statuses(app, {"x-api-key": "key-1"}, {"x-api-key": "other"}) == [429, 429]


def test_a_verify_that_is_both_is_refused():
    def mixed(key: str, owners: Annotated[dict, Depends(dict)]): ...

    def form(token: Annotated[str, Form()], key: str): ...

    for verify in (mixed, form):
        with pytest.raises(TypeError, match="verify must take the key alone, or say of each"):
            api_key(HEADER, verify=verify)
    with pytest.raises(TypeError, match=r"cannot be read here .* write verify=Depends"):
        api_key(HEADER, verify=future_annotations.of_unknown_types)


def test_an_owner_may_be_a_tuple():
    app = new_app(api_key(HEADER, verify=lambda key: ("tenant", key)))

    assert statuses(app, *({"x-api-key": key} for key in "aba")) == [200, 200, 429]


@pytest.mark.parametrize("owner", [1.5, ["acme"], object()])
def test_an_owner_of_a_wrong_type_is_nobody_and_is_logged(owner, caplog):
    app = new_app(api_key(HEADER, verify=lambda key: owner))

    assert statuses(app, {"x-api-key": "a"}, {"x-api-key": "b"}) == [200, 429]


@dataclass
class Unhashable:
    owners: dict

    def __call__(self, key):
        raise LookupError(key)


def test_an_unhashable_verifier_that_raises_is_nobody():
    app = new_app(api_key(HEADER, verify=Unhashable({})))

    assert statuses(app, {"x-api-key": "a"}, {"x-api-key": "b"}) == [200, 429]


def test_true_never_collides_with_an_owner_of_the_same_text():
    as_owner = api_key(HEADER, verify=lambda key: "key-1")
    as_itself = api_key(APIKeyQuery(name="key"), verify=lambda key: True)
    app = new_app(first_of(as_owner, as_itself))

    assert statuses(app, {"x-api-key": "any"}) == [200]
    assert statuses(app, {}, path="/x?key=key-1") == [200]


def test_a_sync_verifier_does_not_stop_other_requests():
    threads = set()
    app = new_app(api_key(HEADER, verify=lambda key: threads.add(threading.get_ident())))

    @app.get("/loop")
    async def loop():
        return threading.get_ident()

    with TestClient(app) as client:
        client.get("/x", headers={"x-api-key": "a"})
        assert client.get("/loop").json() not in threads


def test_a_thousand_invented_keys_buy_nothing():
    app = new_app(api_key(HEADER, verify=verify), limit=5)

    answers = statuses(app, *({"x-api-key": secrets.token_hex()} for _ in range(1000)))

    assert answers == [200] * 5 + [429] * 995


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("x-api-key", "")],
        [("x-api-key", "  ")],
        [("x-api-key", "unknown")],
        [("x-api-key", "key-1"), ("x-api-key", "key-1")],
        [("x-api-key", "key-1"), ("X-API-Key", "unknown")],
        [("x-api-key", "k" * 4097)],
        [("x-api-key", b"\xff\xfe")],
        [("x-api-key", b"key-1\xa0")],
        [("x-api-key", b"\x01key-1")],
    ],
)
def test_what_is_not_exactly_one_known_key_is_the_address(headers):
    app = new_app(first_of(api_key(HEADER, verify=verify), client_ip()))
    raw = [
        (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in headers
    ]

    assert statuses(app, raw) == [200]
    assert statuses(app, {}) == [429]
    assert statuses(app, {}, client=("203.0.113.2", 1)) == [200]
    assert statuses(app, {"x-api-key": "key-1"}) == [200]


def test_an_overlong_key_is_not_even_looked_up():
    seen = []
    app = new_app(api_key(HEADER, verify=seen.append))

    statuses(app, {"x-api-key": "k" * 4097}, {"x-api-key": "k" * 4096})

    assert list(map(len, seen)) == [4096]


def test_spellings_of_a_bearer_token_are_one_identity():
    app = new_app(api_key(HTTPBearer(), verify=verify))

    spellings = bearer("Bearer key-1", "bearer key-1", "BEARER   key-1", " Bearer key-1\t")

    assert statuses(app, *spellings) == [200, 429, 429, 429]


@pytest.mark.parametrize("field", ["Basic key-1", "key-1", "Bearer", "Bearer ", "n1 Bearer key-1"])
def test_another_scheme_than_bearer_is_nobody(field):
    app = new_app(api_key(HTTPBearer(), verify=verify))

    assert statuses(app, *bearer(field)) == [200]
    assert statuses(app, {}) == [429]


def test_a_key_in_the_query():
    app = new_app(api_key(APIKeyQuery(name="key"), verify=verify))

    assert statuses(app, {}, {}, path="/x?key=key-1") == [200, 429]
    assert statuses(app, {}, path="/x?key=key-2") == [200]
    assert statuses(app, {}, {}, path="/x?key=key-1&key=key-2") == [200, 429]


def test_a_key_in_a_cookie():
    app = new_app(api_key(APIKeyCookie(name="session"), verify=verify))

    assert statuses(app, *[{"cookie": "session=key-1"}] * 2, {"cookie": "session=key-2"}) == [
        200, 429, 200,
    ]  # fmt: skip
    twice = [("cookie", "session=key-1; a=b"), ("cookie", "session=key-2")]
    assert statuses(app, {}, twice, {"cookie": "session=key-1; session=key-2"}) == [200, 429, 429]


def test_true_makes_the_key_itself_the_account():
    app = new_app(api_key(HEADER, verify=lambda key: key.startswith("key-")))

    one, other, unknown = ({"x-api-key": key} for key in ("key-1", "key-2", "unknown"))
    assert statuses(app, one, other, unknown, one, unknown) == [200, 200, 200, 429, 429]


def test_an_object_that_owns_the_key_counts_by_its_id():
    app = new_app(api_key(HEADER, verify=lambda key: SimpleNamespace(id=7, key=key)))

    assert statuses(app, {"x-api-key": "key-1"}, {"x-api-key": "key-2"}) == [200, 429]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_verify_raises_is_logged_by_type_and_counts_for_the_address(kind, caplog):
    def broken(key):
        message = f"no such key: {key}"
        raise LookupError(message)

    async def broken_async(key):
        broken(key)

    app = new_app(api_key(HEADER, verify=broken if kind == "sync" else broken_async))

    assert statuses(app, {"x-api-key": "hunter2"}, {"x-api-key": "hunter3"}) == [200, 429]
    assert "raised LookupError" in caplog.text
    assert "hunter" not in caplog.text


def test_an_http_error_of_a_verifying_dependency_is_not_touched():
    async def owner(key: Annotated[str, Security(HEADER)]):
        raise HTTPException(403)

    app = new_app(api_key(HEADER, verify=owner))

    assert statuses(app, {"x-api-key": "key-1"}) == [403]


def test_the_scheme_shows_in_the_openapi_document_and_a_missing_key_is_no_error():
    app = new_app(api_key(HEADER, verify=verify))

    document = app.openapi()

    assert document["components"]["securitySchemes"] == {
        "APIKeyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    }
    assert document["paths"]["/x"]["get"]["security"] == [{"APIKeyHeader": []}]
    assert "parameters" not in document["paths"]["/x"]["get"]
    assert statuses(app, {}) == [200]
    assert HEADER.auto_error


def test_a_key_of_a_websocket():
    app = FastAPI()
    Throttle(app, backend=MemoryBackend())
    limit = RateLimit(1, "1m", key=api_key(HEADER, verify=verify))

    @app.websocket("/ws", dependencies=[Depends(limit)])
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.close()

    client = TestClient(app)
    for key in ("key-1", "key-2"):
        with client.websocket_connect("/ws", headers={"x-api-key": key}):
            pass
    with (
        pytest.raises(WebSocketDenialResponse),
        client.websocket_connect("/ws", headers={"x-api-key": "key-1"}),
    ):
        pass


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: api_key(HTTPBasic(), verify=verify), "scheme must be an APIKeyHeader"),
        (lambda: api_key("X-API-Key", verify=verify), "got 'X-API-Key'"),
        (lambda: api_key(HEADER, verify="key"), "verify must be a callable .* got 'key'"),
    ],
)
def test_what_cannot_verify_is_named(make, says):
    with pytest.raises(TypeError, match=says):
        make()
