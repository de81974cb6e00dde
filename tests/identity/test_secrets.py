"""No secret leaves: not into Redis, not into logs, fields, bodies or tracebacks."""

import base64
import hashlib
import logging
import traceback
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Header
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBearer
from fastapi.testclient import TestClient
from pydantic import ValidationError
from redis_server import RedisServer

from fastapi_throttle import (
    ConfigurationError,
    RateLimit,
    RedisBackend,
    Throttle,
    ThrottleSettings,
    api_key,
    client_ip,
    email,
    first_of,
    principal,
)

ADDRESS = "203.0.113.77"
SECRETS = {
    "x-api-key": "sk-live-abc123",
    "x-plain": "plain-secret-xyz",
    "x-email": "ada.lovelace@example.org",
    "x-user": "user-secret-4711",
    "authorization": "Bearer token-secret-0815",
    "cookie": "session=cookie-secret-99",
    "query": "query-secret-88",
}
OPERATORS_SECRET = "operators-own-secret"
RAW = [
    *(value.removeprefix("Bearer ").removeprefix("session=") for value in SECRETS.values()),
    ADDRESS,
    OPERATORS_SECRET,
]


async def user(x_user: Annotated[str | None, Header()] = None):
    return x_user


async def login(x_email: Annotated[str | None, Header()] = None):
    return x_email


def broken(key):
    raise LookupError(key)


RESOLVERS = {
    "default": None,
    "address": client_ip(),
    "user": principal(user),
    "email": email(login),
    "plain": lambda request: request.headers.get("x-plain"),
    "plain-tuple": lambda request: ("tenant", request.headers.get("x-plain")),
    "plain-broken": lambda request: broken(request.headers.get("x-plain")),
    "plain-wrong": lambda request: [request.headers.get("x-plain")],
    "header-owner": api_key(APIKeyHeader(name="X-API-Key"), verify=lambda key: key),
    "header-itself": api_key(APIKeyHeader(name="X-API-Key"), verify=lambda key: True),
    "header-broken": api_key(APIKeyHeader(name="X-API-Key"), verify=broken),
    "bearer": api_key(HTTPBearer(), verify=lambda key: True),
    "query": api_key(APIKeyQuery(name="key"), verify=lambda key: key),
    "cookie": api_key(APIKeyCookie(name="session"), verify=lambda key: key),
    "first": first_of(api_key(HTTPBearer(), verify=broken), principal(user)),
}


def new_app(url):
    app = FastAPI()
    settings = ThrottleSettings(secret=OPERATORS_SECRET)
    Throttle(app, backend=RedisBackend(url, budget=2), settings=settings)
    for name, resolver in RESOLVERS.items():
        app.add_api_route(
            f"/{name}", lambda: {}, dependencies=[Depends(RateLimit(10, "1h", key=resolver))]
        )
        app.add_api_route(
            f"/{name}/cost",
            lambda: {},
            # Its mistake is an unhandled error of the application.
            dependencies=[Depends(RateLimit(10, "1h", key=resolver, cost=lambda request: -1))],
        )
    return app


def forms(secret):
    """Yield a secret and the digests that everybody can make of it."""
    raw = secret.encode()
    yield secret
    for algorithm in ("md5", "sha1", "sha256", "sha512", "blake2b", "blake2s"):
        digest = hashlib.new(algorithm, raw).digest()
        yield digest.hex()
        yield base64.b64encode(digest).decode().rstrip("=")
        yield base64.urlsafe_b64encode(digest).decode().rstrip("=")
    for size in (8, 16, 32):
        digest = hashlib.blake2b(raw, digest_size=size).digest()
        yield digest.hex()
        yield base64.urlsafe_b64encode(digest).decode().rstrip("=")


def run(app, count):
    """Send requests over every resolver; return all that came back, tracebacks included."""
    client = TestClient(app, client=(ADDRESS, 1))
    seen = []
    headers = {name: value for name, value in SECRETS.items() if name != "query"}
    paths = [f"/{name}{suffix}" for name in RESOLVERS for suffix in ("", "/cost")]
    for index in range(count):
        try:
            url = f"{paths[index % len(paths)]}?key={SECRETS['query']}"
            response = client.get(url, headers=headers)
            seen.append(f"{response.status_code} {response.headers} {response.text}")
        except (ConfigurationError, LookupError):
            seen.append(traceback.format_exc())
    return seen


def test_five_hundred_requests_leak_nothing(redis_url, redis_server, caplog):
    caplog.set_level(logging.DEBUG, "fastapi_throttle")
    app = new_app(redis_url)
    with redis_server.monitored() as commands:
        seen = run(app, 500)
    stored = []
    for key in redis_server.client.scan_iter():
        stored += [repr(key), repr(redis_server.client.get(key))]
    logged = [caplog.text, *(repr(record.__dict__) for record in caplog.records)]

    assert sum(text.startswith("429") for text in seen) > 50
    assert sum("Traceback" in text for text in seen) > 100
    assert len(commands) > 100
    assert len(stored) > 2 * 10
    everything = "\n".join([*seen, *commands, *stored, *logged])
    for secret in RAW:
        for form in forms(secret):
            assert form not in everything


def test_an_outage_leaks_nothing(caplog):
    with RedisServer(password="redis-own-password") as server:
        url = f"redis://:redis-own-password@127.0.0.1:{server.port}"
        app = new_app(url)
        client = TestClient(app, client=(ADDRESS, 1))
        server.stop()
        response = client.get("/header-itself", headers={"x-api-key": SECRETS["x-api-key"]})

    assert response.status_code == 200
    assert "ConnectionError" in caplog.text
    everything = f"{response.headers} {response.text} {caplog.text}"
    for secret in [*RAW, "redis-own-password"]:
        assert not any(form in everything for form in forms(secret))


def test_nothing_that_is_printed_shows_a_password():
    settings = ThrottleSettings(backend="redis://:hunter2@localhost", secret="hunter2")
    seen = [repr(settings), str(settings)]
    for arguments in ({"secret": 12345678}, {"secrt": "hunter2"}, {"key_prefix": "hunter2 "}):
        with pytest.raises(ValidationError) as raised:
            ThrottleSettings(**arguments)
        seen.append(str(raised.value))
    for url in ("redis://h:hunter2/0", "foo://:hunter2@h", "hunter2"):
        with pytest.raises(ConfigurationError) as refused:
            RedisBackend(url)
        seen.append(str(refused.value))

    assert not any("hunter2" in text or "12345678" in text for text in seen)


@pytest.mark.parametrize("secret", [None, OPERATORS_SECRET])
def test_a_missing_secret_is_told_once_at_start_up(secret, redis_url, caplog):
    settings = ThrottleSettings(secret=secret)
    app = FastAPI()
    Throttle(app, backend=RedisBackend(redis_url), settings=settings)

    with TestClient(app):
        pass

    told = [message for message in caplog.messages if "without a secret" in message]
    assert len(told) == (1 if secret is None else 0)


def test_in_process_counters_need_no_secret(caplog):
    app = FastAPI()
    Throttle(app)

    with TestClient(app):
        pass

    assert caplog.messages == []
