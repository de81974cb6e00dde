"""Apps are tested in many ways; limits are isolated in all of them."""

import pytest
from suites import APP, Suite

pytestmark = pytest.mark.matrix

SHOP = (
    APP
    + """
from fastapi import WebSocket
from starlette.testclient import WebSocketDenialResponse

messages = RateLimit(2, "1m", name="messages")


@app.websocket("/chat")
async def chat(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        decision = await messages.hit(socket)
        await socket.send_text(text if decision.allowed else f"wait {decision.retry_after:.0f}")


@app.websocket("/limited")
async def limited(socket: WebSocket, _=Depends(messages)):
    await socket.accept()
    await socket.close()


inner = FastAPI(dependencies=[Depends(RateLimit("3/minute", name="inner"))])
inner.add_api_route("/", lambda: 1)
app.mount("/inner", inner)

alone = FastAPI(dependencies=[Depends(RateLimit("3/minute", name="alone"))])
alone.add_api_route("/", lambda: 1)
Throttle(alone)
app.mount("/alone", alone)
"""
)


START = """
import pytest
from shop import *

TWICE = pytest.mark.parametrize("time", [1, 2])
"""


def test_the_test_client_with_a_lifespan(suite: Suite):
    tests = """
@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client

@TWICE
def test_lifespan(client, time, throttle):
    assert [client.get("/search").status_code for _ in range(6)] == [200] * 5 + [429]
    throttle.reset()
    assert client.get("/search").status_code == 200
"""
    suite(START + tests, app=SHOP).assert_outcomes(passed=2)


def test_a_client_that_lives_as_long_as_its_module(suite: Suite):
    tests = """
@pytest.fixture(scope="module")
def client():
    with TestClient(app) as client:
        yield client

@TWICE
def test_lifespan(client, time, throttle_clock):
    assert [client.get("/search").status_code for _ in range(6)] == [200] * 5 + [429]
    throttle_clock.advance("1m")
    assert client.get("/search").status_code == 200
"""
    suite(START + tests, app=SHOP).assert_outcomes(passed=2)


ASYNC = """
import httpx

@pytest.fixture
async def client():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client

@TWICE
async def test_async(client, time, throttle, throttle_clock):
    assert [(await client.get("/search")).status_code for _ in range(6)] == [200] * 5 + [429]
    throttle_clock.advance("1m")
    assert (await client.get("/search")).status_code == 200
    assert throttle.remaining("search", key="ip:127.0.0.1") == 4
    throttle.exhaust("search", key="ip:127.0.0.1")
    assert (await client.get("/search")).status_code == 429
    throttle.reset()
    assert (await client.get("/search")).status_code == 200

@pytest.mark.throttle(backend="fakeredis")
async def test_fakeredis(client, throttle):
    assert [(await client.get("/search")).status_code for _ in range(6)] == [200] * 5 + [429]
    throttle.reset()
    assert (await client.get("/search")).status_code == 200

async def test_redis(client, throttle, throttle_redis):
    assert [(await client.get("/search")).status_code for _ in range(6)] == [200] * 5 + [429]
    throttle.reset()
    assert (await client.get("/search")).status_code == 200
"""


def test_httpx_under_anyio(suite: Suite):
    result = suite(START + ASYNC, "-p", "anyio", app=SHOP, ini="anyio_mode = auto")

    result.assert_outcomes(passed=4)


@pytest.mark.parametrize("scope", ["function", "session"])
def test_httpx_under_pytest_asyncio(suite: Suite, scope: str):
    ini = f"asyncio_mode = auto\nasyncio_default_fixture_loop_scope = {scope}\n"
    ini += f"asyncio_default_test_loop_scope = {scope}"
    result = suite(START + ASYNC, "-p", "asyncio", app=SHOP, ini=ini, in_subprocess=True)

    result.assert_outcomes(passed=4)


def test_mounted_apps(suite: Suite):
    tests = """
@TWICE
@pytest.mark.parametrize("path", ["/inner/", "/alone/"])
def test_mounted(path, time, throttle):
    assert statuses(4, path) == [200] * 3 + [429]
    throttle.reset()
    throttle.exhaust(path.strip("/"))
    assert statuses(1, path) == [429]
    assert {*statuses(1), *statuses(1, "/inner/"), *statuses(1, "/alone/")} == {200, 429}
    throttle.allow(path.strip("/"))
    assert statuses(1, path) == [200]
"""
    suite(START + tests, app=SHOP).assert_outcomes(passed=4)


def test_websockets(suite: Suite):
    tests = """
@TWICE
def test_messages(time, throttle, throttle_clock):
    with client.websocket_connect("/chat") as socket:
        def answer():
            socket.send_text("hi")
            return socket.receive_text()

        assert [answer() for _ in range(3)] == ["hi", "hi", "wait 60"]
        throttle_clock.advance("1m")
        assert answer() == "hi"
        throttle.exhaust("messages")
        assert answer() == "wait 60"
        throttle.allow("messages")
        assert answer() == "hi"

@TWICE
def test_handshakes(time):
    for _ in range(2):
        with client.websocket_connect("/limited"):
            pass
    with pytest.raises(WebSocketDenialResponse) as refused:
        with client.websocket_connect("/limited"):
            pass
    assert refused.value.status_code == 429
"""
    suite(START + tests, app=SHOP).assert_outcomes(passed=4)


def test_classes(suite: Suite):
    tests = """
@pytest.mark.throttle(limits={"search": "2/minute"})
class TestSearch:
    @pytest.fixture(autouse=True)
    def prepare(self, throttle):
        self.throttle = throttle

    @TWICE
    def test_search(self, time):
        assert statuses(3) == [200, 200, 429]
        assert len(self.throttle.decisions) == 3

    @pytest.mark.throttle(enabled=False)
    def test_off(self):
        assert statuses(50) == [200] * 50

class TestAfterwards:
    def setup_method(self):
        assert statuses(1) == [200]

    @TWICE
    def test_search(self, time):
        assert statuses(5) == [200] * 4 + [429]
"""
    suite(START + tests, app=SHOP).assert_outcomes(passed=5)


def test_unittest_in_pytest(suite: Suite):
    tests = """
from unittest import TestCase

class TestSearch(TestCase):
    def setUp(self):
        assert statuses(1) == [200]

    def test_once(self):
        assert statuses(5) == [200] * 4 + [429]

    def test_twice(self):
        assert statuses(5) == [200] * 4 + [429]

    @pytest.mark.throttle(limits={"search": "2/minute"})
    def test_limits(self):
        assert statuses(2) == [200, 429]
"""
    suite(START + tests, app=SHOP).assert_outcomes(passed=3)


def test_tests_that_another_plugin_skips_first(suite: Suite, pytester: pytest.Pytester):
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_setup(item):
            if "later" in item.name:
                pytest.skip("not now")
        """
    )
    tests = """
def test_later():
    pass

@TWICE
def test_search(time):
    assert statuses(6) == [200] * 5 + [429]
"""
    suite(START + tests).assert_outcomes(passed=2, skipped=1)
