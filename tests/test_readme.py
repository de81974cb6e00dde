"""The README is true: its code runs, its commands exist."""

import re
import tomllib
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def run(block):
    namespace = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec", dont_inherit=True), namespace)
    return namespace


def client(block):
    return TestClient(run(block)["app"])


FIRST, REDIS, ROUTERS, KEYS, METHODS = blocks("python")


@pytest.mark.parametrize("block", blocks("python"))
def test_every_example_makes_an_app_whose_limits_are_consistent(block):
    app = run(block)["app"]

    assert isinstance(app, FastAPI)
    app.build_middleware_stack()


def test_the_first_example_refuses_the_hundred_and_first_request():
    first = client(FIRST)

    statuses = [first.get("/items").status_code for _ in range(101)]

    assert statuses == [200] * 100 + [429]


def test_the_first_example_has_ten_lines():
    assert len([line for line in FIRST.splitlines() if line]) <= 10


def test_the_answer_shown_is_the_answer_given():
    first = client(FIRST)
    for _ in range(100):
        first.get("/items")
    answer = first.get("/items")

    shown = dict(line.split(": ", 1) for line in blocks("http")[0].splitlines()[1:])

    assert set(shown) == {"Retry-After", "RateLimit-Policy", "RateLimit", "Cache-Control"}
    for name, value in shown.items():
        without_time = re.sub(r"\b12\b", r"\\d+", re.escape(value))
        assert re.fullmatch(without_time, answer.headers[name])


def test_the_example_of_routers_counts_as_described():
    routers = client(ROUTERS)

    assert routers.get("/reports/2025").headers["ratelimit"].startswith('"app-1s";r=49')
    exports = [routers.get(f"/reports/{year}/export").status_code for year in range(2000, 2006)]
    assert exports == [200] * 5 + [429]


def test_the_example_of_keys_limits_by_plan():
    keys = client(KEYS)
    free, pro = {"x-api-key": "secret-1"}, {"x-api-key": "secret-2"}

    assert [keys.get("/search", headers=free).status_code for _ in range(11)] == [200] * 10 + [429]
    assert keys.get("/search", headers=pro).json() == "hello 2"
    assert keys.get("/search").json() == "hello stranger"


def test_the_example_of_methods_counts_messages():
    methods = client(METHODS)

    with methods.websocket_connect("/ws") as socket:
        for _ in range(20):
            socket.send_text("hi")
        answers = [socket.receive_text() for _ in range(20)]

    assert answers[:19] == ["hi"] * 19
    assert answers[19].startswith("wait 5")
    assert methods.get("/limits").json() == 0


def test_every_command_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    commands = [block.split()[0] for block in blocks("sh")]

    assert commands == ["scripts/demo", "for", "scripts/test", "pip", "export", "export"]
    assert all((ROOT / name).stat().st_mode & 0o111 for name in commands if "/" in name)
    assert f"pip install {project['name']}\n" in TEXT


def test_every_setting_is_listed_with_its_default():
    from fastapi_throttle import ThrottleSettings

    table = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (\S+) \|", TEXT, re.MULTILINE))

    table["TRUSTED_PROXIES"] = table["TRUSTED_PROXIES"].replace("[]", "()")
    assert set(table) == {name.upper() for name in ThrottleSettings.model_fields}
    for name, field in ThrottleSettings.model_fields.items():
        assert table[name.upper()].strip("`") == str(field.default).lower()
