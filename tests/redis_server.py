"""A real redis-server for tests: on a free loopback port, nothing on disk, gone afterwards."""

import contextlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from typing import Self

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

START_SECONDS = 10


# Below those that the system gives to connections, of which tests make many: what is free now
# stays so until a server has started. Not the generator that others seed alike in each process.
_PORTS = range(10_000, 32_768)
_random = random.SystemRandom()
_taken: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nobody listens on, and another one each time."""
    while True:
        port = _random.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _taken:
                _taken.add(port)
                return port


class RedisServer:
    """A redis-server process. A context manager: starts on entry, stops on exit.

    Args:
        options: Passed on to redis-server, e.g. ``"--maxclients", "5"``, or first a file.
        password: What clients must know; `url` does not hold it.

    Attributes:
        port: Where it listens, on 127.0.0.1; the same after a stop and a start.
        url: Its address.
        client: A synchronous client of redis-py, for looking inside.
    """

    def __init__(self, *options: str, password: str | None = None) -> None:
        self._options = (*options, *(("--requirepass", password) if password else ()))
        self._login = ("--no-auth-warning", "-a", password) if password else ()
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client = redis.Redis(
            port=self.port,
            password=password,
            socket_timeout=START_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        self.client.close()

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    def start(self, *options: str) -> None:
        """Start it, with *options* besides its own, and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.fail("The tests need redis-server on PATH; scripts/test says how to install it.")
        self._directory = self._directory or tempfile.TemporaryDirectory()
        port = ("--bind", "127.0.0.1", "--port", str(self.port))
        in_memory = ("--save", "", "--appendonly", "no", "--dir", self._directory.name)
        self._process = subprocess.Popen(
            # A file must come before the options.
            [program, *self._options, *port, *in_memory, *options],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.stop()
                    pytest.fail(f"redis-server did not start on port {self.port}.")
                time.sleep(0.01)  # noqa: TID251 - another process starts

    def stop(self, *, forgets: bool = True) -> None:
        """Stop it at once, as a crash would.

        Args:
            forgets: Whether what it saved is lost, too.
        """
        self.client.connection_pool.disconnect()
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        if forgets and self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def has_no_client(self, *but: str) -> bool:
        """Tell whether all connections are closed, but for these ids and our own, or are so soon.

        Redis hears of it a moment after the client.
        """
        mine = {str(self.client.client_id()), *but}
        for _ in range(100):
            if {each["id"] for each in self.client.client_list()} <= mine:
                return True
            time.sleep(0.01)  # noqa: TID251 - another process notices
        return False

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop it from answering for a while; connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def cli(self, *arguments: str) -> str:
        """Return what redis-cli answers."""
        command = ["redis-cli", "-p", str(self.port), *self._login, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @contextlib.contextmanager
    def monitored(self) -> Iterator[list[str]]:
        """Collect the commands that clients send meanwhile, quoted as MONITOR writes them.

        The list is filled on exit. What scripts call inside the server is left out.
        """
        commands: list[str] = []
        end = f"end-{uuid.uuid4().hex}"
        with socket.create_connection(("127.0.0.1", self.port), START_SECONDS) as connection:
            lines = connection.makefile(encoding="utf-8", errors="surrogateescape")
            connection.sendall(b"MONITOR\r\n")
            assert lines.readline() == "+OK\n"
            try:
                yield commands
            finally:
                self.client.echo(end)
                for line in lines:
                    origin, _, command = line.partition("] ")
                    if end in command:
                        break
                    if not origin.endswith(" lua"):
                        commands.append(command.rstrip())
                lines.close()
