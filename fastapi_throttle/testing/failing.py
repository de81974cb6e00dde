"""A store that fails when a test wants it to."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar, get_args

import anyio

from fastapi_throttle.backends import Backend
from fastapi_throttle.clock import stand_in
from fastapi_throttle.decision import Decision
from fastapi_throttle.errors import BackendError, ConfigurationError
from fastapi_throttle.model import Hit

Failure = Literal["timeout", "down", "slow"]
T = TypeVar("T")


def checked_failure(kind: str) -> Failure:
    """Return *kind* if a store can fail like that.

    Raises:
        ConfigurationError: It cannot.
    """
    for known in get_args(Failure):
        if kind == known:
            failure: Failure = known
            return failure
    message = f"kind must be one of {', '.join(get_args(Failure))}, got {kind!r}"
    raise ConfigurationError(message)


class FailingBackend:
    """Decides on another backend, or cannot answer.

    Args:
        inner: The other backend.
        lasts: Seconds until it is too late to answer.
        failure: Tells how it fails at the moment, if it does: ``"down"`` refuses at once;
            ``"timeout"`` never answers; ``"slow"`` does what it is asked to, and answers too late.
        budget: Seconds after which the other backend gives up by itself.

    Attributes:
        budget: As given.
    """

    def __init__(
        self,
        inner: Backend,
        *,
        lasts: float,
        failure: Callable[[], Failure | None],
        budget: float,
    ) -> None:
        self.budget = budget
        self._inner = inner
        self._lasts = lasts
        self._failure = failure

    async def hit(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.hit`."""
        return await self._answer(self._inner.hit, hits)

    async def peek(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.peek`."""
        return await self._answer(self._inner.peek, hits)

    async def reset(self, hits: Sequence[Hit]) -> None:
        """See `Backend.reset`."""
        await self._answer(self._inner.reset, hits)

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        await self._inner.aclose()

    async def _answer(
        self, call: Callable[[Sequence[Hit]], Awaitable[T]], hits: Sequence[Hit]
    ) -> T:
        failure = self._failure()
        if failure is None:
            return await call(hits)
        if failure == "down":
            cause: OSError = ConnectionRefusedError("the test wants the store to be down")
            message = "The store refused the connection"
            raise BackendError(message) from cause
        if failure == "slow":
            await call(hits)
        if stand_in.clock is None:
            await anyio.sleep(self._lasts)
        cause = TimeoutError(f"the test wants the store to be: {failure}")
        message = f"The store did not answer within {self._lasts} s"
        raise BackendError(message) from cause
