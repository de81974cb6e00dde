"""fastapi-limiter 0.1: a script of its own, counting in fixed windows."""

from fastapi_limiter import FastAPILimiter
from fastapi_limiter.depends import RateLimiter
from redis.asyncio import Redis

from benchmarks.contenders.contender import CONNECTIONS, Check, Contender, Rule


class FastAPILimiter01(Contender):
    """Its dependency without the request around it."""

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """See `Contender.on_redis`."""
        await FastAPILimiter.init(Redis.from_url(url, max_connections=CONNECTIONS))
        ask = RateLimiter(times=rule.limit, seconds=rule.window)._check  # noqa: SLF001

        async def check(key: str) -> bool:
            # What the dependency awaits once it has made the key.
            return await ask(f"{FastAPILimiter.prefix}:{key}:0:0") == 0

        return check


CONTENDERS = {"fixed": FastAPILimiter01()}
