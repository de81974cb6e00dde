"""A TCP proxy that loses replies: what was asked is executed, and nobody hears of it."""

import asyncio
import contextlib
from typing import Literal, Self


class Proxy:
    """Stands between clients and a server on loopback; an async context manager.

    Args:
        port: Where the server listens.

    Attributes:
        port: Where clients connect.
        replies: What becomes of them: they ``"pass"``, are silently ``"lost"``, or ``"cut"`` the
            connection instead of arriving.
        concerned: Replies to what does not contain this pass whatever `replies` says.
        connections: How many clients connected so far.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.replies: Literal["pass", "lost", "cut"] = "pass"
        self.concerned = b""
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = [b""]
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        ways = self._ask(reader, server_writer, asked), self._reply(server_reader, writer, asked)
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            # Who closes one side, closes both.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for side in (writer, server_writer):
                side.close()
                with contextlib.suppress(OSError):
                    await side.wait_closed()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[bytes]
    ) -> None:
        while question := await reader.read(65_536):
            asked[0] = question
            writer.write(question)

    async def _reply(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[bytes]
    ) -> None:
        while reply := await reader.read(65_536):
            if self.replies == "pass" or self.concerned not in asked[0]:
                writer.write(reply)
            elif self.replies == "cut":
                return
