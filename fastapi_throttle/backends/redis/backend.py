"""Decides in one script call inside Redis."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial

from redis.asyncio import Redis, RedisCluster

from fastapi_throttle.backends.protocol import Finding
from fastapi_throttle.backends.redis import script
from fastapi_throttle.backends.redis.addresses import Nodes, Service, address_of
from fastapi_throttle.backends.redis.batch import Check
from fastapi_throttle.backends.redis.cluster import Cluster
from fastapi_throttle.backends.redis.connections import Connections
from fastapi_throttle.backends.redis.findings import findings_of
from fastapi_throttle.backends.redis.lane import MOST_CALLS, Lane
from fastapi_throttle.backends.redis.node import NodeLane
from fastapi_throttle.backends.redis.per_loop import PerLoop
from fastapi_throttle.backends.redis.sentinel import MasterConnections, MasterLane
from fastapi_throttle.backends.redis.topology import Topology
from fastapi_throttle.decision import Decision
from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.model import Hit


class RedisBackend:
    """Counts in Redis (or Valkey), in one atomic step for all who share it.

    Args:
        url_or_client: ``redis://``, ``rediss://``, ``unix://``, ``redis+sentinel://h:p,h:p/service``
            or ``redis+cluster://h:p,h:p``; or a client of redis.asyncio, which serves as the
            address: it is neither used nor closed.
        budget: Seconds one call may take in all: waiting for a connection, connecting, asking.
        max_connections: Connections per event loop and process.
        clock: Microseconds since the Unix epoch; None for the clock of the Redis server, the
            only one that all workers share. Another is for tests.

    Attributes:
        budget: As given.
        part_of: With Sentinel and Cluster: names what server decides hits; see `Backend`.

    Raises:
        ConfigurationError: The address is unusable or a number is out of range.
    """

    def __init__(
        self,
        url_or_client: "str | Redis | RedisCluster",
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
        address = address_of(url_or_client, budget=budget)
        lane_to = partial(
            Lane, budget=budget, most_calls=min(MOST_CALLS, max_connections), clock=clock
        )

        def open_() -> Lane | Cluster:
            if isinstance(address, Nodes):
                lane_to_node = partial(NodeLane, **lane_to.keywords)
                return Cluster(Topology(address, lane_to_node, patience=budget), budget=budget)
            if isinstance(address, Service):
                # Half of the budget is left for the master.
                connections = MasterConnections(address, patience=budget / 2)
                return MasterLane(connections, **lane_to.keywords)
            return lane_to(Connections(address.login.connect))

        self._lanes: PerLoop[Lane | Cluster] = PerLoop(open_)
        self.part_of = self._nodes_of if isinstance(address, Nodes | Service) else None

    def _nodes_of(self, hits: Sequence[Hit]) -> Hashable:
        way = self._lanes.known()
        return way.nodes_of(hits) if isinstance(way, Cluster | MasterLane) else None

    async def hit(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.hit`."""
        lane = self._lanes.known() or await self._lanes.get()
        return await lane.decide(Check(hits, script.rule(hits, peek=False)))

    async def peek(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.peek`."""
        lane = self._lanes.known() or await self._lanes.get()
        return await lane.decide(Check(hits, script.rule(hits, peek=True)))

    async def reset(self, hits: Sequence[Hit]) -> None:
        """See `Backend.reset`."""
        lane = await self._lanes.get()
        await lane.delete(tuple(key for hit in hits for key in hit.keys))

    async def findings(self) -> list[Finding]:
        """Look at the settings of the server, or of all nodes that decide; see `Backend`."""
        way = await self._lanes.get()
        return await findings_of(await way.lanes() if isinstance(way, Cluster) else [way])

    async def aclose(self) -> None:
        """See `Backend.aclose`: closes the connections of the running event loop."""
        await self._lanes.aclose()
