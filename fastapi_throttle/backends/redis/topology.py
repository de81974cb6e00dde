"""Which node of a Cluster holds which slot, as far as one event loop knows."""

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import AskError

from fastapi_throttle.backends.redis.addresses import Nodes
from fastapi_throttle.backends.redis.connections import Connections
from fastapi_throttle.backends.redis.login import Host
from fastapi_throttle.backends.redis.lookup import Lookup
from fastapi_throttle.backends.redis.node import Node, NodeLane

# While something is wrong: seconds from one question about the slots to the next.
PAUSE_SECONDS = 0.2
# How long one node may take for it before another is asked as well.
NEXT_NODE_SECONDS = 0.05

Owners = list[Host | None]


class Topology:
    """The nodes of a Cluster, and who holds what.

    Any node tells; it is asked at first use, when a slot turns out to have moved, and again and
    again while a node that holds slots does not answer, for a replica will take its place.

    Args:
        address: Where the Cluster is.
        make_lane: Makes the lane of a node from connections to it.
        patience: Seconds to wait for nodes to tell.

    Attributes:
        masters: Who held slots when that was asked for last.
    """

    def __init__(
        self, address: Nodes, make_lane: Callable[[Connections], NodeLane], *, patience: float
    ) -> None:
        self.masters: list[Host] = []
        self._address = address
        self._make_lane = make_lane
        self._patience = patience
        self._nodes: dict[Host, Node] = {}
        self._doubted: set[Host] = set()
        self._lookup = Lookup(self._ask_nodes)

    def node(self, host: Host) -> Node:
        """Return the node at *host*."""
        node = self._nodes.get(host)
        if node is None:
            node = self._nodes[host] = Node(self._address.login.at(host), self._make_lane)
        return node

    def owner(self, slot: int) -> Host | None:
        """Return who holds *slot*, as far as it is known."""
        owners = self._lookup.answer
        if owners is None:
            return None
        host = owners[slot]
        if host is None or host in self._doubted:
            self._look_again()
        return host

    async def found(self, slot: int) -> Host:
        """Find out who holds *slot*.

        Raises:
            Exception: No node answered.
        """
        if self._lookup.answer is None:
            await self._lookup.renewed()
        # If nobody does, any node says so, in words that operators know.
        return self.owner(slot) or next(self._candidates())

    def named(self, error: AskError, teller: Host) -> Host:
        """Return the node that *error*, told by *teller*, names."""
        return self._reachable(error.host, int(error.port), teller)

    def moved(self, slot: int, error: AskError, teller: Host) -> Host:
        """Take note that *slot* has moved, and return where to."""
        host = self.named(error, teller)
        if self._lookup.answer is not None:
            self._lookup.answer[slot] = host
        # It will not be the only one.
        self._look_again()
        return host

    def doubt(self, host: Host) -> None:
        """Take note that the node at *host* did not answer."""
        self._doubted.add(host)
        self._look_again()

    def trust(self, host: Host) -> None:
        """Take note that the node at *host* answered."""
        self._doubted.discard(host)

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        await self._lookup.aclose()
        for node in list(self._nodes.values()):
            await node.aclose()

    def _look_again(self) -> None:
        if self._lookup.age >= PAUSE_SECONDS:
            self._lookup.renew()

    def _candidates(self) -> Iterator[Host]:
        """Return whom to ask, the most promising first, each once."""
        random.shuffle(self.masters)
        every = dict.fromkeys((*self.masters, *self._address.hosts))
        yield from sorted(every, key=self._doubted.__contains__)

    async def _ask_nodes(self) -> Owners:
        """Return what the first node tells that answers."""
        async with asyncio.timeout(self._patience):
            owners = await _first(map(self._told_by, self._candidates()))
        self.masters = [host for host in set(owners) if host]
        known = {*self.masters, *self._address.hosts}
        self._doubted &= known
        for host in self._nodes.keys() - known:
            if self._nodes[host].is_idle:
                await self._nodes.pop(host).aclose()
        return owners

    async def _told_by(self, teller: Host) -> Owners:
        told: list[Any] = await self.node(teller).connections.ask("CLUSTER", "SLOTS")
        owners: Owners = [None] * REDIS_CLUSTER_HASH_SLOTS
        for low, high, (name, port, *_), *_ in told:
            host = self._reachable((name or b"").decode(), port, teller)
            owners[low : high + 1] = [host] * (high + 1 - low)
        if not told:
            message = "A node knows nobody who holds slots"
            raise ConnectionError(message)
        return owners

    def _reachable(self, name: str, port: int, teller: Host) -> Host:
        """Return where to reach a node; one without a name is where its teller is."""
        host = Host(name if name not in {"", "?"} else teller.name, port)
        remap = self._address.remap
        return Host(*remap(host)) if remap else host


async def _first(calls: Iterator[Any]) -> Owners:
    """Return what the first of *calls* that succeeds returns; another starts when one is slow."""
    waiting: set[asyncio.Future[Owners]] = set()
    error: BaseException | None = None
    try:
        while True:
            call = next(calls, None)
            if call is not None:
                waiting.add(asyncio.ensure_future(call))
            elif not waiting:
                raise error or TimeoutError
            done, waiting = await asyncio.wait(
                waiting,
                timeout=None if call is None else NEXT_NODE_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                error = task.exception()
                if error is None:
                    return task.result()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
