"""Processes that the demo starts, the ports they listen on, and how they end."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
GRACE_SECONDS = 5
POLL_SECONDS = 0.05

stop_signals: list[int] = []


@contextlib.contextmanager
def child(
    command: list[str], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command*, and leave nothing of it behind.

    It gets a process group of its own, so Ctrl-C reaches this script alone, which ends its
    children in the right order.
    """
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, process_group=0
    )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        # Whatever is left of the group did not follow its leader. macOS refuses when all are gone.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    """Wait for *ready*; False when *process* ends first. A stop signal ends the script here."""
    while not ready():
        ended = process.poll() is not None
        if stop_signals:
            sys.exit(0)
        if ended:
            return False
        time.sleep(POLL_SECONDS)
    return True


def listen_for_stop_signals() -> None:
    """Note stop signals instead of raising: an exception could cut a clean-up short."""

    def note(number: int, _frame: FrameType | None) -> None:
        stop_signals.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, note)


def answers(port: int) -> bool:
    """Tell whether an HTTP server answers, whatever it says."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def pongs(port: int) -> bool:
    """Tell whether a Redis answers."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def require_free(port: int) -> None:
    """End with a message when *port* cannot be listened on."""
    try:
        with socket.create_server((HOST, port)):
            return
    except OSError as error:
        fail(
            f"Port {port} cannot be used: {os.strerror(error.errno or 0)}. Choose another: --port N"
        )


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server((HOST, 0)) as listener:
        number: int = listener.getsockname()[1]
        return number


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def fail(message: str) -> NoReturn:
    """End with *message* and status 1."""
    sys.exit(message)
