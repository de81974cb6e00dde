"""What counts together: objects, routes, names, mounts; on every FastAPI that differs here."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection
from starlette.testclient import WebSocketDenialResponse

from fastapi_throttle import (
    ConfigurationError,
    Decision,
    RateLimit,
    Throttle,
    ThrottleError,
    everyone,
)
from fastapi_throttle.dependency.buckets import Buckets

pytestmark = pytest.mark.matrix


def statuses(app, *requests):
    client = TestClient(app)
    return [
        client.request(*request.split(" ")).status_code
        if " " in request
        else client.get(request).status_code
        for request in requests
    ]


def new_app(**options):
    app = FastAPI(**options)
    Throttle(app)
    return app


def add(router, path, limit=None, methods=("GET",)):
    dependencies = [Depends(limit)] if limit else []
    router.add_api_route(path, lambda: {}, methods=list(methods), dependencies=dependencies)


def test_one_object_on_a_route_counts_that_route():
    app = new_app()
    add(app, "/a", RateLimit(2, "1m"))
    add(app, "/b", RateLimit(2, "1m"))

    assert statuses(app, "/a", "/a", "/a", "/b", "/b", "/b") == [200, 200, 429, 200, 200, 429]


def test_one_object_on_two_routes_is_one_bucket():
    app, limit = new_app(), RateLimit(2, "1m")
    add(app, "/a", limit)
    add(app, "/b", limit)

    assert statuses(app, "/a", "/b", "/a", "/b") == [200, 200, 429, 429]


def test_one_object_on_a_router_is_one_bucket_for_the_router():
    app, router = new_app(), APIRouter(dependencies=[Depends(RateLimit(2, "1m"))])
    add(router, "/a")
    add(router, "/b")
    add(app, "/free")
    app.include_router(router)

    assert statuses(app, "/a", "/b", "/a", "/free") == [200, 200, 429, 200]


def test_one_object_on_an_app_is_one_bucket_for_the_app():
    app = new_app(dependencies=[Depends(RateLimit(3, "1m"))])
    router = APIRouter()
    add(app, "/a")
    add(router, "/b")
    app.include_router(router, prefix="/in")

    assert statuses(app, "/a", "/in/b", "/a", "/in/b") == [200, 200, 200, 429]


def test_a_router_included_twice_shares_a_shared_limit():
    app, router = new_app(), APIRouter()
    add(router, "/list", RateLimit(2, "1m"))
    app.include_router(router, prefix="/users")
    app.include_router(router, prefix="/admin")

    assert statuses(app, "/users/list", "/admin/list", "/users/list") == [200, 200, 429]


def test_a_router_included_twice_counts_each_prefix_with_scope_route():
    app, router = new_app(), APIRouter()
    add(router, "/list", RateLimit(1, "1m", scope="route"))
    app.include_router(router, prefix="/users")
    app.include_router(router, prefix="/admin")

    assert statuses(app, "/users/list", "/admin/list", "/users/list", "/admin/list") == [
        200, 200, 429, 429,
    ]  # fmt: skip


def test_nested_routers_count_each_full_template():
    app, outer, inner = new_app(), APIRouter(prefix="/outer"), APIRouter(prefix="/inner")
    add(inner, "/x", RateLimit(1, "1m", scope="route"))
    outer.include_router(inner, prefix="/one")
    outer.include_router(inner, prefix="/two")
    app.include_router(outer, prefix="/v1")

    assert statuses(app, "/v1/outer/one/inner/x", "/v1/outer/two/inner/x") == [200, 200]
    assert statuses(app, "/v1/outer/one/inner/x", "/v1/outer/two/inner/x") == [429, 429]


def test_path_parameters_do_not_make_buckets():
    app = new_app()
    add(app, "/users/{id}", RateLimit(2, "1m", scope="route"))

    assert statuses(app, "/users/1", "/users/2", "/users/3", "/users/%34") == [200, 200, 429, 429]


def test_methods_are_routes_of_their_own_with_scope_route():
    app, limit = new_app(), RateLimit(1, "1m", scope="route")
    add(app, "/x", limit, ["GET"])
    add(app, "/x", limit, ["POST"])
    add(app, "/both", limit, ["PUT", "DELETE"])

    assert statuses(app, "GET /x", "POST /x", "GET /x", "POST /x") == [200, 200, 429, 429]
    assert statuses(app, "PUT /both", "DELETE /both") == [200, 429]


def test_mounted_apps_with_the_same_inner_path_are_apart():
    app, limit = new_app(), RateLimit(1, "1m", scope="route")
    for place in ("/one", "/two"):
        mounted = FastAPI()
        add(mounted, "/x", limit)
        app.mount(place, mounted)

    assert statuses(app, "/one/x", "/two/x", "/one/x", "/two/x") == [200, 200, 429, 429]


def test_middleware_around_a_mounted_app_changes_nothing():
    app, mounted = new_app(), FastAPI()
    add(mounted, "/x", RateLimit(1, "1m"))
    app.mount("/sub", GZipMiddleware(mounted))

    assert statuses(app, "/sub/x", "/sub/x") == [200, 429]


def test_something_mounted_may_refer_to_its_own_app():
    app = new_app()
    add(app, "/x", RateLimit(1, "1m"))
    app.mount("/sub", GZipMiddleware(app))

    assert statuses(app, "/x", "/x") == [200, 429]


def test_unnamed_limits_of_mounted_apps_with_the_same_inner_path_are_apart():
    app = new_app()
    for place in ("/one", "/two"):
        mounted = FastAPI()
        add(mounted, "/x", RateLimit(1, "1m"))
        app.mount(place, mounted)

    assert statuses(app, "/one/x", "/two/x", "/one/x", "/two/x") == [200, 200, 429, 429]


def test_one_app_mounted_twice_counts_each_mount_with_scope_route():
    app, mounted = new_app(), FastAPI()
    add(mounted, "/x", RateLimit(1, "1m", scope="route"))
    app.mount("/one", mounted)
    app.mount("/two", mounted)

    assert statuses(app, "/one/x", "/two/x", "/one/x", "/two/x") == [200, 200, 429, 429]


def test_parameters_of_a_mount_do_not_make_buckets():
    app, mounted = new_app(), FastAPI()
    add(mounted, "/x", RateLimit(1, "1m", scope="route", key=everyone()))
    app.mount("/tenants/{tenant}", mounted)
    app.mount("/other", mounted)

    assert statuses(app, "/tenants/a/x", "/tenants/b/x", "/other/x") == [200, 429, 200]


def test_an_app_mounted_by_an_included_router_is_told_apart():
    app, mounted, limit = new_app(), FastAPI(), RateLimit(1, "1m", scope="route")
    add(mounted, "/x", limit)
    router = APIRouter()
    router.mount("/sub", mounted)
    add(router, "/x", limit)
    app.include_router(router)
    app.mount("/sub2", mounted)

    assert statuses(app, "/x", "/sub2/x", "/sub2/x", "/x") == [200, 200, 429, 429]


def wrapped(app):
    async def opaque(scope, receive, send):
        await app(scope, receive, send)

    return opaque


@pytest.mark.parametrize("limit", [{}, {"scope": "route"}, {"scope": "route", "name": "x"}])
def test_mounted_apps_that_no_walk_finds_are_apart_too(limit):
    app = new_app()
    for place in ("/one", "/two"):
        mounted = FastAPI()
        add(mounted, "/x", RateLimit(1, "1m", **limit))
        app.mount(place, wrapped(mounted))

    assert statuses(app, "/one/x", "/two/x", "/one/x", "/two/x") == [200, 200, 429, 429]


def test_one_name_with_two_dependencies_of_one_kind_fails_at_start_up():
    app = new_app()
    add(app, "/a", RateLimit(lambda request: "1/m", name="plan"))
    add(app, "/b", RateLimit(lambda request: "9/m", name="plan"))

    with pytest.raises(ConfigurationError, match="must stand for one rule"), TestClient(app):
        pass


def test_one_rule_may_be_written_in_two_ways():
    app = new_app()
    add(app, "/a", RateLimit("2/minute", name="api"))
    add(app, "/b", RateLimit(2, "60s", name="api"))

    assert statuses(app, "/a", "/b", "/a") == [200, 200, 429]


def test_a_limit_per_route_has_no_bucket_before_there_is_a_route():
    app, limit, seen = new_app(), RateLimit(1, "1m", scope="route", name="x"), []

    class Early:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] == "http":
                with pytest.raises(ThrottleError, match="before the request has a route"):
                    await limit.hit(HTTPConnection(scope))
                seen.append(scope["path"])
            await self.app(scope, receive, send)

    app.add_middleware(Early)
    add(app, "/x", limit)

    assert statuses(app, "/x", "/x") == [200, 429]
    assert seen == ["/x", "/x"]


def test_a_throttle_of_a_mounted_app_counts_for_itself():
    parent, mounted, limit = new_app(), new_app(), RateLimit(1, "1m")
    add(parent, "/x", limit)
    add(mounted, "/x", limit)
    parent.mount("/sub", mounted)

    assert statuses(parent, "/x", "/sub/x", "/x", "/sub/x") == [200, 200, 429, 429]


def test_equal_unnamed_rules_on_one_route_are_two_buckets():
    app = new_app()

    @app.get("/x", dependencies=[Depends(RateLimit(2, "1m")), Depends(RateLimit(2, "1m"))])
    def x(): ...

    response = TestClient(app).get("/x")

    assert response.headers["ratelimit"] == '"2-per-1m";r=1;t=60, "2-per-1m-2";r=1;t=60'


def test_objects_of_one_name_are_one_bucket_and_count_a_request_once():
    app = new_app(dependencies=[Depends(RateLimit(2, "1m", name="api"))])
    add(app, "/a", RateLimit(2, "1m", name="api"))
    add(app, "/b")

    assert statuses(app, "/a", "/b", "/a") == [200, 200, 429]


def test_an_object_reached_by_several_ways_counts_a_request_once():
    limit = RateLimit(2, "1m")
    app = new_app(dependencies=[Depends(limit)])

    def nested(decision: Annotated[Decision, Depends(limit)]) -> int:
        return decision.remaining

    @app.get("/x", dependencies=[Depends(limit)])
    def x(
        one: Annotated[Decision, Depends(limit)],
        two: Annotated[Decision, Depends(limit, use_cache=False)],
        three: Annotated[int, Depends(nested)],
    ):
        return [one.remaining, two.remaining, three]

    client = TestClient(app)

    assert client.get("/x").json() == [1, 1, 1]
    assert client.get("/x").json() == [0, 0, 0]
    assert client.get("/x").status_code == 429


def test_equal_objects_are_different_limits():
    one, two = RateLimit(1, "1m"), RateLimit(1, "1m")

    assert one != two
    assert len({one, two}) == 2


def test_one_name_with_two_rules_fails_at_start_up():
    app = new_app()
    add(app, "/a", RateLimit(2, "1m", name="api"))
    add(app, "/b", RateLimit(3, "1m", name="api"))

    with (
        pytest.raises(ConfigurationError, match="the name 'api' must stand for one rule"),
        TestClient(app),
    ):
        pass


def test_a_route_declared_after_the_first_request_is_limited():
    app = new_app()
    add(app, "/a", RateLimit(1, "1m"))
    assert statuses(app, "/a", "/a") == [200, 429]

    add(app, "/late", RateLimit(1, "1m"))
    add(app, "/later", RateLimit(1, "1m", scope="route"))

    assert statuses(app, "/late", "/later", "/late", "/later") == [200, 200, 429, 429]


def test_an_override_that_is_a_limit_is_a_bucket_of_its_own():
    app, limit = new_app(), RateLimit(1, "1m")
    add(app, "/x", limit)
    app.dependency_overrides[limit] = RateLimit(3, "1m")

    assert statuses(app, *["/x"] * 4) == [200, 200, 200, 429]

    app.dependency_overrides.clear()
    assert statuses(app, "/x", "/x") == [200, 429]


def test_limits_inside_of_overrides_are_buckets_of_their_own():
    app = new_app()

    def user(): ...

    one, two = RateLimit(1, "1m"), RateLimit(1, "1m")
    app.add_api_route("/x", lambda: {}, dependencies=[Depends(user)])
    add(app, "/y", RateLimit(1, "1m"))

    def stand_in(a: Annotated[Decision, Depends(one)], b: Annotated[Decision, Depends(two)]): ...

    app.dependency_overrides[user] = stand_in

    assert TestClient(app).get("/x").headers["ratelimit"].count("r=0") == 2
    assert statuses(app, "/x", "/y") == [429, 200]


def test_overriding_a_limit_switches_it_off():
    app, limit = new_app(), RateLimit(1, "1m")
    add(app, "/x", limit)
    app.dependency_overrides[limit] = lambda: None

    assert statuses(app, "/x", "/x", "/x") == [200, 200, 200]


def test_an_app_wide_limit_counts_websocket_handshakes_too():
    app = new_app(dependencies=[Depends(RateLimit(2, "1m"))])
    add(app, "/x")

    @app.websocket("/ws")
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    client = TestClient(app)
    with client.websocket_connect("/ws") as socket:
        assert socket.receive_text() == "hello"

    assert statuses(app, "/x", "/x") == [200, 429]


def test_websocket_routes_of_an_included_router_count_each_prefix_with_scope_route():
    app, router, limit = new_app(), APIRouter(), RateLimit(1, "1m", scope="route")

    @router.websocket("/ws", dependencies=[Depends(limit)])
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.close()

    app.include_router(router, prefix="/one")
    app.include_router(router, prefix="/two")
    client = TestClient(app)

    for path in ("/one/ws", "/two/ws"):
        with client.websocket_connect(path):
            pass
    for path in ("/one/ws", "/two/ws"):
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(path):
            pass
        assert refused.value.status_code == 429
        assert refused.value.headers["retry-after"] == "60"


def test_an_unnamed_limit_of_an_included_websocket_route_is_named_after_it():
    app, router, limit = new_app(), APIRouter(), RateLimit(1, "1m")

    @router.websocket("/ws", dependencies=[Depends(limit)])
    async def ws(socket: WebSocket): ...

    app.include_router(router, prefix="/one")

    bucket = Buckets(app).of(limit, {"type": "websocket"})

    assert bucket == ("route", "WEBSOCKET /one/ws", limit.rule, "1")


def test_a_limit_without_a_throttle_still_holds():
    app = FastAPI()
    add(app, "/x", RateLimit(1, "1m"))

    client = TestClient(app)

    assert client.get("/x").status_code == 200
    refused = client.get("/x")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "60"
    assert refused.headers["ratelimit"] == '"1-per-1m";r=0;t=60'


def test_limits_without_a_throttle_warn_once_per_app(caplog):
    app = FastAPI()
    add(app, "/x", RateLimit(5, "1m"))

    statuses(app, "/x", "/x", "/x")

    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "No Throttle is installed"
    ]
    assert "before_body has no effect" in caplog.text
