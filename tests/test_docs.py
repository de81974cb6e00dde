"""The pages under docs/ are true: their code runs."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

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


def test_links_lead_somewhere():
    for page in [*PAGES, PAGES[0].parents[1] / "README.md"]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)
