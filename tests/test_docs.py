"""The pages under docs/ are true: their code runs."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(
            r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
    )
]


def app_of(block):
    namespace = {"__name__": "docs"}
    exec(compile(block, "docs", "exec", dont_inherit=True), namespace)
    return namespace["app"]


@pytest.mark.parametrize("block", EXAMPLES)
def test_every_example_makes_an_app_whose_limits_are_consistent(block):
    app = app_of(block)

    assert isinstance(app, FastAPI)
    app.build_middleware_stack()


def test_the_login_refuses_the_sixth_attempt_of_an_address():
    client = TestClient(app_of(EXAMPLES[0].values[0]))
    credentials = {"username": "ada", "password": "guess"}

    attempts = [client.post("/login", json=credentials).status_code for _ in range(6)]

    assert attempts == [200] * 5 + [429]


def test_callers_are_decided_together():
    client = TestClient(app_of(EXAMPLES[1].values[0]))

    response = client.get("/", headers={"x-user": "u", "x-tenant": "t"})

    assert re.findall(r"r=(\d+)", response.headers["ratelimit"]) == ["9", "99", "999"]


def test_links_lead_somewhere():
    for page in [*PAGES, PAGES[0].parents[1] / "README.md"]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)
