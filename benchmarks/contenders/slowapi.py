"""slowapi: decorators around limits' synchronous half, which blocks the event loop."""

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address

from benchmarks.contenders.contender import CONNECTIONS, Check, Contender, Rule, answer

# It writes a line for every refusal, which the others do not.
logging.getLogger("slowapi").setLevel(logging.ERROR)


class SlowAPI(Contender):
    """Its decorator, asked with a request that is made by hand."""

    def __init__(self, *, has_headers: bool) -> None:
        self._has_headers = has_headers

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """See `Contender.on_redis`."""
        return self._check(url, rule)

    async def in_memory(self, rule: Rule) -> Check:
        """See `Contender.in_memory`."""
        return self._check("memory://", rule)

    def app(self, url: str, rules: Mapping[str, Rule]) -> FastAPI:
        """See `Contender.app`."""
        limiter = Limiter(
            get_remote_address,
            storage_uri=url,
            storage_options={"max_connections": CONNECTIONS},
            headers_enabled=self._has_headers,
            key_style="url",
        )
        app = FastAPI()
        app.state.limiter = limiter
        app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
        app.get("/free")(answer)
        for name, rule in rules.items():
            # Limits are known by the name of what they decorate.
            named = _named(name)
            app.get(f"/{name}")(limiter.limit(_text(rule))(named))
        return app

    def _check(self, url: str, rule: Rule) -> Check:
        options = {} if url.startswith("memory") else {"max_connections": CONNECTIONS}
        limiter = Limiter(
            lambda request: request.scope["who"], storage_uri=url, storage_options=options
        )

        @limiter.limit(_text(rule))
        async def admit(request: Request) -> Response:
            return _ADMITTED

        async def check(key: str) -> bool:
            request = Request(
                {"type": "http", "method": "GET", "path": "/", "headers": [], "who": key}
            )
            try:
                await admit(request=request)
            except RateLimitExceeded:
                return False
            return True

        return check


_ADMITTED = Response()


def _named(name: str) -> object:
    async def respond(request: Request, response: Response) -> dict[str, str]:
        return await answer()

    respond.__name__ = name
    return respond


def _text(rule: Rule) -> str:
    return f"{rule.limit} per {rule.window} second"


CONTENDERS = {
    "fixed": SlowAPI(has_headers=False),
    "fixed, with headers": SlowAPI(has_headers=True),
}
