"""The demo does what its page says: every kind of limit, seen from outside."""

import re
from importlib.resources import files

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from demo_app.accounts import current_account
from demo_app.main import create_app
from demo_app.routes import limited
from fastapi_throttle import ThrottleSettings
from fastapi_throttle.testing import assert_throttled

PAGE = files("demo_app").joinpath("static/page.html").read_text("utf-8")
KEYS = dict(re.findall(r'value="(\w+)" data-key="(demo-\w+-\w+)"', PAGE))
OFFERED = re.findall(r'<option value="([^"]+)"', PAGE)


# In this process, wherever the environment wants the demo to count.
pytestmark = pytest.mark.throttle(backend="memory")


@pytest.fixture
def app() -> FastAPI:
    return create_app()


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


def statuses(client, path, times, **options):
    return [client.get(path, **options).status_code for _ in range(times)]


def sent_by(name):
    return {"headers": {"X-API-Key": KEYS[name]}}


def left(client, **options):
    answer = client.get("/me/limits", **options).json()
    return {entry["policy"]: entry["remaining"] for entry in answer["limits"]}


def test_a_plain_route_answers_ten_times_then_refuses_with_a_wait(client, throttle_clock):
    assert statuses(client, "/limited", 10) == [200] * 10

    refused = client.get("/limited")

    assert_throttled(refused, policy="10-per-30s", retry_after=30)
    assert refused.headers["RateLimit-Policy"] == '"10-per-30s";q=10;w=30'
    assert refused.headers["RateLimit"] == '"10-per-30s";r=0;t=30'
    assert "10 per 30s" in refused.json()["detail"]


def test_who_waits_exactly_retry_after_is_admitted(client, throttle_clock):
    for _ in range(10):
        client.get("/limited")
        throttle_clock.advance("0.7s")
    assert_throttled(client.get("/limited"), retry_after=23)

    throttle_clock.advance("22s")
    assert_throttled(client.get("/limited"), retry_after=1)
    throttle_clock.advance("1s")
    assert client.get("/limited").status_code == 200


def test_the_limit_of_one_address_leaves_others_alone(app, client, throttle):
    throttle.exhaust(limited, key="ip:testclient")

    assert_throttled(client.get("/limited"))
    assert TestClient(app, client=("203.0.113.9", 1)).get("/limited").status_code == 200


def test_the_routes_of_a_router_share_its_limit(client):
    mixed = [
        client.get(path).status_code for path in ["/items", "/items/1", "/items/2", "/items/9"] * 5
    ]

    assert mixed == [200, 200, 200, 404] * 5
    assert statuses(client, "/items", 1) == [429]
    assert statuses(client, "/items/1", 1) == [429]


@pytest.mark.parametrize(("name", "allowed"), [("ada", 3), ("grace", 15)])
def test_the_tier_of_an_account_decides_how_much_it_may(client, name, allowed):
    assert statuses(client, "/reports", allowed + 1, **sent_by(name)) == [200] * allowed + [429]
    assert client.get("/reports", **sent_by(name)).headers["RateLimit-Policy"] == (
        f'"reports";q={allowed};w=10'
    )


def test_an_account_pays_wherever_it_calls_from(app, client, throttle):
    elsewhere = TestClient(app, client=("203.0.113.9", 1))
    throttle.exhaust("reports", key="user:ada")

    for where in (client, elsewhere):
        assert_throttled(where.get("/reports", **sent_by("ada")), policy="reports")
        assert where.get("/reports", **sent_by("grace")).status_code == 200


def test_anonymous_callers_have_the_free_tier_by_address(app, client):
    assert statuses(client, "/reports", 4) == [200, 200, 200, 429]
    assert statuses(TestClient(app, client=("203.0.113.9", 1)), "/reports", 1) == [200]


def test_an_unknown_key_is_counted_for_its_address_and_told_that_it_is_wrong(
    client, throttle_clock
):
    answers = [client.get("/reports", headers={"X-API-Key": f"invented-{n}"}) for n in range(5)]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[0].headers["WWW-Authenticate"] == "APIKey"
    assert answers[0].headers["RateLimit"] == '"reports";r=2;t=10'
    # The address is used up, for anonymous calls too; accounts behind it are not.
    assert statuses(client, "/reports", 1) == [429]
    assert statuses(client, "/reports", 1, **sent_by("ada")) == [200]


@pytest.mark.parametrize("key", [b"\xff\xfe", b"", b"   ", KEYS["ada"].upper().encode()])
def test_no_odd_key_is_an_account(client, key):
    answer = client.get("/me/limits", headers={"X-API-Key": key})

    assert answer.status_code == 200
    assert answer.json()["account"] == "anonymous"


