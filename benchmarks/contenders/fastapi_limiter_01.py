"""fastapi-limiter 0.1: a script of its own, counting in fixed windows."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi_limiter import FastAPILimiter
from fastapi_limiter.depends import RateLimiter
from redis.asyncio import Redis

from benchmarks.contenders.contender import CONNECTIONS, Check, Contender, Rule, answer


class FastAPILimiter01(Contender):
    """Its dependency, or what it awaits once it has made the key."""

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """See `Contender.on_redis`."""
        await FastAPILimiter.init(Redis.from_url(url, max_connections=CONNECTIONS))
        ask = RateLimiter(times=rule.limit, seconds=rule.window)._check  # noqa: SLF001

        async def check(key: str) -> bool:
            return await ask(f"{FastAPILimiter.prefix}:{key}:0:0") == 0

        return check

    def app(self, url: str, rules: Mapping[str, Rule]) -> FastAPI:
        """See `Contender.app`."""

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            await FastAPILimiter.init(Redis.from_url(url, max_connections=CONNECTIONS))
            yield

        app = FastAPI(lifespan=lifespan)
        app.get("/free")(answer)
        for name, rule in rules.items():
            limit = RateLimiter(times=rule.limit, seconds=rule.window)
            app.get(f"/{name}", dependencies=[Depends(limit)])(answer)
        return app


CONTENDERS = {"fixed": FastAPILimiter01()}
