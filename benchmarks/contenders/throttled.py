"""throttled-py, its asynchronous half."""

from collections.abc import Mapping
from datetime import timedelta

from fastapi import FastAPI, Request
from throttled.asyncio import MemoryStore, RedisStore, Throttled
from throttled.asyncio.contrib.fastapi import (
    Limiter,
    RateLimitExceededError,
    RateLimitMiddleware,
    get_remote_address,
    rate_limit_exceeded_handler,
)
from throttled.asyncio.rate_limiter import Quota, per_duration

from benchmarks.contenders.contender import CONNECTIONS, Check, Contender, Rule, answer

# As many as fastapi_throttle keeps; by default it is 1,024, fewer than the scenes have keys.
PLACES = 100_000


class ThrottledPy(Contender):
    """One algorithm."""

    def __init__(self, using: str) -> None:
        self._using = using

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """See `Contender.on_redis`."""
        return self._check(Throttled(using=self._using, quota=_quota(rule), store=_store(url)))

    async def in_memory(self, rule: Rule) -> Check:
        """See `Contender.in_memory`."""
        store = MemoryStore(options={"MAX_SIZE": PLACES})
        return self._check(Throttled(using=self._using, quota=_quota(rule), store=store))

    def app(self, url: str, rules: Mapping[str, Rule]) -> FastAPI:
        """See `Contender.app`."""
        app = FastAPI()
        app.add_exception_handler(RateLimitExceededError, rate_limit_exceeded_handler)
        app.add_middleware(RateLimitMiddleware)
        app.get("/free")(answer)
        for name, rule in rules.items():
            limiter = Limiter(
                _quota(rule), store=_store(url), using=self._using, key_func=get_remote_address
            )
            app.get(f"/{name}")(limiter.limit()(_answer))
        return app

    def _check(self, throttled: Throttled) -> Check:
        async def check(key: str) -> bool:
            return not (await throttled.limit(key)).limited

        return check


async def _answer(request: Request) -> dict[str, str]:
    return await answer()


def _quota(rule: Rule) -> Quota:
    return per_duration(timedelta(seconds=rule.window), rule.limit)


def _store(url: str) -> RedisStore:
    options = {"CONNECTION_POOL_KWARGS": {"max_connections": CONNECTIONS}}
    return RedisStore(server=url, options=options)


CONTENDERS = {"gcra": ThrottledPy("gcra"), "fixed": ThrottledPy("fixed_window")}
