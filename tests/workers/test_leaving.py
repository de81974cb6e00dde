"""Clients that leave a real worker early leave nothing behind in it."""

import asyncio
import contextlib
import time
from urllib.parse import urlsplit

import httpx
import pytest
from tcp_proxy import Proxy
from uvicorn_workers import running

SECONDS = 30
UPGRADE = {
    "connection": "upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
JSON = {"content-type": "application/json", "content-length": "9"}
# "hello", masked with zeros as clients must.
MESSAGE = b"\x81\x85\0\0\0\0hello"
SERVERS = pytest.mark.parametrize("server", [{}, {"x-server": "cancels"}])


class Worker:
    """A worker, and the proxy between it and its Redis."""

    def __init__(self, url, proxy):
        self.url = url
        self.proxy = proxy
        self.at_rest = None
        self.http = httpx.AsyncClient(base_url=url, timeout=SECONDS)

    async def get(self, path):
        return (await self.http.get(path)).raise_for_status().json()

    async def until(self, is_enough, path="/traces"):
        """Ask *path* until its answer is enough."""
        deadline = time.monotonic() + SECONDS
        while not is_enough(answer := await self.get(path)):
            assert time.monotonic() < deadline, answer
            await asyncio.sleep(0.02)

    async def until_at_rest(self):
        """Return once it is as it was before anybody came."""
        self.at_rest = self.at_rest or await self.get("/traces")
        await self.until(lambda traces: traces == self.at_rest)

    async def until_redis_decides(self):
        await self.until(lambda is_degraded: not is_degraded, "/check")

    @contextlib.asynccontextmanager
    async def visitor(self, start, headers, then=b""):
        """Send a request, without waiting for an answer; leave at the end."""
        address = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        lines = [f"{start} HTTP/1.1", "host: test", *map(": ".join, headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        try:
            if "upgrade" in headers:
                await reader.readuntil(b"\r\n\r\n")
            writer.write(then)
            yield
        finally:
            writer.transport.abort()


@pytest.fixture(scope="module")
async def shared_worker(redis_server):
    async with Proxy(redis_server.port) as proxy:
        proxy.concerned = b"EVALSHA"
        server = running("traces_app", f"redis://127.0.0.1:{proxy.port}", 0)
        # The proxy serves meanwhile.
        [url] = await asyncio.to_thread(server.__enter__)
        worker = Worker(url, proxy)
        async with worker.http:
            await worker.until_at_rest()
            yield worker
        await asyncio.to_thread(server.__exit__, None, None, None)


@pytest.fixture
async def worker(shared_worker):
    """A worker that has a connection and decides by it."""
    await shared_worker.until_redis_decides()
    yield shared_worker
    shared_worker.proxy.replies = "pass"


async def leave(worker, start, headers, then=b"", *, at, opens=False):
    """Let two leave once they are so far; nothing must be left of them."""
    await worker.until_at_rest()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(worker.visitor(start, headers, then))
        await worker.until(lambda traces: traces.items() >= {"ledgers": 2, **at}.items())
    if opens:
        await worker.get("/open")

    await worker.until_at_rest()
    worker.proxy.replies = "pass"
    await worker.until_redis_decides()


@SERVERS
async def test_before_the_limit_is_decided(worker, server):
    await leave(worker, "GET /before", server, at={"at the gate": 2}, opens=True)


@SERVERS
async def test_while_the_limit_is_decided(worker, server):
    worker.proxy.replies = "lost"

    await leave(worker, "GET /check", server, at={"busy connections": 2})


@SERVERS
async def test_in_the_middle_of_a_body(worker, server):
    await leave(worker, "POST /body", {**JSON, **server}, b"{", at={"calls": 0})


@SERVERS
async def test_while_the_limit_is_decided_before_the_body(worker, server):
    worker.proxy.replies = "lost"

    await leave(worker, "POST /body", {**JSON, **server}, b"{", at={"busy connections": 2})


@SERVERS
async def test_during_a_stream(worker, server):
    await leave(worker, "GET /stream", server, at={"at the gate": 2})


@SERVERS
async def test_a_socket_between_messages(worker, server):
    await leave(worker, "GET /socket", {**UPGRADE, **server}, at={"calls": 0})


@SERVERS
async def test_a_socket_while_a_message_is_counted(worker, server):
    worker.proxy.replies = "lost"

    headers = {**UPGRADE, **server}
    await leave(worker, "GET /socket", headers, MESSAGE, at={"busy connections": 2})


async def test_the_first_byte_of_a_stream_arrives_before_the_second_is_made(worker):
    async with worker.http.stream("GET", "/stream") as response:
        chunks = response.aiter_text()
        assert await anext(chunks) == "first"
        assert response.headers["ratelimit-policy"] == '"limit";q=100000;w=3600'
        await worker.get("/open")
        assert await anext(chunks) == "second"
