"""What others know and may change, such as who the master is."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lookup(Generic[T]):
    """An answer that is kept, and asked for again behind the back of those who use it.

    However many want to know, it is asked for once at a time, and for none of them: who is
    cancelled takes nobody along. What was known stays good while nobody answers.

    Args:
        ask: Asks for it, for a limited time. Whatever it raises means that nobody answered.

    Attributes:
        answer: The last one; None: there was none yet.
        asked_at: When it was asked for, in the event loop's time, the last time that this ended.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self.answer: T | None = None
        self.asked_at = -math.inf
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._asking: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    @property
    def age(self) -> float:
        """Seconds since it was asked for."""
        return self._loop.time() - self.asked_at

    def renew(self) -> "asyncio.Task[None]":
        """Have it asked for, unless somebody is asking; return what ends when that has ended."""
        if self._asking is None:
            self._asking = self._loop.create_task(self._run(self._loop.time()))
        return self._asking

    async def renewed(self) -> T:
        """Ask for it, or wait for who is asking.

        Raises:
            Exception: Nobody answered, neither now nor before.
        """
        await asyncio.wait([self.renew()])
        if self.answer is not None:
            return self.answer
        # For as many as wait, so each sees its own way here.
        raise (self._error or TimeoutError()).with_traceback(None)

    async def aclose(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _run(self, started_at: float) -> None:
        try:
            self.answer = await self._ask()
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            self._error = error
        finally:
            self._asking, self.asked_at = None, started_at
