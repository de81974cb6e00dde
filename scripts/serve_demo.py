"""Serves the demo app, and ends everything that it started.

Standard library only: the environment with the rest is made here when it is missing.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from demo_processes import (
    HOST,
    ROOT,
    answers,
    child,
    fail,
    free_port,
    listen_for_stop_signals,
    pongs,
    require_free,
    say,
    wait_until,
)

IN_PROCESS = "memory://"
PYTHON_VARIABLE = "FASTAPI_THROTTLE_DEMO_PYTHON"


def main() -> None:
    """Serve until a signal asks to stop."""
    options = parse_options()
    listen_for_stop_signals()
    port = options.port or free_port()
    require_free(port)

    with contextlib.ExitStack() as started:
        python = os.environ.get(PYTHON_VARIABLE) or demo_environment()
        backend = started.enter_context(own_redis()) if options.redis == "auto" else options.redis
        require_usable(python, backend)
        server = started.enter_context(demo_server(python, port, options.workers, backend))
        if wait_until(lambda: answers(port), server):
            say(f"Demo on http://{HOST}:{port} (backend: {described(backend)})  Ctrl-C stops it")
            wait_until(lambda: False, server)
        fail("The server ended by itself; the reason is above.")


def parse_options() -> argparse.Namespace:
    """Read the command line; wrong usage ends here, with status 2."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description=f"Serve the demo app on {HOST}. The first run makes .venv-demo.",
        epilog="Ctrl-C or SIGTERM stops everything that was started; the exit status is then 0. "
        f"{PYTHON_VARIABLE} names a Python that has everything already: no environment is made.",
    )
    parser.add_argument(
        "--port",
        type=port_number,
        default=8000,
        metavar="N",
        help="default 8000; 0 takes a free one",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="default 1; more need --redis"
    )
    parser.add_argument(
        "--redis",
        type=backend_url,
        default=IN_PROCESS,
        metavar="URL",
        help='count in this Redis, or with "auto" in one that lives as long as the demo; '
        "default: in the process",
    )
    options = parser.parse_args()
    if options.workers < 1:
        parser.error(f"--workers must be at least 1, got {options.workers}")
    if options.workers > 1 and options.redis == IN_PROCESS:
        parser.error(
            f"--workers {options.workers} needs --redis: without it each worker counts alone, "
            f"so a limit of 10 would let {options.workers} x 10 through. Try --redis auto"
        )
    return options


def port_number(text: str) -> int:
    """Read a TCP port."""
    largest = 65535
    if text.isdecimal() and int(text) <= largest:
        return int(text)
    message = f"must be a whole number from 0 to {largest}, got {text}"
    raise argparse.ArgumentTypeError(message)


def backend_url(text: str) -> str:
    """Read "auto" or a URL. The message does not repeat it: it may hold a password."""
    with contextlib.suppress(ValueError):
        if text == "auto" or ("://" in text and urlsplit(text)):
            return text
    message = 'takes "auto" or a URL such as redis://127.0.0.1:6379/0'
    raise argparse.ArgumentTypeError(message)


def demo_environment() -> str:
    """Make or reuse .venv-demo and return its Python."""
    with child([str(ROOT / "scripts" / "environment"), ".venv-demo", "-e", ".[demo]"]) as build:
        wait_until(lambda: False, build)
    if build.returncode != 0:
        fail("The environment could not be made; the reason is above.")
    return str(ROOT / ".venv-demo" / "bin" / "python")


@contextlib.contextmanager
def own_redis() -> Iterator[str]:
    """Run a Redis that keeps nothing; the value is its URL."""
    program = shutil.which("redis-server")
    if program is None:
        fail(
            "--redis auto needs redis-server on PATH. Install the package redis-server "
            "(Debian, Ubuntu) or redis (Fedora, macOS), or leave --redis out."
        )
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="throttle-demo-") as directory:
        log = Path(directory, "redis.log")
        command = [program, "--port", str(port), "--bind", HOST, "--dir", directory]
        command += ["--save", "", "--appendonly", "no", "--logfile", str(log)]
        with child(command) as redis:
            if not wait_until(lambda: pongs(port), redis):
                fail(f"redis-server ended by itself:\n{log.read_text() if log.exists() else ''}")
            yield f"redis://{HOST}:{port}/0"


def app_environment(backend: str) -> dict[str, str]:
    """Return the environment that the app is configured by."""
    environment = {**os.environ, "FASTAPI_THROTTLE_BACKEND": backend}
    # Addressed to this script, not to the library.
    environment.pop(PYTHON_VARIABLE, None)
    return environment


TRIAL = """
import asyncio, logging
logging.disable()
from demo_app.main import app
decision = asyncio.run(app.state.throttle.peek("items", "ip:127.0.0.1"))
raise SystemExit("The store does not answer." if decision.degraded else 0)
"""


def require_usable(python: str, backend: str) -> None:
    """Fail once where several workers would fail for ever: they are replaced when they end."""
    with child([python, "-c", TRIAL], app_environment(backend)) as trial:
        wait_until(lambda: False, trial)
    if trial.returncode != 0:
        fail(f"The demo app cannot run (backend: {described(backend)}); the reason is above.")


@contextlib.contextmanager
def demo_server(
    python: str, port: int, workers: int, backend: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the demo app under uvicorn."""
    command = [python, "-m", "uvicorn", "demo_app.main:app", "--host", HOST, "--port", str(port)]
    command += ["--workers", str(workers), "--log-level", "warning"]
    # No proxy stands in front, so nobody may name another client address.
    command += ["--no-proxy-headers"]
    # Open event streams must not hold up the end.
    command += ["--timeout-graceful-shutdown", "2"]
    with child(command, app_environment(backend)) as server:
        yield server


def described(backend: str) -> str:
    """Name a backend without the password that its URL may hold."""
    if backend == IN_PROCESS:
        return "in-process"
    url = urlsplit(backend)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


if __name__ == "__main__":
    main()
