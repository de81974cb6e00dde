"""Routes that clients leave early, in a process that tells what is left of their requests."""

import asyncio
import gc
from collections import Counter

from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from redis.asyncio.connection import AbstractConnection

from fastapi_throttle import RateLimit, Throttle, ThrottleSettings, everyone
from fastapi_throttle.backends.redis.lane import Lane
from fastapi_throttle.web import RequestLedger

routes = FastAPI()
Throttle(routes, settings=ThrottleSettings(budget_ms=1000))
limit = RateLimit(100_000, "1h", name="limit", key=everyone())
early = RateLimit(100_000, "1h", name="early", key=everyone(), before_body=True)
opened = asyncio.Event()
waiting = []


@routes.get("/open")
async def open_gate():
    opened.set()


async def wait_at_gate():
    opened.clear()
    waiting.append(None)
    try:
        await opened.wait()
    finally:
        waiting.pop()


@routes.get("/before", dependencies=[Depends(wait_at_gate), Depends(limit)])
async def before(): ...


@routes.get("/check", dependencies=[Depends(limit)])
async def check(request: Request):
    return (await limit.peek(request)).degraded


@routes.post("/body", dependencies=[Depends(early)])
async def body(body: dict): ...


@routes.get("/stream", dependencies=[Depends(limit)])
async def stream():
    async def chunks():
        yield "first"
        await wait_at_gate()
        yield "second"

    return StreamingResponse(chunks())


@routes.websocket("/socket")
async def socket(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await limit.hit(socket)
        await socket.send_text(text)


def name_of(coroutine):
    # What ends a generator that nobody reads any more has none.
    return getattr(coroutine, "__qualname__", type(coroutine).__name__)


@routes.get("/traces")
async def traces():
    """Return what there is besides this very request."""
    gc.collect()
    things = gc.get_objects()
    ledgers = [thing for thing in things if type(thing) is RequestLedger]
    connections = [thing for thing in things if isinstance(thing, AbstractConnection)]
    lanes = [thing for thing in things if type(thing) is Lane]
    idle = [each for lane in lanes for each in lane._connections._idle]
    return {
        "tasks": Counter(name_of(task.get_coro()) for task in asyncio.all_tasks()),
        "at the gate": len(waiting),
        "ledgers": len(ledgers) - 1,
        "busy connections": sum(each.is_connected for each in connections if each not in idle),
        "calls": sum(lane._under_way + len(lane._calls) for lane in lanes),
        "checks": sum(len(lane._waiting) + len(lane._riding) for lane in lanes),
    }


async def app(scope, receive, send):
    """Serve; where the caller asks for that, cancel what it leaves, as some servers do."""
    if (b"x-server", b"cancels") not in scope.get("headers", ()):
        await routes(scope, receive, send)
        return
    messages = asyncio.Queue()

    async def watch():
        message = None
        while message is None or message["type"] not in ("http.disconnect", "websocket.disconnect"):
            message = await receive()
            messages.put_nowait(message)

    tasks = [
        asyncio.ensure_future(routes(scope, messages.get, send)),
        asyncio.ensure_future(watch()),
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
