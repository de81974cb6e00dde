"""An app that starts looks at its store: with a lifespan, as `startup` says."""

import logging
import socket
import time

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from redis_server import RedisServer, free_port
from uvicorn_workers import start

from fastapi_throttle import (
    BackendError,
    MemoryBackend,
    RateLimit,
    RedisBackend,
    Throttle,
    ThrottleSettings,
)

NOBODY = f"redis://127.0.0.1:{free_port()}"


def new_app(url, **settings):
    app = FastAPI()
    settings = ThrottleSettings(backend=url, secret="of the operator", budget_ms=500, **settings)
    app.state.throttle = Throttle(app, settings=settings)
    app.add_api_route("/", lambda: {}, dependencies=[Depends(RateLimit(1, "1m"))])
    return app


def lifespan_of(app):
    with TestClient(app) as client:
        return client.get("/").status_code


def told(caplog, level):
    return [record.getMessage() for record in caplog.records if record.levelname == level]


@pytest.fixture
def server():
    with RedisServer() as server:
        yield server


@pytest.mark.parametrize("startup", ["ignore", "warn", "require"])
def test_an_app_with_a_store_that_works_starts(startup, redis_url, caplog):
    assert lifespan_of(new_app(redis_url, startup=startup)) == 200
    assert caplog.messages == []


def test_an_app_without_a_store_starts_with_a_warning(caplog):
    assert lifespan_of(new_app(NOBODY)) == 200
    assert ["ConnectionError" in message for message in told(caplog, "WARNING")] == [True]


def test_an_app_that_requires_a_store_does_not_start_without():
    app = new_app(NOBODY, startup="require")
    with pytest.raises(BackendError, match=r"startup='require'.*ConnectionError"), TestClient(app):
        pytest.fail("it started")


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), "infrastructure"),
        (("ACL", "SETUSER", "default", "-eval", "-evalsha"), "configuration"),
        (("ACL", "SETUSER", "default", "resetkeys", "~other:*"), "configuration"),
        (("REPLICAOF", "127.0.0.1", "1"), "infrastructure"),
    ],
)
def test_a_store_that_answers_and_does_not_work_is_found_out(server, command, fault):
    server.client.execute_command(*command)
    app = new_app(server.url, startup="require")

    with pytest.raises(BackendError) as raised, TestClient(app):
        pytest.fail("it started")
    assert raised.value.fault == fault


def test_a_store_that_never_answers_holds_the_start_up_for_a_budget_only():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = new_app(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        started = time.monotonic()
        with TestClient(app):
            assert time.monotonic() - started < 1


def test_nothing_is_asked_when_told_so(server):
    app = new_app(server.url, startup="ignore")
    with server.monitored() as commands, TestClient(app):
        pass
    assert commands == []


def test_nothing_is_asked_of_a_throttle_that_is_off():
    assert lifespan_of(new_app(NOBODY, startup="require", enabled=False)) == 200


def test_nothing_is_asked_without_a_lifespan():
    assert TestClient(new_app(NOBODY, startup="require")).get("/").status_code == 200


def test_what_start_up_wrote_is_gone_soon_and_concerns_nobody(redis_url, redis_server):
    with TestClient(new_app(redis_url)):
        (key,) = redis_server.client.keys()
        assert key.startswith(b"ft:1:{")
        assert 0 < redis_server.client.pttl(key) < 2_100


def test_a_server_that_evicts_is_told(server, caplog):
    server.client.config_set("maxmemory", "100mb")
    server.client.config_set("maxmemory-policy", "allkeys-lru")

    assert lifespan_of(new_app(server.url)) == 200

    (message,) = told(caplog, "WARNING")
    assert "maxmemory-policy is allkeys-lru" in message
    server.client.config_set("maxmemory-policy", "noeviction")
    caplog.clear()
    lifespan_of(new_app(server.url))
    assert told(caplog, "WARNING") == []


def test_a_server_that_persists_nothing_is_mentioned(server, caplog):
    caplog.set_level(logging.INFO, "fastapi_throttle")
    lifespan_of(new_app(server.url))
    assert ["nothing is persisted" in message for message in told(caplog, "INFO")] == [True]

    caplog.clear()
    server.client.config_set("save", "3600 1")
    lifespan_of(new_app(server.url))
    assert caplog.messages == []


def test_an_old_server_is_told(server, caplog):
    """Of a version that is not here to be run: what a proxy's INFO says."""
    from fastapi_throttle.backends.redis.findings import _of_version

    assert "5.0.14 is older than 6.0" in _of_version({"redis_version": "5.0.14"}).text
    for version in ("6.0.0", "7.0.15", "10.1", "unstable", ""):
        assert _of_version({"redis_version": version}) is None
    assert _of_version({}) is None


def test_settings_that_may_not_be_read_are_no_obstacle(server, caplog):
    caplog.set_level(logging.INFO, "fastapi_throttle")
    server.client.execute_command("ACL", "SETUSER", "default", "-info")
    assert lifespan_of(new_app(server.url, startup="require")) == 200
    assert ["may not be read" in message for message in told(caplog, "INFO")] == [True]

    caplog.clear()
    server.client.flushall()
    server.client.execute_command("ACL", "SETUSER", "default", "+info", "-config")
    assert lifespan_of(new_app(server.url, startup="require")) == 200
    assert caplog.messages == []


def test_a_backend_without_findings_starts(caplog):
    class Bare:
        budget = 0.0

        def __init__(self):
            self._memory = MemoryBackend()
            self.hit, self.peek = self._memory.hit, self._memory.peek
            self.reset, self.aclose = self._memory.reset, self._memory.aclose

    app = FastAPI()
    Throttle(app, backend=Bare(), settings=ThrottleSettings(startup="require", secret="x"))
    with TestClient(app):
        pass
    assert caplog.messages == []


async def test_findings_that_do_not_come_are_an_error_in_time():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        backend = RedisBackend(f"redis://127.0.0.1:{listener.getsockname()[1]}", budget=0.1)
        with pytest.raises(BackendError):
            await backend.findings()
        await backend.aclose()


def test_health_is_told_by_the_throttle(server):
    app = new_app(server.url)
    throttle = app.state.throttle
    client = TestClient(app)
    client.get("/")
    assert throttle.health().state == "ok"

    server.stop()
    client.get("/")
    health = throttle.health()
    assert (health.state, health.failures["infrastructure"]) == ("degraded", 1)
    assert "ConnectionError" in health.error
    server.start()
    client.get("/")
    assert throttle.health().state == "ok"


def test_a_server_whose_app_requires_a_store_ends_and_says_why(capfd):
    process, _ = start("counting_app", NOBODY, FASTAPI_THROTTLE_STARTUP="require")

    assert process.wait(30) == 3
    error = capfd.readouterr().err
    assert "startup='require' needs a store that works, and it does not" in error
    assert "Application startup failed. Exiting." in error
