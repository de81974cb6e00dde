"""Connections to one Redis: each for one call at a time, which is made once."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

from fastapi_throttle.backends.redis import script
from fastapi_throttle.backends.redis.faults import is_demoted
from fastapi_throttle.backends.redis.wire import Command, packed

# Whether there is something to read, in the words of the installed redis-py.
_HAS_DATA = "can_read" if hasattr(AbstractConnection, "can_read") else "can_read_destructive"


class Connections:
    """The connections of one event loop to one Redis.

    redis-py's pools serve commands that may be repeated, at a price per command that is higher
    than that of the question itself. Here a connection is either idle or used by one call, and
    who interrupts a call ends its connection: nobody reads a reply that is not theirs.

    Args:
        connect: Makes a connection that is not open yet.
    """

    def __init__(self, connect: Callable[[], AbstractConnection]) -> None:
        self._connect = connect
        self._idle: list[AbstractConnection] = []

    async def run_script(self, arguments: Command) -> Any:
        """Run the script, at most once, and return its reply.

        Args:
            arguments: What follows the script in EVALSHA.

        Raises:
            ResponseError: Redis refused to run it.
            Exception: Whatever else the client library raises.
        """
        (reply,) = await self.exchange((("EVALSHA", script.SHA, *arguments),))
        if isinstance(reply, NoScriptError):
            # Answered before anything ran, so this is still the first execution.
            (reply,) = await self.exchange((("EVAL", script.TEXT, *arguments),))
        return _checked(reply)

    async def ask(self, *command: str | bytes | int) -> Any:
        """Send *command* once and return its reply.

        Raises:
            ResponseError: Redis refused it.
            Exception: Whatever else the client library raises.
        """
        (reply,) = await self.exchange((command,))
        return _checked(reply)

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send *commands* together, once, and return the replies, a `ResponseError` among them.

        Raises:
            Exception: Whatever else the client library raises.
        """
        idle = self._idle
        # redis-py leaves its methods untyped.
        connection: Any = idle.pop() if idle else self._connect()
        replies, is_misled = [], False
        try:
            if connection.is_connected and await getattr(connection, _HAS_DATA)():
                # Closed by the server while it was idle.
                await connection.disconnect(nowait=True)
            if not connection.is_connected:
                await connection.connect()
            await connection.send_packed_command(packed(commands), check_health=False)
            for _ in commands:
                try:
                    replies.append(await connection.read_response())
                except ResponseError as error:
                    replies.append(error)
                    is_misled = is_misled or is_demoted(error)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        idle.append(connection)
        if is_misled:
            # Where the name leads to may have changed since they were opened.
            await self.start_over()
        elif idle is not self._idle:
            await _close(idle)
        return replies

    async def start_over(self) -> None:
        """Use new connections from now on; those in use are closed when their calls end."""
        idle, self._idle = self._idle, []
        await _close(idle)

    async def aclose(self) -> None:
        """Close those that are idle, and the others when their calls end."""
        await self.start_over()
        await asyncio.sleep(0)  # in the loop's next turn their sockets are closed


def _checked(reply: Any) -> Any:
    if isinstance(reply, ResponseError):
        raise reply
    return reply


async def _close(idle: list[Any]) -> None:
    """Close *idle* without waiting for it: an event loop that ends runs only a few turns more."""
    while idle:
        await idle.pop().disconnect(nowait=True)
