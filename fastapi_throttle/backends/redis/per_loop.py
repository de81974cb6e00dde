"""What belongs to one event loop and one process."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, NamedTuple, Protocol, TypeVar


class Closable(Protocol):
    """What can be closed."""

    async def aclose(self) -> None:
        """Close it."""


T = TypeVar("T", bound=Closable)


class _Process:
    """This process.

    Attributes:
        forks: How many forks ago this module was imported.
    """

    forks = 0


def _count_fork() -> None:
    _Process.forks += 1


if sys.platform != "win32":
    # To ask for the id of the process takes longer than all else that finds a lane.
    os.register_at_fork(after_in_child=_count_fork)


class _Opened(NamedTuple, Generic[T]):
    """What one event loop uses, and what closes it when it ends."""

    value: T
    closing: AsyncGenerator[None]


class PerLoop(Generic[T]):
    """One of a kind per running event loop and process.

    Connections belong to the loop that opened them, and after a fork two processes would read
    each other's replies.

    Args:
        make: Makes one for the running loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._opened: dict[asyncio.AbstractEventLoop, _Opened[T]] = {}
        self._inherited: list[object] = []
        self._forks = _Process.forks

    def known(self) -> T | None:
        """Return the one of the running loop, if there is one."""
        if self._forks != _Process.forks:
            return None
        opened = self._opened.get(asyncio.get_running_loop())
        return opened.value if opened else None

    async def get(self) -> T:
        """Return the one of the running loop."""
        if self._forks != _Process.forks:
            # Never let go of: to close a socket would end the parent's watch over it, which a
            # fork shares.
            self._inherited.append(self._opened)
            self._opened, self._forks = {}, _Process.forks
        loop = asyncio.get_running_loop()
        opened = self._opened.get(loop)
        if opened is None:
            for known in list(self._opened):  # a copy: other threads open and close theirs
                if known.is_closed():
                    self._opened.pop(known, None)
            value = self._make()
            opened = self._opened[loop] = _Opened(value, _closing(value.aclose))
            await anext(opened.closing)
        return opened.value

    async def aclose(self) -> None:
        """Close the one of the running loop."""
        if self._forks == _Process.forks:
            opened = self._opened.pop(asyncio.get_running_loop(), None)
            if opened is not None:
                await opened.closing.aclose()


async def _closing(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Call *close* when this generator ends: at the latest with its loop.

    A loop ends its generators before it closes, and nobody else tells that it does.
    """
    try:
        yield
    finally:
        await close()
