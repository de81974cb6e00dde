"""The ways of one event loop to one node of a Cluster."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from redis.crc import key_slot
from redis.exceptions import NoScriptError, ResponseError

from fastapi_throttle.backends.redis import script
from fastapi_throttle.backends.redis.batch import Batch, Check, Decisions
from fastapi_throttle.backends.redis.connections import Connections
from fastapi_throttle.backends.redis.faults import outage
from fastapi_throttle.backends.redis.lane import Lane
from fastapi_throttle.backends.redis.login import Login
from fastapi_throttle.backends.redis.wire import Command
from fastapi_throttle.clock import stand_in
from fastapi_throttle.model import SECOND_US, Hit

_ASKING: Command = ("ASKING",)


def slot_of(key: str) -> int:
    """Return where a Cluster keeps *key*."""
    return key_slot(key.encode())


class AskingConnections(Connections):
    """Connections that ask a node for what is on its way to it."""

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """See `Connections.exchange`."""
        # It counts for the next command only.
        every = [part for command in commands for part in (_ASKING, command)]
        return (await super().exchange(every))[1::2]


class NodeLane(Lane):
    """A lane to one node: checks of all slots leave together, each slot a call of the script."""

    async def now(self) -> int:
        """Return the time of the node, in microseconds since the Unix epoch.

        Raises:
            BackendError: It did not answer within the budget.
        """
        now = self._now()
        if now is not None:
            return now
        seconds, microseconds = await self.ask("TIME")
        return int(seconds) * SECOND_US + int(microseconds)

    async def give_back(self, hits: Sequence[Hit], at: int) -> None:
        """Take back what the node charged for *hits* at *at* or later.

        Raises:
            BackendError: It did not answer within the budget.
        """
        await self.ask("EVAL", *script.giving_back(hits, at, self._now()))

    def _now(self) -> int | None:
        read_clock = self._clock or stand_in.clock
        return read_clock() if read_clock else None

    async def _call(self, checks: list[Check]) -> Iterator[tuple[Check, Decisions]]:
        by_slot: dict[int, list[Check]] = {}
        for check in checks:
            by_slot.setdefault(slot_of(check.keys[0]), []).append(check)
        if len(by_slot) == 1:
            return await super()._call(checks)
        batches = list(map(Batch, by_slot.values()))
        now = self._now()
        replies = await self._run_scripts([batch.arguments(now) for batch in batches])
        self._blame.answered()
        return chain.from_iterable(map(self._answers, batches, replies))

    async def _run_scripts(self, calls: Sequence[Command]) -> list[Any]:
        exchange = self._connections.exchange
        replies = await exchange([("EVALSHA", script.SHA, *call) for call in calls])
        for at, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):
                # Answered before anything ran, so this is still the first execution.
                (replies[at],) = await exchange([("EVAL", script.TEXT, *calls[at])])
        return replies

    def _answers(
        self, batch: Batch, reply: bytes | ResponseError
    ) -> Iterator[tuple[Check, Decisions]]:
        if isinstance(reply, ResponseError):
            for check in batch.checks:
                check.refuse(outage(reply, self._budget))
            return iter(())
        return batch.answers(reply)


class Node:
    """One node.

    Args:
        login: How to connect to it.
        make_lane: Makes a lane from connections.

    Attributes:
        connections: For questions about slots, and those of *lane*.
        lane: For checks.
        asking: For checks whose keys are on their way to it.
    """

    def __init__(self, login: Login, make_lane: Callable[[Connections], NodeLane]) -> None:
        self.connections = Connections(login.connect)
        self.lane = make_lane(self.connections)
        self.asking = make_lane(AskingConnections(login.connect))

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything."""
        return self.lane.is_idle and self.asking.is_idle

    async def aclose(self) -> None:
        """Close the connections."""
        await self.lane.aclose()
        await self.asking.aclose()
