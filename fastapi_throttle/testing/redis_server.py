"""A redis-server for one run of tests: on a unix socket, nothing on disk, gone afterwards."""

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

_START_SECONDS = 10.0
_RETRY_SECONDS = 0.02


class NoRedisError(Exception):
    """Raised when there is no redis-server to start, or it does not start; says why."""


class RedisServer:
    """A redis-server process.

    Raises:
        NoRedisError: The program is not on PATH, or it ended or did not answer.
    """

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            message = "redis-server is not on PATH"
            raise NoRedisError(message)
        # Not in a directory of pytest: the path of a socket has about a hundred characters.
        self._directory = tempfile.TemporaryDirectory(prefix="throttle-")
        self._socket = Path(self._directory.name, "redis.sock")
        arguments = ("--port", "0", "--unixsocket", str(self._socket), "--save", "")
        self._process = subprocess.Popen(  # noqa: S603 - what the user has on PATH
            [program, *arguments, "--dir", self._directory.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._wait_until_it_answers()

    @property
    def url(self) -> str:
        """The address."""
        return f"unix://{self._socket}"

    def empty(self) -> None:
        """Forget everything."""
        self._ask(b"FLUSHALL")

    def stop(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.communicate()
        self._directory.cleanup()

    def _wait_until_it_answers(self) -> None:
        for _ in range(round(_START_SECONDS / _RETRY_SECONDS)):
            try:
                self._ask(b"PING")
                return
            except OSError:
                try:
                    output, _ = self._process.communicate(timeout=_RETRY_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
                self.stop()
                message = f"redis-server ended: {output.decode(errors='replace')[-500:]}"
                raise NoRedisError(message) from None
        self.stop()
        message = f"redis-server did not answer within {_START_SECONDS} s"
        raise NoRedisError(message)

    def _ask(self, command: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_START_SECONDS)
            connection.connect(str(self._socket))
            connection.sendall(command + b"\r\n")
            if not connection.recv(1024).startswith(b"+"):
                message = "redis-server does not answer as it should"
                raise OSError(message)
