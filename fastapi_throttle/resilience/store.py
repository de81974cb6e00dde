"""A backend that is asked with care: within a budget, and not at all while it is given up."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from fastapi_throttle.backends import Backend, Finding
from fastapi_throttle.clock import monotonic
from fastapi_throttle.decision import Decision
from fastapi_throttle.errors import BackendError, Fault, ThrottleError
from fastapi_throttle.model import Hit
from fastapi_throttle.resilience.breaker import Breaker
from fastapi_throttle.resilience.breakers import Breakers
from fastapi_throttle.resilience.budget import Budget
from fastapi_throttle.resilience.health import HealthRecord

T = TypeVar("T")

# A reply that is later than that was not late in coming but in being read.
STALLED = 2
# What a call was given must be this share of what it may need to be an evidence against a store.
FAIR_SHARE = 0.5

_NO_TIME = "Nothing is left of the request's budget"
_GIVEN_UP = "The store is given up for the moment"


class Store:
    """Asks a backend, and raises nothing but `BackendError`, within a budget.

    Args:
        backend: What is asked.
        seconds: The budget of a call that brings none.
        make_breaker: Makes what decides when the backend, or a part of it, is not asked.
        clock: Seconds that only grow.

    Attributes:
        health: What is known about the backend.
    """

    def __init__(
        self,
        backend: Backend,
        seconds: float,
        *,
        make_breaker: Callable[[], Breaker] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._backend = backend
        self._seconds = seconds
        self._breakers = Breakers(
            getattr(backend, "part_of", None), make_breaker or partial(Breaker, clock=clock)
        )
        self._clock = clock
        self._is_calm = True
        self._given_up: Fault = "infrastructure"
        self._cause: BaseException | None = None
        # A backend that does not say how long it takes is watched.
        self._needs: float = getattr(backend, "budget", math.inf)
        self.health = HealthRecord(clock)

    def hit(self, hits: Sequence[Hit], budget: Budget | None) -> Awaitable[tuple[Decision, ...]]:
        """See `Backend.hit`."""
        return self._ask(self._backend.hit, hits, budget)

    def peek(self, hits: Sequence[Hit], budget: Budget | None) -> Awaitable[tuple[Decision, ...]]:
        """See `Backend.peek`."""
        return self._ask(self._backend.peek, hits, budget)

    def reset(self, hits: Sequence[Hit], budget: Budget | None) -> Awaitable[None]:
        """See `Backend.reset`."""
        return self._ask(self._backend.reset, hits, budget)

    async def findings(self) -> Sequence[Finding]:
        """See `Backend`.

        Raises:
            BackendError: The store could not answer.
        """
        look = getattr(self._backend, "findings", None)
        return await look() if look else ()

    async def _ask(
        self,
        call: Callable[[Sequence[Hit]], Awaitable[T]],
        hits: Sequence[Hit],
        budget: Budget | None,
    ) -> T:
        given = self._seconds if budget is None else self._left_of(budget)
        # A store that was given up is asked now and then, to see whether it is back.
        breaker = self._breakers.only or self._breakers.of(hits)
        is_probe = breaker.is_open
        if is_probe and not breaker.lets_through():
            raise self._not_asked(_GIVEN_UP, self._given_up)
        started = self._clock()
        try:
            asked = call(hits)
            reply = await (asked if given >= self._needs else _within(given, asked))
        except Exception as error:
            if isinstance(error, ThrottleError) and not isinstance(error, BackendError):
                raise  # a bug of the application, to be seen
            failure = _failure(error, given, self._clock() - started)
            self._failed(failure, breaker, budget, given, is_probe=is_probe)
            raise failure from failure.__cause__
        except asyncio.CancelledError:
            if is_probe:
                breaker.abandon()
            raise
        finally:
            if budget is not None:
                budget.left -= self._clock() - started
        if not self._is_calm:
            self._answered(breaker, is_probe=is_probe)
        return reply

    def _left_of(self, budget: Budget) -> float:
        if budget.left <= 0:
            raise self._not_asked(_NO_TIME, budget.fault)
        return budget.left

    def _not_asked(self, message: str, fault: Fault) -> BackendError:
        self.health.count(fault)
        return BackendError(message, fault=fault)

    def _failed(
        self,
        failure: BackendError,
        breaker: Breaker,
        budget: Budget | None,
        given: float,
        *,
        is_probe: bool,
    ) -> None:
        fault = failure.fault
        if budget is not None:
            budget.lose(fault)
        self.health.count(fault)
        if fault == "key":
            self.health.tell(failure)
            self._answered(breaker, is_probe=is_probe)
        elif fault == "overload" or self._was_rushed(failure, given):
            self.health.tell(failure)
            if is_probe:
                breaker.abandon()
        else:
            # Neither what was asked before it opened tells anything new, nor a second check that
            # rode in the same call.
            if breaker.is_open == is_probe and not self._is_known(failure):
                breaker.failed()
            self._is_calm, self._given_up, self._cause = False, fault, failure.__cause__
            self.health.failed(failure, is_given_up=breaker.is_open)

    def _is_known(self, failure: BackendError) -> bool:
        return self._cause is not None and failure.__cause__ is self._cause

    def _was_rushed(self, failure: BackendError, given: float) -> bool:
        """Tell whether there was so little time left that being late proves nothing."""
        fair = FAIR_SHARE * min(self._needs, self._seconds)
        return given < fair and isinstance(failure.__cause__, TimeoutError)

    def _answered(self, breaker: Breaker, *, is_probe: bool) -> None:
        if breaker.is_open == is_probe:
            breaker.succeeded()
        is_given_up, is_calm = self._breakers.review()
        self._cause = None
        if not is_given_up:
            self.health.answered()
            self._is_calm = is_calm


async def _within(seconds: float, asked: Awaitable[T]) -> T:
    async with asyncio.timeout(seconds):
        return await asked


def _failure(error: Exception, given: float, took: float) -> BackendError:
    """Return *error* as what the caller gets, with the original error as its cause."""
    cause = error.__cause__ if isinstance(error, BackendError) else error
    if took > STALLED * given:
        message = f"The event loop was busy: the wait of {given:.2f} s took {took:.2f} s"
        failure = BackendError(message, fault="overload")
    elif isinstance(error, BackendError):
        return error
    elif isinstance(error, TimeoutError):
        failure = BackendError(f"The store did not answer within {given:.2f} s")
    else:
        failure = BackendError(f"The store failed: {type(error).__name__}")
    failure.__cause__ = cause
    return failure
