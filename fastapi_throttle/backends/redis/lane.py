"""The way of one event loop to one Redis: what arrives while calls are under way rides together."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextvars import Context
from itertools import chain
from typing import Any

from redis.exceptions import ResponseError

from fastapi_throttle.backends.redis.batch import Batch, Check, Decisions, share_of
from fastapi_throttle.backends.redis.blame import Blame
from fastapi_throttle.backends.redis.connections import Connections
from fastapi_throttle.clock import stand_in
from fastapi_throttle.errors import BackendError

# More would bring less together; fewer would leave a distant Redis idle.
MOST_CALLS = 4
# Less than this part of those who are under way is not worth a call, for so many seconds.
WORTH_A_CALL = 1 / 8
PATIENCE = 0.001


class Lane:
    """Asks one Redis on behalf of one event loop.

    A check that finds nothing under way leaves at once, and alone. Those that arrive while calls
    are under way wait until everybody who is about to arrive has arrived, and leave together. Such
    a call belongs to none of them: who is cancelled, or out of time, takes nobody along.

    Args:
        connections: The connections to it.
        budget: Seconds a check may take in all.
        most_calls: How many calls may be under way.
        clock: Microseconds since the Unix epoch; None for the clock of the Redis server.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        budget: float,
        most_calls: int,
        clock: Callable[[], int] | None,
    ) -> None:
        self._connections = connections
        self._budget = budget
        self._most_calls = most_calls
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._calls: set[asyncio.Task[None]] = set()
        # Of those who ride together, and since when.
        self._riding: list[tuple[list[Check], float]] = []
        self._waiting: deque[Check] = deque()
        self._is_leaving = False
        self._alarm: asyncio.TimerHandle | None = None
        self._is_impatient = False
        self._patience: asyncio.TimerHandle | None = None
        self._blame = Blame(self._loop, budget)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not (self._under_way or self._waiting)

    def decide(self, check: Check) -> Awaitable[Decisions]:
        """Decide *check*; to be awaited at once.

        Raises:
            BackendError: Redis did not answer within the budget.
        """
        check.deadline = self._loop.time() + self._budget
        if not (self._under_way or self._waiting or self._is_leaving):
            return self._alone(check)
        check.outcome = self._loop.create_future()
        self._waiting.append(check)
        if self._alarm is None:
            self._alarm = self._loop.call_at(check.deadline, self._give_up, context=Context())
        if not self._is_leaving:
            self._leave_soon()
        return check.outcome

    async def delete(self, keys: tuple[str, ...]) -> None:
        """Forget what is stored under *keys*.

        Raises:
            BackendError: Redis did not answer within the budget.
        """
        await self.ask("DEL", *keys)

    async def ask(self, *command: str | bytes | int) -> Any:
        """Send *command*, which rides with nobody, and return its reply.

        Raises:
            BackendError: Redis did not answer within the budget.
        """
        deadline = self._loop.time() + self._budget
        try:
            async with asyncio.timeout_at(deadline):
                return await self._connections.ask(*command)
        except Exception as error:
            raise self._blame.fault(error, deadline) from error

    async def aclose(self) -> None:
        """Close the connections; who waits for an answer gets none."""
        for timer in filter(None, (self._alarm, self._patience)):
            timer.cancel()
        self._alarm = self._patience = None
        for check in chain(self._waiting, *(checks for checks, _ in self._riding)):
            check.refuse(BackendError("The backend was closed"))
        self._waiting.clear()
        for call in self._calls:
            call.cancel()
        # Before anything that waits: a loop that ends may not come back to it.
        await self._connections.aclose()
        if self._calls:
            await asyncio.gather(*self._calls, return_exceptions=True)

    async def _alone(self, check: Check) -> Decisions:
        """Decide *check* in a call that nobody else needs."""
        self._under_way += 1
        try:
            async with asyncio.timeout_at(check.deadline):
                ((_, decisions),) = await self._call([check])
        except Exception as error:
            fault = self._blame.fault(error, check.deadline)
            await self._distrust(fault)
            raise fault from error
        finally:
            self._under_way -= 1
            if self._waiting:
                self._leave_soon()
        return decisions

    def _leave_soon(self) -> None:
        """Let those who wait leave once everybody who is about to arrive has arrived."""
        if not self._is_leaving and self._under_way < self._most_calls:
            self._is_leaving = True
            # It may last for as long as others ask: in a context of its own.
            context = Context()
            call = self._loop.create_task(self._leave(), context=context)
            self._calls.add(call)
            call.add_done_callback(self._ended, context=context)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if call.cancelled():
            # By somebody who cancels every task there is: it may have been about to leave.
            self._is_leaving = False
            if self._waiting:
                self._leave_soon()

    async def _leave(self) -> None:
        """Decide those who wait, and those who ask again at once when they were told."""
        while True:
            self._is_leaving = False
            checks = self._next()
            if not checks:
                return
            await self._together(checks)
            if self._is_leaving:
                return
            self._is_leaving = True
            # Those who were told ask before this goes on. A moment later those who were told by
            # another call have asked as well: together they would leave Redis with nothing to do.
            await asyncio.sleep(0)

    def _next(self) -> list[Check]:
        """Take those who leave now out of the queue: nobody, if they are too few for a call."""
        waiting = self._waiting
        riding = sum(len(checks) for checks, _ in self._riding)
        if len(waiting) < WORTH_A_CALL * riding and not self._is_impatient:
            if waiting and self._patience is None:
                self._patience = self._loop.call_later(PATIENCE, self._lose_patience)
            return []
        self._is_impatient = False
        while waiting:
            share = share_of(waiting, self._most_calls - self._under_way)
            next_ = [waiting.popleft() for _ in range(share)]
            checks = [check for check in next_ if not check.outcome.done()]
            if checks:
                return checks
        return []

    def _lose_patience(self) -> None:
        self._patience, self._is_impatient = None, True
        self._leave_soon()

    async def _together(self, checks: list[Check]) -> None:
        """Decide *checks* in one call and tell each its part."""
        self._under_way += 1
        left_at = self._loop.time()
        ride = checks, left_at
        self._riding.append(ride)
        if self._waiting:
            self._leave_soon()
        try:
            # Longer than they wait: calls that are all cut short would let Redis answer nobody.
            async with asyncio.timeout(self._budget):
                for check, decisions in await self._call(checks):
                    if not check.outcome.done():
                        check.outcome.set_result(decisions)
        except (Exception, asyncio.CancelledError) as error:  # whatever it is, somebody waits
            faults = [self._blame.fault(error, check.deadline, left_at) for check in checks]
            for check, fault in zip(checks, faults, strict=True):
                check.refuse(fault)
            if isinstance(error, asyncio.CancelledError):
                raise
            await self._distrust(faults[-1])
        finally:
            self._under_way -= 1
            self._riding.remove(ride)

    async def _call(self, checks: list[Check]) -> Iterator[tuple[Check, Decisions]]:
        batch = Batch(checks)
        read_clock = self._clock or stand_in.clock
        now = read_clock() if read_clock else None
        reply = await self._connections.run_script(batch.arguments(now))
        self._blame.answered()
        return batch.answers(reply)

    def _give_up(self) -> None:
        """Tell those whose time is over, and come back for the next."""
        self._alarm, now, again_at = None, self._loop.time(), math.inf
        for checks, left_at in (*self._riding, (self._waiting, math.inf)):
            for check in checks:  # who came first is out of time first
                if check.outcome.done():
                    continue
                if check.deadline > now:
                    again_at = min(again_at, check.deadline)
                    break
                check.refuse(self._blame.fault(TimeoutError(), check.deadline, left_at))
        while self._waiting and self._waiting[0].outcome.done():
            self._waiting.popleft()
        if again_at < math.inf:
            self._alarm = self._loop.call_at(again_at, self._give_up)

    async def _distrust(self, fault: BackendError) -> None:
        """Use no connection again that may be as dead as the one that failed."""
        # One that carries a refusal is alive.
        if fault.fault == "infrastructure" and not isinstance(fault.__cause__, ResponseError):
            await self._connections.start_over()
