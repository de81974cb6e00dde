"""The pages under docs/ are true: their code runs."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from clock import Clock
from fastapi import FastAPI
from fastapi.testclient import TestClient
from oracle import hit_of, policy_of
from redis_server import RedisServer, free_port

from fastapi_throttle import BackendError, RedisBackend

PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES = {
    f"{page.name}-{number}": block
    for page in PAGES
    if page.name != "testing.md"  # whose examples are tests: tests/plugin runs them
    for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
}


def app_of(block):
    namespace = {"__name__": "docs"}
    exec(compile(block, "docs", "exec", dont_inherit=True), namespace)
    return namespace["app"]


@pytest.mark.parametrize("block", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_every_example_makes_an_app_whose_limits_are_consistent(block):
    app = app_of(block)

    assert isinstance(app, FastAPI)
    app.build_middleware_stack()


def test_the_login_refuses_the_sixth_attempt_of_an_address():
    client = TestClient(app_of(EXAMPLES["identity.md-0"]))
    credentials = {"username": "ada", "password": "guess"}

    attempts = [client.post("/login", json=credentials).status_code for _ in range(6)]

    assert attempts == [200] * 5 + [429]


def test_callers_are_decided_together():
    client = TestClient(app_of(EXAMPLES["identity.md-1"]))

    response = client.get("/", headers={"x-user": "u", "x-tenant": "t"})

    assert re.findall(r"r=(\d+)", response.headers["ratelimit"]) == ["9", "99", "999"]


def test_the_handler_answers_with_what_it_forgot():
    client = TestClient(app_of(EXAMPLES["http.md-0"]))

    refused = [client.get("/") for _ in range(6)][-1]

    assert refused.json() == {"error": "slow down", "policy": "5-per-1m"}
    assert refused.headers["retry-after"] == "60"


def test_uploads_that_cannot_be_parsed_count():
    client = TestClient(app_of(EXAMPLES["http.md-1"]))
    headers = {"content-type": "multipart/form-data; boundary=line"}

    answers = [client.post("/files", content=b"x", headers=headers).status_code for _ in range(11)]

    assert answers[-1] == 429


def test_messages_end_with_the_code_that_asks_to_come_back():
    client = TestClient(app_of(EXAMPLES["http.md-2"]))

    with client.websocket_connect("/ws") as socket:
        for _ in range(5):
            socket.send_text("hi")
            assert socket.receive_text() == "hi"
        socket.send_text("hi")
        assert socket.receive()["code"] == 1013


def test_each_limit_has_its_failure_mode(monkeypatch):
    monkeypatch.setenv("FASTAPI_THROTTLE_BACKEND", f"redis://127.0.0.1:{free_port()}")
    client = TestClient(app_of(EXAMPLES["outages.md-0"]))

    found = {path: client.get(path).status_code for path in ("/login", "/search", "/stats")}

    assert found == {"/login": 503, "/search": 200, "/stats": 200}


def test_health_is_shown_as_described():
    answer = TestClient(app_of(EXAMPLES["outages.md-1"])).get("/health/limits").json()

    text = next(page for page in PAGES if page.name == "outages.md").read_text(encoding="utf-8")
    shown = json.loads(re.search(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[1])
    assert answer.keys() == shown.keys()
    assert answer["failures"] == dict.fromkeys(shown["failures"], 0)
    assert (answer["state"], answer["error"]) == ("ok", None)


@pytest.mark.parametrize("algorithm", ["sliding-window", "gcra", "fixed-window"])
async def test_the_redis_user_shown_may_do_all_that_is_needed(algorithm):
    text = next(page for page in PAGES if page.name == "outages.md").read_text(encoding="utf-8")
    command = re.search(r"^ACL SETUSER .*$", text, re.MULTILINE)[0]
    clock = Clock()
    with RedisServer() as server:
        server.client.execute_command(*command.split())
        url = f"redis://limiter:a-long-password@127.0.0.1:{server.port}"
        backend = RedisBackend(url, budget=2, clock=clock)
        hit = hit_of(policy_of((40, 60_000_000), algorithm=algorithm), partition="ft:somebody")
        hit = hit._replace(keys=("ft:1:{somebody}",))
        for _ in range(60):
            await backend.hit((hit,))
            clock.advance(0.01)
        # What is done for several at once, and for a limit so large that a second holds many.
        large = hit_of(policy_of((40_000, 60_000_000), algorithm=algorithm))
        others = [large._replace(keys=(f"ft:1:{{{number}}}",)) for number in range(9)]
        for _ in range(3):
            await asyncio.gather(*(backend.hit((other,)) for other in others))
        assert server.client.acl_log() == []
        server.client.persist(hit.keys[0])
        assert not (await backend.hit((hit,)))[0].allowed
        clock.advance(-3_600)
        await backend.hit((hit,))
        assert not (await backend.peek((hit,)))[0].allowed
        await backend.reset((hit,))
        assert (await backend.peek((hit,)))[0].remaining == 40
        with pytest.raises(BackendError):
            await backend.hit((hit._replace(keys=("other:1:{somebody}",)),))
        await backend.aclose()


def test_links_lead_somewhere():
    for page in [*PAGES, PAGES[0].parents[1] / "README.md"]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)
