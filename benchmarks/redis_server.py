"""A Redis server of the benchmarks' own, so that nobody else's load or settings count."""

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

HOST = "127.0.0.1"
START_SECONDS = 10
POLL_SECONDS = 0.02


@contextlib.contextmanager
def own_redis(*options: str) -> Iterator[redis.Redis]:
    """Run a server that keeps nothing, with further *options*, and yield a client of it."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("The benchmarks need redis-server on PATH; scripts/test says how to get it.")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="throttle-bench-") as directory:
        log = Path(directory, "redis.log")
        command = [program, "--port", str(port), "--bind", HOST, "--dir", directory]
        command += ["--save", "", "--appendonly", "no", "--logfile", str(log), *options]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            with redis.Redis(host=HOST, port=port) as client:
                _wait_for(client, process, log)
                yield client
        finally:
            process.terminate()
            process.wait()


def url_of(client: redis.Redis) -> str:
    """Return the address of a client's server."""
    return f"redis://{HOST}:{client.connection_pool.connection_kwargs['port']}"


def _wait_for(client: redis.Redis, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(redis.ConnectionError):
            # Another server may have taken the port in the meantime.
            if client.info("server")["process_id"] == process.pid:
                return
        time.sleep(POLL_SECONDS)
    sys.exit(f"redis-server did not start:\n{log.read_text() if log.exists() else ''}")


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.create_server((HOST, 0)) as listener:
        number: int = listener.getsockname()[1]
        return number
