"""The outermost ASGI layer of an app: it writes the fields on whatever response leaves."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_throttle.decision import Decision
from fastapi_throttle.web.fields import RawHeaders, retry_after_field
from fastapi_throttle.web.gate import Decide, Gate
from fastapi_throttle.web.ledger import RequestLedger, open_ledger
from fastapi_throttle.web.refusal import (
    RateLimitExceeded,
    RateLimitUnavailable,
    longest,
    status_of,
)

_RESPONSE_STARTS = ("http.response.start", "websocket.http.response.start")
_REFUSING = (RateLimitExceeded.status_code, RateLimitUnavailable.status_code)
_RETRY_AFTER = b"retry-after"


class ThrottleLayer:
    """Pure ASGI, around everything else: also unhandled errors leave with their fields.

    Args:
        app: What is wrapped.
        runtime: The wiring of the `Throttle`, for the dependencies of each request.
        on_startup: Awaited before the app's lifespan begins; what it raises ends the start.
        on_shutdown: Awaited after the app's lifespan ended.
        decide_before_body: Asked before a body is read.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        runtime: Any,
        on_startup: Callable[[], Awaitable[None]],
        on_shutdown: Callable[[], Awaitable[None]],
        decide_before_body: Decide,
    ) -> None:
        self.app = app
        self._runtime = runtime
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown
        self._decide_before_body = decide_before_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return

        ledger = open_ledger(scope, self._runtime, is_written=True)
        if scope["type"] == "http":
            receive = Gate(scope, receive, self._decide_before_body)
        await self.app(scope, receive, partial(_send_with_fields, ledger, send))

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = [await receive()]

        async def receive_again() -> Message:
            return received.pop() if received else await receive()

        try:
            try:
                await self._on_startup()
            except Exception as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                raise
            await self.app(scope, receive_again, send)
        finally:
            await self._on_shutdown()


def _send_with_fields(ledger: RequestLedger, send: Send, message: Message) -> Awaitable[None]:
    if ledger.entries and message["type"] in _RESPONSE_STARTS:
        _write_fields(message, ledger)
    return send(message)


def _write_fields(message: Message, ledger: RequestLedger) -> None:
    headers = ledger.runtime.fields.written(message.get("headers", ()), ledger.decisions)
    if message["status"] in _REFUSING:
        _tell_when(headers, ledger.refusals, message["status"])
    message["headers"] = headers


def _tell_when(headers: RawHeaders, refusals: Sequence[Decision], status: int) -> None:
    """Add the wait to a response that speaks of refusals; a handler may have left it out."""
    if any(name.lower() == _RETRY_AFTER for name, _ in headers):
        return
    spoken_of = [refusal for refusal in refusals if status_of(refusal) == status]
    retry_after = retry_after_field(longest(spoken_of)) if spoken_of else None
    if retry_after is not None:
        headers.append((_RETRY_AFTER, retry_after.encode()))
