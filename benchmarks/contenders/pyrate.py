"""pyrate-limiter: a bucket per key, which its users make in a factory of their own."""

from collections.abc import Callable
from typing import Any

from pyrate_limiter import (
    AbstractBucket,
    BucketFactory,
    Duration,
    InMemoryBucket,
    Limiter,
    Rate,
    RateItem,
    RedisBucket,
    RedisStateStore,
    StateBucket,
    TokenBucket,
)
from pyrate_limiter.buckets.redis_bucket import LuaScript
from redis.asyncio import Redis

from benchmarks.contenders.contender import CONNECTIONS, Check, Contender, Rule


class PerKey(BucketFactory):
    """Makes the bucket of each key when it is first asked for."""

    def __init__(self, make: Callable[[str], AbstractBucket]) -> None:
        self._make = make
        self._buckets: dict[str, AbstractBucket] = {}

    def wrap_item(self, name: str, weight: int = 1) -> RateItem:
        """Stamp an item with the bucket's time."""
        return RateItem(name, self.get_by_name(name).now(), weight=weight)

    def get(self, item: RateItem) -> AbstractBucket:
        """Return the bucket of an item."""
        return self.get_by_name(item.name)

    def get_by_name(self, name: str) -> AbstractBucket:
        """Return the bucket of a key."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = self._make(name)
        return bucket


class PyrateLimiter(Contender):
    """With its log, or with the token bucket that it has for constant state."""

    def __init__(self, *, is_log: bool) -> None:
        self._is_log = is_log

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """See `Contender.on_redis`."""
        return _check(await self.limiter(url, rule))

    async def in_memory(self, rule: Rule) -> Check:
        """See `Contender.in_memory`."""
        rates = _rates(rule)

        def make(_: str) -> AbstractBucket:
            return InMemoryBucket(rates) if self._is_log else StateBucket(rates, TokenBucket())

        return _check(Limiter(PerKey(make)))

    async def limiter(self, url: str, rule: Rule) -> Limiter:
        """Return what asks Redis."""
        client: Any = Redis.from_url(url, max_connections=CONNECTIONS)
        rates = _rates(rule)
        if self._is_log:
            sha = await client.script_load(LuaScript.PUT_ITEM)
            return Limiter(PerKey(lambda name: RedisBucket(rates, client, f"bench:{name}", sha)))
        return Limiter(
            PerKey(
                lambda name: StateBucket(
                    rates, TokenBucket(), RedisStateStore(client, f"bench:{name}")
                )
            )
        )


def _rates(rule: Rule) -> list[Rate]:
    return [Rate(rule.limit, Duration.SECOND * rule.window)]


def _check(limiter: Limiter) -> Check:
    async def check(key: str) -> bool:
        return await limiter.try_acquire_async(key, blocking=False)

    return check


CONTENDERS = {"log": PyrateLimiter(is_log=True), "token bucket": PyrateLimiter(is_log=False)}
