"""Decides in one script call inside Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from fastapi_throttle.backends.redis import script
from fastapi_throttle.backends.redis.connections import PerLoop, pool_factory
from fastapi_throttle.errors import BackendError, ConfigurationError
from fastapi_throttle.model import Decision, Hit, decisions_of

T = TypeVar("T")


class RedisBackend:
    """Counts in Redis (or Valkey), in one atomic step for all who share it.

    Args:
        url_or_client: ``redis://``, ``rediss://`` or ``unix://``; or a `redis.asyncio.Redis`
            client, which serves as the address: it is neither used nor closed.
        budget: Seconds one call may take in all: waiting for a connection, connecting, asking.
        max_connections: Connections per event loop and process.
        clock: Microseconds since the Unix epoch; None for the clock of the Redis server, the
            only one that all workers share. Another is for tests.

    Raises:
        ConfigurationError: The address is unusable or a number is out of range.
    """

    def __init__(
        self,
        url_or_client: "str | Redis",
        *,
        budget: float = 0.25,
        max_connections: int = 50,
        clock: Callable[[], int] | None = None,
    ) -> None:
        for name, value in (("budget", budget), ("max_connections", max_connections)):
            if not value > 0:  # also what is not a number
                message = f"{name} must be greater than 0, got {value}"
                raise ConfigurationError(message)
        make_pool = pool_factory(url_or_client, budget=budget, max_connections=max_connections)
        self._per_loop = PerLoop(make_pool)
        self._budget = budget
        self._clock = clock

    async def hit(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.hit`."""
        return await self._within_budget(self._decide(hits, peek=False))

    async def peek(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.peek`."""
        return await self._within_budget(self._decide(hits, peek=True))

    async def reset(self, hits: Sequence[Hit]) -> None:
        """See `Backend.reset`."""
        await self._within_budget(self._delete(chain.from_iterable(hit.keys for hit in hits)))

    async def aclose(self) -> None:
        """See `Backend.aclose`: closes the connections of the running event loop."""
        await self._per_loop.aclose()

    async def _decide(self, hits: Sequence[Hit], *, peek: bool) -> tuple[Decision, ...]:
        now = self._clock() if self._clock else None
        keys = [key for hit in hits for key in hit.keys]
        rest = (len(keys), *keys, *script.arguments(hits, peek=peek, now=now))
        async with self._per_loop.client() as client:
            # redis-py leaves its commands untyped.
            execute: Any = client.execute_command
            try:
                reply = await execute("EVALSHA", script.SHA, *rest)
            except NoScriptError:
                # Answered before anything ran, so this is still the first execution.
                reply = await execute("EVAL", script.TEXT, *rest)
        return decisions_of(hits, script.verdicts(reply))

    async def _delete(self, keys: Iterable[str]) -> None:
        async with self._per_loop.client() as client:
            await client.delete(*keys)

    async def _within_budget(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._budget):
                return await call
        except Exception as error:
            # Whatever the client library raises, the store did not answer. The text of the
            # error stays in the cause: it may quote an address.
            message = f"Redis did not answer within {self._budget} s: {type(error).__name__}"
            raise BackendError(message) from error