@pytest.mark.parametrize("path", ["/reports", "/me/limits"])
def test_the_account_is_looked_up_once_for_endpoint_key_and_tier(app, client, path):
    looked_up = []

    async def counted():
        looked_up.append(path)

    app.dependency_overrides[current_account] = counted

    assert client.get(path).status_code == 200
    assert looked_up == [path]


def test_two_windows_hold_together(client, throttle_clock):
    for _ in range(12):
        assert statuses(client, "/search", 6) == [200] * 5 + [429]
        throttle_clock.advance("1s")

    refused = client.get("/search")

    # What the second refused used nothing of the minute: 12 times 5 were admitted.
    assert_throttled(refused, policy="search-1m", retry_after=48)
    assert refused.headers["RateLimit"].startswith('"search-1s";r=5, "search-1m";r=0')


def test_search_finds(client):
    assert client.get("/search?q=am").json() == {"found": ["lamp"]}


def test_an_export_costs_its_pages(client):
    assert client.get("/export?pages=5").json() == {"pages": 5, "pages_left": 5}
    assert client.get("/export?pages=4").json() == {"pages": 4, "pages_left": 1}
    assert statuses(client, "/export?pages=2", 1) == [429]
    assert statuses(client, "/export?pages=1", 1) == [200]


@pytest.mark.parametrize("pages", ["0", "6", "many"])
def test_a_number_of_pages_that_is_refused_costs_nothing(client, throttle, pages):
    answer = client.get(f"/export?pages={pages}")

    assert answer.status_code == 422
    assert "RateLimit" not in answer.headers
    assert throttle.decisions == []
    assert throttle.remaining("export") == 10


def test_looking_uses_nothing(client):
    full = left(client, **sent_by("grace"))
    client.get("/limited")
    client.get("/reports", **sent_by("grace"))
    statuses(client, "/me/limits", 30, **sent_by("grace"))

    assert full == {
        "10-per-30s": 10,
        "items": 20,
        "search-1s": 5,
        "search-1m": 60,
        "export": 10,
        "reports": 15,
    }
    assert left(client, **sent_by("grace")) == {**full, "10-per-30s": 9, "reports": 14}
    assert left(client, **sent_by("ada"))["reports"] == 3


def test_looking_shows_an_exhausted_tier(client, throttle):
    throttle.exhaust("reports", key="user:ada")

    assert left(client, **sent_by("ada"))["reports"] == 0


def test_health_is_not_limited(client, throttle):
    answers = [client.get("/healthz") for _ in range(100)]

    assert {answer.status_code for answer in answers} == {200}
    assert throttle.decisions == []
    assert not any("RateLimit" in answer.headers for answer in answers)


@pytest.mark.parametrize("kind", ["down", "timeout", "slow"])
def test_while_the_store_fails_this_process_counts(client, throttle, throttle_clock, kind):
    with throttle.fail_store(kind):
        assert statuses(client, "/limited", 11) == [200] * 10 + [429]
        assert {decision.failure_mode for decision in throttle.decisions} == {"local"}

    throttle_clock.advance("1m")
    assert client.get("/limited").status_code == 200
    assert not throttle.decisions[-1].degraded


def test_health_names_the_kind_of_store_and_no_secret():
    settings = ThrottleSettings(backend="redis://user:hidden@store.example/0")
    client = TestClient(create_app(settings=settings))

    assert client.get("/healthz").json() == {"status": "ok", "backend": "redis"}


@pytest.mark.parametrize("path", ["/", "/limited", "/reports", "/nowhere"])
def test_every_answer_names_its_worker(client, path):
    assert client.get(path).headers["X-Worker"].isdecimal()


def test_the_page_is_served_and_needs_nothing_from_elsewhere(client):
    answer = client.get("/")

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.text == PAGE
    assert re.findall(r'(?:src|href)="(?!data:)', PAGE) == []


def test_the_page_offers_routes_that_answer(client, throttle_off):
    expected = {path: 404 if path == "/items/9" else 200 for path in OFFERED}

    assert {path: client.get(path).status_code for path in OFFERED} == expected


def test_the_page_offers_every_route(app):
    offered = [path.partition("?")[0] for path in OFFERED]
    paths = app.openapi()["paths"]

    for template in paths:
        pattern = re.sub(r"{\w+}", r"\\w+", template)
        assert any(re.fullmatch(pattern, path) for path in offered), template


@pytest.mark.parametrize("name", ["ada", "grace"])
def test_the_keys_on_the_page_are_those_of_the_accounts(client, name):
    assert client.get("/me/limits", **sent_by(name)).json()["account"] == name
