"""scripts/demo: it serves, it counts, it says what is wrong, and it leaves nothing behind."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

DEMO = Path(__file__).parents[2] / "scripts" / "demo"
PREPARED = {"FASTAPI_THROTTLE_DEMO_PYTHON": sys.executable}
LIMIT = 10
BUILD_SECONDS = 300
STOP_SECONDS = 15


@dataclass(frozen=True)
class Demo:
    """A demo that serves."""

    process: subprocess.Popen[str]
    announcement: str
    address: str

    def get(self, path: str) -> tuple[int, str | None]:
        """Return the status and the Retry-After field of one answer."""
        with contextlib.closing(http.client.HTTPConnection(self.address, timeout=10)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.headers["Retry-After"]

    def programs(self) -> list[str]:
        """Name the live processes of this demo: all share its session, zombies are no longer."""
        names = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                head, _, fields = stat.read_text().rpartition(")")
                state, _parent, _group, session = fields.split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    names.append(head.partition("(")[2])
        return names

    def stop(self, number: signal.Signals) -> str:
        """Stop it as a terminal or a supervisor does, and return the rest of its output."""
        os.killpg(self.process.pid, number)
        output, _ = self.process.communicate(timeout=STOP_SECONDS)
        return output

    def is_gone(self) -> bool:
        """Tell whether all processes have ended; a killed one may need a moment."""
        deadline = time.monotonic() + 2
        while self.programs() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.programs()


@contextlib.contextmanager
def running_demo(
    directory: Path, *options: str, environment: dict[str, str] = PREPARED
) -> Iterator[Demo]:
    """Run scripts/demo from *directory*, which is also where temporary files go."""
    process = subprocess.Popen(
        [DEMO, "--port", "0", *options],
        cwd=directory,
        env={**os.environ, "TMPDIR": str(directory), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process:
        watchdog = threading.Timer(BUILD_SECONDS, process.terminate)
        watchdog.start()
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("Demo on "):
                    break
            else:
                pytest.fail(f"The demo did not start:\n{''.join(lines)}")
            yield Demo(process, lines[-1], urlsplit(lines[-1].split()[2]).netloc)
        finally:
            watchdog.cancel()
            process.terminate()


def run_demo(
    *options: str, environment: dict[str, str] = PREPARED, shows_traceback: bool = False
) -> tuple[int, str]:
    """Run scripts/demo with something wrong; return its exit status and message."""
    ended = subprocess.run(
        [DEMO, *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=STOP_SECONDS,
        check=False,
    )
    assert ("Traceback" in ended.stderr) == shows_traceback
    return ended.returncode, ended.stderr


def path_with(directory: Path, *programs: str) -> str:
    """Make a PATH on which only bash, dirname and *programs* are found."""
    for program in ("bash", "dirname", *programs):
        found = shutil.which(program)
        assert found is not None
        (directory / program).symlink_to(found)
    return str(directory)


def test_the_loop_of_the_readme_and_exactly_one_wait(tmp_path: Path):
    readme = (DEMO.parents[1] / "README.md").read_text(encoding="utf-8")
    loop = re.search(r"^for i in .*?^done$", readme, re.DOTALL | re.MULTILINE)
    assert loop is not None
    with running_demo(tmp_path) as demo:
        command = loop[0].replace("127.0.0.1:8000", demo.address)
        output = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60
        ).stdout

        lines = output.splitlines()
        assert [line.strip() for line in lines[:LIMIT]] == ["200"] * LIMIT
        status, retry_after = lines[LIMIT].split()
        assert status == "429"
        assert 1 <= int(retry_after) <= 30

        _, wait = demo.get("/limited")
        assert wait is not None
        time.sleep(int(wait))

        assert demo.get("/limited")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serves_a_limit_and_ends_cleanly(tmp_path: Path, number: signal.Signals):
    with running_demo(tmp_path) as demo:
        statuses = [demo.get("/limited")[0] for _ in range(LIMIT)]
        refused, retry_after = demo.get("/limited")

        output = demo.stop(number)

        assert demo.announcement.endswith("(backend: in-process)  Ctrl-C stops it\n")
        assert statuses == [200] * LIMIT
        assert refused == 429
        assert retry_after is not None
        assert 1 <= int(retry_after) <= 30
        assert demo.process.returncode == 0
        assert output == ""
        assert demo.is_gone()


def test_two_workers_share_one_count_in_a_redis_of_their_own(tmp_path: Path):
    with running_demo(tmp_path, "--redis", "auto", "--workers", "2") as demo:
        with ThreadPoolExecutor(12) as callers:
            answers = list(callers.map(demo.get, ["/limited"] * 12))
        while_running = demo.programs()

        output = demo.stop(signal.SIGTERM)

        assert [status for status, _ in answers].count(200) == LIMIT
        assert [status for status, _ in answers].count(429) == 2
        assert while_running.count("redis-server") == 1
        assert demo.process.returncode == 0
        assert "Traceback" not in output
        assert demo.is_gone()
        assert list(tmp_path.iterdir()) == []


def test_makes_its_own_environment(tmp_path: Path):
    """Slow the first time in a checkout; later runs reuse .venv-demo."""
    with running_demo(tmp_path, environment={"FASTAPI_THROTTLE_DEMO_PYTHON": ""}) as demo:
        status, _ = demo.get("/limited")

        demo.stop(signal.SIGTERM)

        assert status == 200
        assert demo.process.returncode == 0
        assert demo.is_gone()


def test_a_port_in_use_is_named_with_the_way_out():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        status, message = run_demo("--port", str(port))

    assert status == 1
    assert f"Port {port} " in message
    assert "--port N" in message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--workers", "2"], "each worker counts alone"),
        (["--workers", "0"], "at least 1"),
        (["--port", "70000"], "65535"),
        (["--redis", "localhost:6379"], "redis://"),
        (["--redis", "redis://[::1"], "redis://"),
    ],
)
def test_wrong_usage_says_what_is_right(options: list[str], expected: str):
    status, message = run_demo(*options)

    assert status == 2
    assert expected in message


def test_an_app_that_cannot_start_fails_once(tmp_path: Path):
    status, message = run_demo(
        *("--port", "0", "--workers", "2", "--redis", "redis://127.0.0.1:1"),
        environment={**PREPARED, "FASTAPI_THROTTLE_KEY_PREFIX": "not a prefix"},
        shows_traceback=True,
    )

    assert status == 1
    assert "key_prefix" in message
    assert message.count("The demo app cannot run") == 1


def test_a_redis_that_does_not_answer_is_told_before_serving():
    status, message = run_demo("--port", "0", "--redis", "redis://127.0.0.1:1")

    assert status == 1
    assert "The store does not answer" in message


def test_a_missing_redis_server_is_named(tmp_path: Path):
    path = path_with(tmp_path)

    status, message = run_demo(
        "--port", "0", "--redis", "auto", environment={**PREPARED, "PATH": path}
    )

    assert status == 1
    assert "Install the package redis-server" in message


def test_an_old_python_is_told_from_a_new_one(tmp_path: Path):
    path = path_with(tmp_path, "cat")
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\n')
    old.chmod(0o755)

    status, message = run_demo(environment={"FASTAPI_THROTTLE_DEMO_PYTHON": "", "PATH": path})

    assert status == 1
    assert "Python 3.11 or newer" in message
    assert "Python 3.9.2" in message
