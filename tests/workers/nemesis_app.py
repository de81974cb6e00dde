"""An app with a limit of each failure mode, whose responses tell how long its limits took."""

import asyncio
import contextlib
import os
import time

from fastapi import Depends, FastAPI, Request
from lag import Lag

from fastapi_throttle import Decision, RateLimit, Throttle

LIMIT = 20
WINDOW_SECONDS = 2
BUDGET = 0.25
LAG = Lag()


@contextlib.asynccontextmanager
async def lifespan(_app):
    lagging = asyncio.ensure_future(LAG.measure())
    yield
    lagging.cancel()


app = FastAPI(lifespan=lifespan)
Throttle(app)


def who(request: Request) -> str:
    return request.headers["x-who"]


def endpoint_of(mode):
    limit = RateLimit(LIMIT, WINDOW_SECONDS, key=who, name=mode, failure_mode=mode)

    async def endpoint(_decision: Decision = Depends(limit)):  # noqa: B008 - no app is typed here
        return {}

    return endpoint


for mode in ("local", "closed", "open"):
    app.add_api_route(f"/{mode}", endpoint_of(mode))


class Measured:
    """Adds how long a response took, and how long the event loop did not run, to its header."""

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        began, lag = time.monotonic(), LAG.seconds

        async def send_measured(message):
            if message["type"] == "http.response.start":
                seconds = time.monotonic() - began
                if seconds > BUDGET:
                    await asyncio.sleep(0.01)  # the lag of the last moment is known only afterwards
                told = {"pid": os.getpid(), "seconds": seconds, "lag": LAG.seconds - lag}
                told["lag-so-far"] = LAG.seconds
                message["headers"] += [
                    (f"x-{name}".encode(), str(value).encode()) for name, value in told.items()
                ]
            await send(message)

        await self._app(scope, receive, send_measured)


app.add_middleware(Measured)
