"""Connections to the master among servers that Sentinels watch: to the one that they name."""

import asyncio
import math
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from redis.exceptions import ResponseError

from fastapi_throttle.backends.redis.addresses import Service
from fastapi_throttle.backends.redis.connections import Connections
from fastapi_throttle.backends.redis.faults import is_demoted
from fastapi_throttle.backends.redis.lane import Lane
from fastapi_throttle.backends.redis.login import Host
from fastapi_throttle.backends.redis.lookup import Lookup
from fastapi_throttle.backends.redis.wire import Command
from fastapi_throttle.model import Hit

# A master that was replaced as planned takes writes for some ten seconds more, and they are lost.
# So the Sentinels are asked again behind the back of calls that come after the first of these
# times, and before a call that comes after the second.
RENEW_SECONDS = 1.0
STALE_SECONDS = 2.0
# The same before a call that follows one which the master did not answer.
DOUBTED_SECONDS = 0.2
# How long the last Sentinels may take when most of them have answered.
GRACE_SECONDS = 0.01


class MasterConnections(Connections):
    """The connections of one event loop to whoever is the master.

    Nothing runs by itself: the Sentinels are asked when there are calls.

    Args:
        service: Whose master.
        patience: Seconds to wait for the Sentinels.
    """

    def __init__(self, service: Service, *, patience: float) -> None:
        super().__init__(service.login.connect)
        self._service = service
        self._patience = patience
        self._sentinels = [Connections(login.connect) for login in service.sentinels]
        self._lookup = Lookup(self._ask_sentinels)
        self._host: Host | None = None
        self._is_doubted = False
        self._doubted_at = -math.inf

    @property
    def master(self) -> Host | None:
        """Who the master is, as far as is known; while it does not answer, others are asked."""
        if self._is_doubted and self._lookup.age > DOUBTED_SECONDS:
            self._lookup.renew()
        return self._lookup.answer

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """See `Connections.exchange`."""
        await self._follow()
        try:
            replies = await super().exchange(commands)
        except BaseException:
            self._doubt()
            raise
        if any(isinstance(reply, ResponseError) and is_demoted(reply) for reply in replies):
            self._doubt()
        elif self._is_doubted:
            self._is_doubted = False
        return replies

    async def aclose(self) -> None:
        """See `Connections.aclose`."""
        await self._lookup.aclose()
        for connections in self._sentinels:
            await connections.aclose()
        await super().aclose()

    def _doubt(self) -> None:
        self._is_doubted, self._doubted_at = True, asyncio.get_running_loop().time()
        self._lookup.renew()

    async def _follow(self) -> None:
        """Make sure that connections lead to the master as it was named lately."""
        lookup = self._lookup
        host = lookup.answer
        fresh = DOUBTED_SECONDS if self._is_doubted else STALE_SECONDS
        if host is None or lookup.age > fresh or lookup.asked_at < self._doubted_at:
            host = await lookup.renewed()
        elif lookup.age > RENEW_SECONDS:
            lookup.renew()
        if host != self._host:
            self._host = host
            self._connect = self._service.login.at(host).connect
            await self.start_over()

    async def _ask_sentinels(self) -> Host:
        """Return the master that the best informed of most Sentinels names."""
        asked = [asyncio.ensure_future(self._ask(sentinel)) for sentinel in self._sentinels]
        try:
            await self._most(asked)
        finally:
            for task in asked:
                task.cancel()
            told = await asyncio.gather(*asked, return_exceptions=True)
        answers = [answer for answer in told if not isinstance(answer, BaseException)]
        if not answers:
            raise next((error for error in told if isinstance(error, Exception)), TimeoutError())
        return max(answers, key=itemgetter(0))[1]

    async def _ask(self, sentinel: Connections) -> tuple[int, Host]:
        """Return whom *sentinel* takes for the master, and since which configuration."""
        name, remap = self._service.name, self._service.remap
        # The state alone would name the old master until all replicas follow the new one.
        address, state = await sentinel.exchange(
            [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name), ("SENTINEL", "MASTER", name)]
        )
        for reply in (address, state):
            if isinstance(reply, ResponseError):
                raise reply
        epoch = int(dict(zip(state[::2], state[1::2], strict=True))[b"config-epoch"])
        host = address[0].decode(), int(address[1])
        return epoch, Host(*(remap(host) if remap else host))

    async def _most(self, asked: "Sequence[asyncio.Future[Any]]") -> None:
        """Wait until most of *asked* have answered, and a moment for the others."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience
        waiting, answered = set(asked), 0
        while waiting and answered <= len(asked) // 2 and loop.time() < end:
            done, waiting = await asyncio.wait(
                waiting, timeout=end - loop.time(), return_when=asyncio.FIRST_COMPLETED
            )
            answered += sum(task.exception() is None for task in done)
        if waiting:
            await asyncio.wait(waiting, timeout=min(GRACE_SECONDS, max(end - loop.time(), 0)))


class MasterLane(Lane):
    """A lane to whoever is the master.

    Args:
        connections: The connections to it.
        options: As for `Lane`.
    """

    def __init__(self, connections: MasterConnections, **options: Any) -> None:
        super().__init__(connections, **options)
        self._to_master = connections

    def nodes_of(self, hits: Sequence[Hit]) -> Host | None:  # noqa: ARG002 - see `Cluster`
        """Return who decides, as far as it is known."""
        return self._to_master.master
