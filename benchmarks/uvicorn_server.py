"""uvicorn with a contender's app, in the contender's environment, and wrk that asks it."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from benchmarks.field import ROOT, CannotError, Entry
from benchmarks.redis_server import HOST, free_port

START_SECONDS = 20
POLL_SECONDS = 0.05
CALLERS = 64
# Servers believe who connects from the same machine: any of 10,000 addresses.
SPREAD = Path(__file__).with_name("spread.lua")


class Load(NamedTuple):
    """What wrk saw: requests per second, and how many were not answered by 200."""

    rate: float
    refused: int
    requests: int


class Server:
    """A running server; a context manager that ends it."""

    def __init__(
        self, entry: Entry, url: str, rules: Mapping[str, Sequence[int]], *, workers: int
    ) -> None:
        self._port = free_port()
        app = {"module": entry.module, "name": entry.name, "url": url, "rules": rules}
        self._process = subprocess.Popen(
            [
                *(ROOT / entry.environment / "bin" / "python", "-m", "uvicorn"),
                *("--factory", "benchmarks.inside.serve:make", "--port", str(self._port)),
                *("--workers", str(workers), "--loop", "uvloop", "--http", "httptools"),
                *("--no-access-log", "--log-level", "error"),
            ],
            cwd=ROOT,
            env={**os.environ, **dict(entry.settings), "BENCH_APP": json.dumps(app)},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )

    def __enter__(self) -> Self:
        """Wait until it answers.

        Raises:
            CannotError: It does not.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.statuses("/free", 1)
                return self
            except OSError:
                time.sleep(POLL_SECONDS)
        self.__exit__()
        message = "its server did not start"
        raise CannotError(message)

    def __exit__(self, *_exception: object) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def statuses(self, path: str, requests: int) -> list[int]:
        """Return how so many requests are answered."""
        statuses = []
        for _ in range(requests):
            connection = http.client.HTTPConnection(HOST, self._port, timeout=START_SECONDS)
            connection.request("GET", path)
            statuses.append(connection.getresponse().status)
            connection.close()
        return statuses

    def load(self, path: str, seconds: int, *, is_spread: bool) -> Load:
        """Let wrk ask for *path*.

        Raises:
            CannotError: wrk did not get through.
        """
        command = [program(), "-t1", f"-c{CALLERS}", f"-d{seconds}s"]
        command += ["-s", str(SPREAD)] if is_spread else []
        run = subprocess.run(
            [*command, f"http://{HOST}:{self._port}{path}"],
            capture_output=True,
            text=True,
            check=False,
        )
        rate = re.search(r"^Requests/sec:\s+([\d.]+)", run.stdout, re.MULTILINE)
        requests = re.search(r"^\s*(\d+) requests in", run.stdout, re.MULTILINE)
        refused = re.search(r"^\s*Non-2xx or 3xx responses: (\d+)", run.stdout, re.MULTILINE)
        broken = re.search(r"^\s*Socket errors:.*$", run.stdout, re.MULTILINE)
        if not rate or not requests or broken or not float(rate[1]):
            message = f"wrk did not get through: {(broken[0] if broken else run.stderr).strip()}"
            raise CannotError(message)
        return Load(float(rate[1]), int(refused[1]) if refused else 0, int(requests[1]))


def program() -> str:
    """Return where wrk is."""
    path = shutil.which("wrk")
    if path is None:
        sys.exit("The benchmarks need wrk on PATH; Debian, Ubuntu: apt-get install wrk")
    return path
