"""The app: ``uvicorn demo_app.main:app``."""

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo_app.routes import router
from fastapi_throttle import Throttle, ThrottleSettings

PAGE = Path(__file__).parent / "static" / "page.html"


class WorkerField:
    """Names the process on every response: two workers that share one count can be told apart."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

        async def send_with_field(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Worker"] = str(os.getpid())
            await send(message)

        await self.app(scope, receive, send_with_field)


def create_app(*, settings: ThrottleSettings | None = None) -> FastAPI:
    """Make the demo; where it counts is up to the environment."""
    app = FastAPI(title="fastapi_throttle demo")
    app.state.throttle = Throttle(app, settings=settings)
    app.add_middleware(WorkerField)
    app.include_router(router)
    app.add_api_route("/", get_page, include_in_schema=False)
    return app


async def get_page() -> FileResponse:
    """Serve the page that sends requests and shows what comes back."""
    return FileResponse(PAGE, headers={"Cache-Control": "no-cache"})


app = create_app()
