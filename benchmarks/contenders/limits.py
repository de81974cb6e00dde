"""limits, its asynchronous half, on redis-py."""

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

from benchmarks.contenders.contender import CONNECTIONS, Check, Contender, Rule


class Limits(Contender):
    """One strategy."""

    def __init__(self, strategy: type[RateLimiter]) -> None:
        self._strategy = strategy

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """See `Contender.on_redis`."""
        storage = RedisStorage(
            f"async+{url}", implementation="redispy", max_connections=CONNECTIONS
        )
        return self._check(storage, rule)

    async def in_memory(self, rule: Rule) -> Check:
        """See `Contender.in_memory`."""
        return self._check(MemoryStorage(), rule)

    def _check(self, storage: Storage, rule: Rule) -> Check:
        limiter = self._strategy(storage)
        item = RateLimitItemPerSecond(rule.limit, rule.window)

        async def check(key: str) -> bool:
            return await limiter.hit(item, key)

        return check


CONTENDERS = {
    "fixed": Limits(FixedWindowRateLimiter),
    "sliding": Limits(SlidingWindowCounterRateLimiter),
    "moving": Limits(MovingWindowRateLimiter),
}
