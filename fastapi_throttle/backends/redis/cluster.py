"""The way of one event loop to a Cluster: every check goes to the node that holds its keys."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from redis.exceptions import AskError, MovedError, TryAgainError

from fastapi_throttle.backends.redis import script
from fastapi_throttle.backends.redis.apart import Moment, Part, hit_apart, parts_of, peek_apart
from fastapi_throttle.backends.redis.batch import Check, Decisions
from fastapi_throttle.backends.redis.faults import outage
from fastapi_throttle.backends.redis.login import Host
from fastapi_throttle.backends.redis.node import NodeLane, slot_of
from fastapi_throttle.backends.redis.topology import Topology
from fastapi_throttle.errors import BackendError
from fastapi_throttle.model import Hit

T = TypeVar("T")
# What can be asked of any node.
Question = Callable[[NodeLane], Awaitable[T]]

# A slot on its way is answered for by two nodes; more in a row means that they disagree.
MOST_REDIRECTIONS = 10
# While some keys of a check are here and some there, no node decides. Doubled each time.
TRY_AGAIN_SECONDS = 0.005


class Cluster:
    """Asks a Cluster on behalf of one event loop.

    Each node has lanes and connections of its own: one that does not answer keeps nobody from
    the others. What a node refuses because it does not hold the keys was not executed, and is
    asked of the node that it names.

    Args:
        topology: Who holds what.
        budget: Seconds a check may take in all.
    """

    def __init__(self, topology: Topology, *, budget: float) -> None:
        self._topology = topology
        self._budget = budget
        self._loop = asyncio.get_running_loop()

    async def decide(self, check: Check) -> Decisions:
        """See `Lane.decide`."""
        parts = parts_of(check.hits) if len(check.hits) > 1 else ()
        if len(parts) > 1:
            return await self._apart(check, parts)
        return await self._decided(slot_of(check.keys[0]), check)

    async def decide_part(self, part: Part, *, peek: bool) -> Decisions:
        """See `Slots.decide_part`."""
        return await self._decided(part.slot, Check(part.hits, script.rule(part.hits, peek=peek)))

    async def moment_of(self, part: Part) -> Moment:
        """See `Slots.moment_of`."""
        host = await self._found(part.slot, self._loop.time() + self._budget)
        return Moment(host, await self._topology.node(host).lane.now())

    async def give_back(self, part: Part, since: Moment) -> None:
        """See `Slots.give_back`: never of another node, whose clock differs."""
        await self._topology.node(since.host).lane.give_back(part.hits, since.us)

    async def delete(self, keys: tuple[str, ...]) -> None:
        """See `Lane.delete`."""
        by_slot: dict[int, list[str]] = {}
        for key in keys:
            by_slot.setdefault(slot_of(key), []).append(key)
        await asyncio.gather(*(self._deleted(slot, those) for slot, those in by_slot.items()))

    def nodes_of(self, hits: Sequence[Hit]) -> frozenset[Host | None]:
        """Return the nodes that decide *hits*, as far as they are known."""
        return frozenset([self._topology.owner(slot_of(hit.keys[0])) for hit in hits])

    async def lanes(self) -> list[NodeLane]:
        """Return the lanes to all nodes that hold slots.

        Raises:
            BackendError: No node answered within the budget.
        """
        await self._found(0, self._loop.time() + self._budget)
        return [self._topology.node(host).lane for host in self._topology.masters]

    async def aclose(self) -> None:
        """See `Lane.aclose`."""
        await self._topology.aclose()

    async def _apart(self, check: Check, parts: Sequence[Part]) -> Decisions:
        ask = peek_apart if script.is_peek(check.rule) else hit_apart
        try:
            async with asyncio.timeout(self._budget):
                return await ask(self, check.hits, parts)
        except TimeoutError as error:
            raise outage(error, self._budget) from error

    async def _decided(self, slot: int, check: Check) -> Decisions:
        return await self._routed(slot, lambda lane: lane.decide(Check(check.hits, check.rule)))

    async def _deleted(self, slot: int, keys: list[str]) -> None:
        await self._routed(slot, lambda lane: lane.delete(tuple(keys)))

    async def _routed(self, slot: int, ask: Question[T]) -> T:
        """Ask the node that holds *slot*."""
        deadline = self._loop.time() + self._budget
        host = self._topology.owner(slot) or await self._found(slot, deadline)
        try:
            return await self._asked(host, ask)
        except BackendError as error:
            if not _is_elsewhere(error):
                raise
            refusal = error
        try:
            async with asyncio.timeout_at(deadline):
                return await self._redirected(slot, ask, host, refusal, deadline)
        except TimeoutError as error:
            raise outage(error, self._budget) from error

    async def _found(self, slot: int, deadline: float) -> Host:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._topology.found(slot)
        except Exception as error:
            raise outage(error, self._budget) from error

    async def _redirected(
        self, slot: int, ask: Question[T], host: Host, refusal: BackendError, deadline: float
    ) -> T:
        """Go on after the node at *host* answered *refusal*, which says where to go."""
        pause = TRY_AGAIN_SECONDS
        for _ in range(MOST_REDIRECTIONS):
            reason, target, is_asking = refusal.__cause__, host, False
            if isinstance(reason, MovedError):
                target = host = self._topology.moved(slot, reason, host)
            elif isinstance(reason, AskError):
                target, is_asking = self._topology.named(reason, host), True
            elif self._loop.time() + pause > deadline:
                break
            else:
                await asyncio.sleep(pause)
                pause *= 2
            try:
                return await self._asked(target, ask, is_asking=is_asking)
            except BackendError as error:
                if not _is_elsewhere(error):
                    raise
                refusal = error
        raise refusal

    async def _asked(self, host: Host, ask: Question[T], *, is_asking: bool = False) -> T:
        node = self._topology.node(host)
        try:
            reply = await ask(node.asking if is_asking else node.lane)
        except BackendError as error:
            if error.fault == "infrastructure" and not _is_elsewhere(error):
                self._topology.doubt(host)
            raise
        except asyncio.CancelledError:
            # Whoever asks for several things at once may have no time left before a lane has.
            self._topology.doubt(host)
            raise
        self._topology.trust(host)
        return reply


def _is_elsewhere(error: BackendError) -> bool:
    """Tell whether a node refused what another one can answer, or all can in a moment."""
    return isinstance(error.__cause__, AskError | TryAgainError)
