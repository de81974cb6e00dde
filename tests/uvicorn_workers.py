"""Real uvicorn servers for tests, with as many worker processes as wanted."""

import contextlib
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import httpx
import pytest
from redis_server import free_port

APPS = Path(__file__).parent / "workers"
START_SECONDS = 30


def start(app, redis_url, *options, **environment):
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", f"{app}:app", "--app-dir", str(APPS)),
        *("--port", str(port), "--log-level", "warning", *options),
    ]
    settings = {"FASTAPI_THROTTLE_BACKEND": redis_url, "FASTAPI_THROTTLE_BUDGET_MS": "2000"}
    process = subprocess.Popen(command, env={**os.environ, **settings, **environment})
    return process, f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def running(app, redis_url, *shifts, workers=1, options=(), **environment):
    """Run one server per clock shift, each with so many workers; yield their addresses."""
    options = ("--workers", str(workers), *options)
    starting = [
        partial(start, app, redis_url, *options, CLOCK_SHIFT=str(shift), **environment)
        for shift in shifts
    ]
    started = [start_one() for start_one in starting]
    try:
        for number, start_one in enumerate(starting):
            if not answers(*started[number]):
                started[number] = start_one()  # somebody else was faster to take its port
                assert answers(*started[number])
        yield [url for _, url in started]
    finally:
        for process, _ in started:
            process.terminate()
        for process, _ in started:
            process.wait(timeout=START_SECONDS)


def answers(process, url):
    """Wait until a server answers; return False if it ended."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/docs").status_code == 200:
                return True
        time.sleep(0.05)  # noqa: TID251 - another process is starting
    pytest.fail("uvicorn did not start")
