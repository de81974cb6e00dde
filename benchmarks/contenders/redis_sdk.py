"""fastapi-redis-sdk: fixed windows, by INCREX where the server has it, else by a script."""

import os
from collections.abc import Mapping

from fastapi import Depends, FastAPI
from redis.asyncio import Redis
from redis_fastapi import FastAPIRedis, rate_limit
from redis_fastapi.ratelimit_backend import RateLimitBackend

from benchmarks.contenders.contender import CONNECTIONS, Check, Contender, Rule, answer


class RedisSDK(Contender):
    """Its dependency, or the backend behind it."""

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """See `Contender.on_redis`."""
        backend = RateLimitBackend(Redis.from_url(url, max_connections=CONNECTIONS))

        async def check(key: str) -> bool:
            result = await backend.hit(key, limit=rule.limit, window=rule.window)
            if result.degraded:
                message = "the store did not answer"
                raise TimeoutError(message)
            return result.allowed

        return check

    def app(self, url: str, rules: Mapping[str, Rule]) -> FastAPI:
        """See `Contender.app`."""
        os.environ["REDIS_URL"] = url
        app = FastAPI()
        FastAPIRedis(app).lifespan().rate_limiting()
        app.get("/free")(answer)
        for name, rule in rules.items():
            limit = rate_limit(limit=rule.limit, window=rule.window)
            app.get(f"/{name}", dependencies=[Depends(limit)])(answer)
        return app


CONTENDERS = {"fixed": RedisSDK()}
