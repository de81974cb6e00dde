"""Limits that HTTP and WebSocket routes share; the header x-caller says who pays."""

from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket
from starlette.requests import HTTPConnection

from fastapi_throttle import RateLimit, Throttle


def caller(connection: HTTPConnection):
    return connection.headers.get("x-caller")


app = FastAPI(dependencies=[Depends(RateLimit(5, "1h", name="app", key=caller))])
Throttle(app)
messages = RateLimit(2, "1h", name="messages", key=caller)
Shared = Annotated[None, Depends(RateLimit(2, "2s", name="shared", key=caller))]


@app.get("/shared")
async def get(_: Shared): ...


@app.websocket("/shared")
async def shared(socket: WebSocket, _: Shared):
    await echo(socket)


@app.websocket("/free")
async def echo(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


@app.websocket("/messages")
async def counted(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        if not (await messages.hit(socket, caller(socket))).allowed:
            await socket.close(1013)
            return
        await socket.send_text(text)
