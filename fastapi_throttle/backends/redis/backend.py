"""Decides in one script call inside Redis."""

from collections.abc import Callable, Sequence

from redis.asyncio import Redis

from fastapi_throttle.backends.protocol import Finding
from fastapi_throttle.backends.redis import script
from fastapi_throttle.backends.redis.batch import Check
from fastapi_throttle.backends.redis.connections import Connections, connector
from fastapi_throttle.backends.redis.findings import findings_of
from fastapi_throttle.backends.redis.lane import MOST_CALLS, Lane
from fastapi_throttle.backends.redis.per_loop import PerLoop
from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.model import Decision, Hit


class RedisBackend:
    """Counts in Redis (or Valkey), in one atomic step for all who share it.

    Args:
        url_or_client: ``redis://``, ``rediss://`` or ``unix://``; or a `redis.asyncio.Redis`
            client, which serves as the address: it is neither used nor closed.
        budget: Seconds one call may take in all: waiting for a connection, connecting, asking.
        max_connections: Connections per event loop and process.
        clock: Microseconds since the Unix epoch; None for the clock of the Redis server, the
            only one that all workers share. Another is for tests.

    Attributes:
        budget: As given.

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
        self.budget = budget
        connect = connector(url_or_client, budget=budget)
        self._lanes = PerLoop(
            lambda: Lane(
                Connections(connect),
                budget=budget,
                most_calls=min(MOST_CALLS, max_connections),
                clock=clock,
            )
        )

    async def hit(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.hit`."""
        lane = await self._lanes.get()
        return await lane.decide(Check(hits, script.rule(hits, peek=False)))

    async def peek(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.peek`."""
        lane = await self._lanes.get()
        return await lane.decide(Check(hits, script.rule(hits, peek=True)))

    async def reset(self, hits: Sequence[Hit]) -> None:
        """See `Backend.reset`."""
        lane = await self._lanes.get()
        await lane.delete(tuple(key for hit in hits for key in hit.keys))

    async def findings(self) -> list[Finding]:
        """Look at the settings of the server; see `Backend`."""
        return await findings_of(await self._lanes.get())

    async def aclose(self) -> None:
        """See `Backend.aclose`: closes the connections of the running event loop."""
        await self._lanes.aclose()
