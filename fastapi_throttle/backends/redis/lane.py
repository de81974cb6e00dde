"""The way of one event loop to one Redis: what arrives while calls are under way rides together."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from redis.exceptions import ResponseError

from fastapi_throttle.backends.redis.batch import Batch, Check, Decisions
from fastapi_throttle.backends.redis.connections import Connections
from fastapi_throttle.backends.redis.faults import outage, overload
from fastapi_throttle.clock import stand_in
from fastapi_throttle.errors import BackendError

# More would bring less together; fewer would leave a distant Redis idle.
MOST_CALLS = 4
# So many decisions keep Redis from others for about half a millisecond.
MOST_CHECKS = 128
# A check that waited for so much of its budget before it left was kept by others.
WAITED = 0.1
# An event loop that looks at the clock so much of the budget too late was busy.
LATE = 0.2


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
        self._waiting: deque[Check] = deque()
        self._unanswered: deque[Check] = deque()
        self._is_leaving = False
        self._alarm: asyncio.TimerHandle | None = None
        self._answered_at = self._excused_at = self._loop.time()

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not (self._under_way or self._waiting)

    async def decide(self, check: Check) -> Decisions:
        """Decide *check*.

        Raises:
            BackendError: Redis did not answer within the budget.
        """
        check.deadline = self._loop.time() + self._budget
        if not self._under_way and not self._waiting:
            return await self._alone(check)
        outcome: asyncio.Future[Decisions | BackendError] = self._loop.create_future()
        check.outcome = outcome
        self._waiting.append(check)
        self._unanswered.append(check)
        if self._alarm is None:
            self._alarm = self._loop.call_at(check.deadline, self._give_up)
        self._leave_soon()
        decided = await outcome
        if isinstance(decided, BackendError):
            raise decided
        return decided

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
            raise self._fault(error, deadline) from error

    async def aclose(self) -> None:
        """Close the connections; who waits for an answer gets none."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        for check in chain(self._waiting, self._unanswered):
            tell(check, BackendError("The backend was closed"))
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
            fault = self._fault(error, check.deadline)
            await self._distrust(fault)
            raise fault from error
        finally:
            self._under_way -= 1
            self._leave_soon()
        return decisions

    def _leave_soon(self) -> None:
        """Let those who wait leave once everybody who is about to arrive has arrived."""
        if self._waiting and not self._is_leaving and self._under_way < self._most_calls:
            self._is_leaving = True
            self._loop.call_soon(self._leave)

    def _leave(self) -> None:
        self._is_leaving = False
        while self._waiting and self._under_way < self._most_calls:
            checks = list(self._next())
            if checks:
                self._under_way += 1
                call = self._loop.create_task(self._together(checks))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)

    def _next(self) -> Iterator[Check]:
        """Take the next ones that still wait out of the queue."""
        now = self._loop.time()
        for _ in range(min(MOST_CHECKS, len(self._waiting))):
            check = self._waiting.popleft()
            if not check.is_answered:
                check.left_at = now
                yield check

    async def _together(self, checks: list[Check]) -> None:
        """Decide *checks* in one call and tell each its part."""
        try:
            # Longer than they wait: calls that are all cut short would let Redis answer nobody.
            async with asyncio.timeout(self._budget):
                for check, decisions in await self._call(checks):
                    tell(check, decisions)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits
            faults = [self._fault(error, check.deadline, check.left_at) for check in checks]
            for check, fault in zip(checks, faults, strict=True):
                tell(check, fault)
            await self._distrust(faults[-1])
        finally:
            self._under_way -= 1
            self._leave_soon()

    async def _call(self, checks: list[Check]) -> Iterator[tuple[Check, Decisions]]:
        batch = Batch(checks)
        read_clock = self._clock or stand_in.clock
        now = read_clock() if read_clock else None
        reply = await self._connections.run_script(batch.arguments(now))
        self._answered_at = self._loop.time()
        return batch.answers(reply)

    def _give_up(self) -> None:
        """Tell those whose time is over, and come back for the next."""
        self._alarm = None
        now = self._loop.time()
        while self._unanswered:
            check = self._unanswered[0]
            if not check.is_answered:
                if check.deadline > now:
                    self._alarm = self._loop.call_at(check.deadline, self._give_up)
                    return
                tell(check, self._fault(TimeoutError(), check.deadline, check.left_at))
            self._unanswered.popleft()

    async def _distrust(self, fault: BackendError) -> None:
        """Use no connection again that may be as dead as the one that failed."""
        # One that carries a refusal is alive.
        if fault.fault == "infrastructure" and not isinstance(fault.__cause__, ResponseError):
            await self._connections.start_over()

    def _fault(self, error: Exception, deadline: float, left_at: float = 0.0) -> BackendError:
        if isinstance(error, TimeoutError) and self._was_busy(deadline, left_at):
            return overload(error, self._budget)
        return outage(error, self._budget)

    def _was_busy(self, deadline: float, left_at: float) -> bool:
        """Tell whether it was not Redis that was too slow for what had to be there by *deadline*.

        Args:
            deadline: When it was.
            left_at: When it was asked.
        """
        arrived_at = deadline - self._budget
        # Redis answers, but there were too many before this one.
        if self._answered_at > arrived_at and left_at > arrived_at + WAITED * self._budget:
            return True
        # A process that was kept from looking at the clock was kept from reading the answer.
        late = self._loop.time() - deadline
        if late < LATE * self._budget:
            return False
        # If it is always a little late, that is no excuse for a Redis that never answers.
        if self._excused_at <= self._answered_at:
            self._excused_at = self._loop.time()
        return late > self._budget or arrived_at < self._excused_at


def tell(check: Check, outcome: Decisions | BackendError) -> None:
    """Answer *check*, unless it rides alone or nobody waits any more."""
    if check.outcome is not None and not check.outcome.done():
        check.outcome.set_result(outcome)
