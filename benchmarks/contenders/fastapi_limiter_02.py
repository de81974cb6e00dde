"""fastapi-limiter 0.2: a dependency around pyrate-limiter."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request, Response
from fastapi_limiter.depends import RateLimiter

from benchmarks.contenders.contender import CannotError, Check, Contender, Rule, answer
from benchmarks.contenders.pyrate import PyrateLimiter


class FastAPILimiter02(Contender):
    """With pyrate-limiter's log in Redis."""

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """See `Contender.on_redis`."""
        message = "leaves the check to pyrate-limiter"
        raise CannotError(message)

    async def in_memory(self, rule: Rule) -> Check:
        """See `Contender.in_memory`."""
        message = "leaves the check to pyrate-limiter"
        raise CannotError(message)

    def app(self, url: str, rules: Mapping[str, Rule]) -> FastAPI:
        """See `Contender.app`."""
        limits: dict[str, RateLimiter] = {}

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            for name, rule in rules.items():
                limits[name] = RateLimiter(await PyrateLimiter(is_log=True).limiter(url, rule))
            yield

        def limit(name: str) -> object:
            # Redis' client belongs to the loop, which runs once the routes are there.
            async def ask(request: Request, response: Response) -> None:
                await limits[name](request, response)

            return ask

        app = FastAPI(lifespan=lifespan)
        app.get("/free")(answer)
        for name in rules:
            app.get(f"/{name}", dependencies=[Depends(limit(name))])(answer)
        return app


CONTENDERS = {"log": FastAPILimiter02()}
