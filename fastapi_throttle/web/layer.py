"""The outermost ASGI layer of an app: it writes the fields on whatever response leaves."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_throttle.web.fields import retry_after_field
from fastapi_throttle.web.gate import Decide, Gate
from fastapi_throttle.web.ledger import RequestLedger, open_ledger
from fastapi_throttle.web.refusal import longest

_RESPONSE_STARTS = ("http.response.start", "websocket.http.response.start")
_REFUSED = (429, 503)


class ThrottleLayer:
    """Pure ASGI, around everything else: also unhandled errors leave with their fields.

    Args:
        app: What is wrapped.
        runtime: The wiring of the `Throttle`, for the dependencies of each request.
        on_shutdown: Awaited after the app's lifespan ended.
        decide_before_body: Asked before a body is read.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        runtime: Any,
        on_shutdown: Callable[[], Awaitable[None]],
        decide_before_body: Decide,
    ) -> None:
        self.app = app
        self._runtime = runtime
        self._on_shutdown = on_shutdown
        self._decide_before_body = decide_before_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            try:
                await self.app(scope, receive, send)
            finally:
                await self._on_shutdown()
            return

        ledger = open_ledger(scope, self._runtime)
        if scope["type"] == "http":
            receive = Gate(scope, receive, self._decide_before_body)

        async def send_with_fields(message: Message) -> None:
            if message["type"] in _RESPONSE_STARTS and ledger.decisions:
                _write_fields(message, ledger)
            await send(message)

        await self.app(scope, receive, send_with_fields)


def _write_fields(message: Message, ledger: RequestLedger) -> None:
    headers = MutableHeaders(raw=list(message.get("headers", ())))
    decisions = list(ledger.decisions.values())
    ledger.runtime.fields.write(headers, decisions)
    if message["status"] in _REFUSED:
        refusals = [decision for decision in decisions if not decision.allowed]
        retry_after = retry_after_field(longest(refusals)) if refusals else None
        if retry_after is not None:
            # A handler of the application may have rebuilt the response without it.
            headers.setdefault("Retry-After", retry_after)
    message["headers"] = headers.raw
