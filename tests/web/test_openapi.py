"""Limits in the OpenAPI document."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyHeader
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from fastapi_throttle import (
    UNLIMITED,
    RateLimit,
    RateLimitExceeded,
    Throttle,
    ThrottleSettings,
    all_of,
    api_key,
    everyone,
    tiers,
)

pytestmark = pytest.mark.matrix

API = RateLimit("10/second; 1000/hour", name="api")


def new_app(**settings):
    app = FastAPI(dependencies=[Depends(API)])
    Throttle(app, settings=ThrottleSettings(**settings))
    return app


def operation(app, path="/x", method="get"):
    return app.openapi()["paths"][path][method]


def limits_of(app, path="/x", method="get"):
    return operation(app, path, method).get("x-ratelimit")


API_SHOWN = {
    "name": "api",
    "quotas": [{"limit": 10, "window": 1.0}, {"limit": 1000, "window": 3600.0}],
    "dynamic": False,
}


def test_an_app_wide_limit_shows_on_every_operation():
    app, router = new_app(), APIRouter()
    app.add_api_route("/x", lambda: {})
    router.add_api_route("/{item:path}", lambda: {}, methods=["GET"])
    router.add_api_route("/{item:path}", lambda: {}, methods=["PUT"])
    app.include_router(router, prefix="/items")

    assert limits_of(app) == [API_SHOWN]
    assert limits_of(app, "/items/{item}") == limits_of(app, "/items/{item}", "put") == [API_SHOWN]


def test_the_429_is_documented_with_its_fields_and_schema():
    app = new_app()
    app.add_api_route("/x", lambda: {})

    refused = operation(app)["responses"]["429"]

    assert set(refused["headers"]) == {"Retry-After", "RateLimit-Policy", "RateLimit"}
    schema = refused["content"]["application/problem+json"]["schema"]
    assert "violated-policies" in schema["properties"]


DRAFT = ["RateLimit-Policy", "RateLimit"]
LEGACY = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]


@pytest.mark.parametrize(
    ("dialect", "names"),
    [("draft", DRAFT), ("legacy", LEGACY), ("both", DRAFT + LEGACY), ("none", [])],
)
@pytest.mark.parametrize("problem_details", [True, False])
def test_the_document_says_what_is_sent(dialect, names, problem_details):
    app = FastAPI()
    Throttle(app, settings=ThrottleSettings(fields=dialect, problem_details=problem_details))
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(RateLimit(1, "1m"))])
    client = TestClient(app)
    client.get("/x")

    sent, documented = client.get("/x"), operation(app)["responses"]["429"]

    assert list(documented["headers"]) == ["Retry-After", *names]
    assert {name.lower() for name in documented["headers"]} == {
        name for name in sent.headers if "ratelimit" in name or name == "retry-after"
    }
    [(media_type, content)] = documented["content"].items()
    assert sent.headers["content-type"] == media_type
    assert set(content["schema"]["properties"]) == set(sent.json())


@pytest.mark.parametrize("error", [429, RateLimitExceeded, HTTPException])
def test_the_document_does_not_know_the_body_of_an_apps_own_handler(error):
    app = new_app()
    app.add_api_route("/x", lambda: {})
    app.add_exception_handler(error, lambda request, error: PlainTextResponse("no", 429))

    refused = operation(app)["responses"]["429"]

    assert "content" not in refused
    assert "Retry-After" in refused["headers"]


def test_a_limit_that_is_reached_twice_shows_once():
    app, again = new_app(), RateLimit("10/second; 1000/hour", name="api")
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(API), Depends(again)])

    assert limits_of(app) == [API_SHOWN]


def test_a_429_that_the_user_declared_stays():
    app = new_app()
    app.add_api_route("/x", lambda: {}, responses={429: {"description": "Mine"}})

    assert operation(app)["responses"]["429"]["description"] == "Mine"


def test_an_operation_without_a_limit_shows_none():
    app = FastAPI()
    Throttle(app)
    app.add_api_route("/x", lambda: {})

    assert "x-ratelimit" not in operation(app)
    assert "429" not in operation(app)["responses"]


def test_dynamic_limits_say_so():
    by_plan = tiers({"free": "2/minute", "staff": UNLIMITED}, by=lambda: "free", default="free")
    app = FastAPI()
    Throttle(app)
    app.add_api_route("/tiers", lambda: {}, dependencies=[Depends(RateLimit(by_plan))])
    rate = RateLimit(lambda request: "5/minute", name="mine")
    app.add_api_route("/mine", lambda: {}, dependencies=[Depends(rate)])

    assert limits_of(app, "/tiers") == [
        {"name": "2-per-1m", "quotas": [{"limit": 2, "window": 60.0}], "dynamic": True}
    ]
    assert limits_of(app, "/mine") == [{"name": "mine", "quotas": [], "dynamic": True}]


def test_limits_that_are_decided_together_show_each():
    app = FastAPI()
    Throttle(app)
    together = all_of(RateLimit(1, "1m", name="a"), RateLimit(2, "1m", name="b", key=everyone()))
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(together)])

    assert [limit["name"] for limit in limits_of(app)] == ["a", "b"]


def test_no_parameters_appear_that_nobody_declared():
    app = FastAPI()
    Throttle(app)

    def pages(pages: Annotated[int, Query()] = 1):
        return pages

    limit = RateLimit(10, "1m", cost=pages, key=api_key(APIKeyHeader(name="X-API-Key"), verify=str))
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(limit), Depends(RateLimit(1, "1m"))])

    assert [parameter["name"] for parameter in operation(app)["parameters"]] == ["pages"]


@pytest.mark.parametrize("is_served", [False, True])
def test_a_late_route_and_a_replaced_document_show_limits(is_served):
    app = new_app()
    app.add_api_route("/early", lambda: {})
    original = app.openapi

    def custom():
        document = original()
        document["info"]["title"] = "Mine"
        return document

    app.openapi = custom
    if is_served:
        with TestClient(app) as client:
            document = client.get("/openapi.json").json()
    else:
        document = app.openapi()

    assert document["info"]["title"] == "Mine"
    assert document["paths"]["/early"]["get"]["x-ratelimit"] == [API_SHOWN]


def test_a_mounted_apps_own_document_shows_its_limits():
    app, mounted = new_app(), FastAPI()
    mounted.add_api_route("/y", lambda: {}, dependencies=[Depends(RateLimit(3, "1m", name="sub"))])
    app.mount("/sub", mounted)

    document = TestClient(app).get("/sub/openapi.json").json()

    assert document["paths"]["/y"]["get"]["x-ratelimit"][0]["name"] == "sub"


def test_the_document_is_stable():
    app = new_app()
    app.add_api_route("/x", lambda: {})

    assert app.openapi() == app.openapi()
    with TestClient(app) as client:
        assert client.get("/openapi.json").json() == client.get("/openapi.json").json()


def app_of_every_kind_of_use():
    app, router, mounted = new_app(), APIRouter(), FastAPI()
    by_plan = tiers({"free": "2/minute", "staff": UNLIMITED}, by=lambda: "free", default="free")
    key = api_key(APIKeyHeader(name="X-API-Key"), verify=str)
    kinds = [
        RateLimit(5, "1m", key=key),
        RateLimit(by_plan, name="plan"),
        RateLimit(lambda request: "5/minute", name="mine", cost=lambda request: 2),
        RateLimit(5, "1m", scope="route", before_body=True),
        all_of(RateLimit(1, "1m", name="a"), RateLimit(2, "1m", name="b", key=everyone())),
    ]
    for index, limit in enumerate(kinds):
        router.add_api_route(f"/{index}/{{item}}", lambda item: {}, dependencies=[Depends(limit)])
        mounted.add_api_route(f"/{index}", lambda: {}, dependencies=[Depends(limit)])
    app.include_router(router, prefix="/v1")
    app.mount("/sub", mounted)
    return app


DOCUMENTS = ("/openapi.json", "/sub/openapi.json")


def schemas_in(document):
    """Yield what the document says under the key schema, wherever that is."""
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        if key == "schema":
            yield value
        if isinstance(value, dict | list):
            yield from schemas_in(value)


@pytest.mark.parametrize("path", DOCUMENTS)
def test_the_document_of_every_kind_of_use_is_valid(path):
    document = TestClient(app_of_every_kind_of_use()).get(path).json()

    validate(document)
    # The validator looks at the shape of the document alone.
    for schema in schemas_in(document):
        Draft202012Validator.check_schema(schema)
    operations = [each["get"] for each in document["paths"].values()]
    assert len(operations) == 5
    assert all(operation["x-ratelimit"] for operation in operations)
    assert all("429" in operation["responses"] for operation in operations)


@pytest.mark.parametrize("path", DOCUMENTS)
def test_the_document_of_every_kind_of_use_is_stable(path):
    client, later = (TestClient(app_of_every_kind_of_use()) for _ in range(2))
    document = client.get(path).content
    later.get("/v1/0/x")

    assert client.get(path).content == later.get(path).content == document


@pytest.mark.parametrize("settings", [{}, {"fields": "both"}, {"problem_details": False}])
def test_refusals_are_as_the_document_says(settings):
    app = FastAPI()
    Throttle(app, settings=ThrottleSettings(**settings))
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(RateLimit(1, "1m"))])
    client = TestClient(app)
    client.get("/x")

    sent, documented = client.get("/x"), operation(app)["responses"]["429"]

    [content] = documented["content"].values()
    Draft202012Validator(content["schema"]).validate(sent.json())
    for name, header in documented["headers"].items():
        text = sent.headers[name]
        value = int(text) if header["schema"]["type"] == "integer" else text
        Draft202012Validator(header["schema"]).validate(value)


def test_the_document_can_be_left_alone():
    app = new_app(openapi=False)
    app.add_api_route("/x", lambda: {})

    with TestClient(app) as client:
        document = client.get("/openapi.json").json()

    assert "x-ratelimit" not in document["paths"]["/x"]["get"]
