"""A TCP proxy that does to clients what networks and servers do."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Literal, Self

# Closing then sends RST instead of FIN.
_AT_ONCE = struct.pack("ii", 1, 0)


class Proxy:
    """Stands between clients and a server on loopback; an async context manager.

    Args:
        port: Where the server listens.

    Attributes:
        port: Where clients connect.
        replies: What becomes of them: they ``"pass"``, are silently ``"lost"``, or ``"cut"`` the
            connection instead of arriving; half of one arrives, then the connection is cut
            (``"truncated"``); they ``"drip"`` byte by byte; or are bytes that replace each.
        questions: Whether they ``"pass"`` or are ``"lost"``: the server hears nothing.
        delay: Seconds that each reply takes longer.
        arrivals: What becomes of new connections: they are served, or closed with ``"fin"`` or
            ``"reset"``.
        concerned: Replies to what does not contain this pass whatever `replies` says.
        connections: How many clients connected so far.
        witness: Is told each question that the server heard and the beginning of its reply, empty
            if there is none.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.replies: Literal["pass", "lost", "cut", "truncated", "drip"] | bytes = "pass"
        self.questions: Literal["pass", "lost"] = "pass"
        self.arrivals: Literal["served", "fin", "reset"] = "served"
        self.delay = 0.0
        self.concerned = b""
        self.connections = 0
        self.witness: Callable[[bytes, bytes], None] | None = None

    async def __aenter__(self) -> Self:
        self._links: dict[asyncio.Task[None], _Link] = {}
        await self._listen(0)
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._listener.close()
        await asyncio.sleep(0)  # whoever has connected is here now
        tasks = list(self._links)
        self.close_all("fin")
        await asyncio.gather(*tasks, return_exceptions=True)

    def close_all(self, how: Literal["fin", "reset"]) -> None:
        """Close all connections that clients have now."""
        for task, link in list(self._links.items()):
            _close(link.writer, how)
            task.cancel()

    def freeze_all(self) -> None:
        """Let nothing pass any more through the connections that clients have now."""
        for link in self._links.values():
            link.is_frozen = True

    @contextlib.asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        """Do not listen meanwhile; open connections are reset."""
        self._listener.close()
        self.close_all("reset")
        yield
        await self._listen(self.port)

    @contextlib.asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Answer no SYN meanwhile, as a host does that is gone; open connections are frozen."""
        self.freeze_all()
        self._listener.close()
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(0)
            # Whoever comes after those that nobody accepts is not answered.
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.settimeout(0)
                waiting.connect_ex(("127.0.0.1", self.port))
            yield
        await self._listen(self.port)

    async def _listen(self, port: int) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.arrivals != "served":
            _close(writer, self.arrivals)
            return
        link = _Link(self, reader, writer)
        task = asyncio.ensure_future(link.serve(self._server_port))
        self._links[task] = link
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._links[task]
        if not task.cancelled():
            task.exception()


class _Link:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._reader = reader
        self.writer = writer
        self.is_frozen = False
        self._asked = self._heard = b""

    async def serve(self, port: int) -> None:
        """Carry questions and replies until one side closes; then close both."""
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            self.writer.close()
            return
        ways = self._ask(server_writer), self._reply(server_reader)
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._bear_witness(b"")
            # All before the first wait, which may be cancelled.
            for task in tasks:
                task.cancel()
            self.writer.close()
            server_writer.close()
            await asyncio.gather(*tasks, return_exceptions=True)
            for side in (self.writer, server_writer):
                with contextlib.suppress(OSError):
                    await side.wait_closed()

    async def _ask(self, server: asyncio.StreamWriter) -> None:
        while question := await self._reader.read(65_536):
            self._asked = question
            if not self.is_frozen and self._proxy.questions == "pass":
                self._heard += question
                server.write(question)

    async def _reply(self, server: asyncio.StreamReader) -> None:
        proxy = self._proxy
        while reply := await server.read(65_536):
            self._bear_witness(reply)
            if proxy.delay:
                await asyncio.sleep(proxy.delay)
            treatment = proxy.replies if proxy.concerned in self._asked else "pass"
            if self.is_frozen or treatment == "lost":
                continue
            if treatment == "cut":
                return
            if treatment == "truncated":
                self.writer.write(reply[: len(reply) // 2])
                return
            if treatment == "drip":
                for index in range(len(reply)):
                    self.writer.write(reply[index : index + 1])
                    await asyncio.sleep(0.0005)
            else:
                self.writer.write(treatment if isinstance(treatment, bytes) else reply)

    def _bear_witness(self, reply: bytes) -> None:
        if self._heard and self._proxy.witness is not None:
            self._proxy.witness(self._heard, reply)
        self._heard = b""


def _close(writer: asyncio.StreamWriter, how: Literal["fin", "reset"]) -> None:
    if how == "reset":
        its_socket = writer.get_extra_info("socket")
        its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()
