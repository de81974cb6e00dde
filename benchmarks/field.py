"""Who takes part, and the processes they run in.

Each contender has a process of its own, in an environment of its own where versions clash; all of
them wait while one works, so rounds can take turns whoever they belong to.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
# Made by scripts/bench.
OURS, PEERS, LIMITER_01 = (
    f".venv-bench-{name}" for name in ("ours", "peers", "fastapi-limiter-0.1")
)


class Entry(NamedTuple):
    """A contender.

    Attributes:
        title: What it is called in the tables.
        module: Its adapter, a module of ``contenders``.
        name: Which contender of that module.
        environment: The virtual environment it runs in.
        settings: Environment variables that it is configured by.
    """

    title: str
    module: str
    name: str
    environment: str = PEERS
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether it is this library."""
        return self.module == "throttle"

    @property
    def is_peer(self) -> bool:
        """Whether it is a library that ours is compared with."""
        return not self.is_ours and self is not PLAIN


# As the README asks for it.
SECRET = (("FASTAPI_THROTTLE_SECRET", "only-for-benchmarks"),)
NONE = Entry("no limiter", "none", "none", OURS)
PLAIN = Entry("plain EVALSHA", "plain", "plain", OURS)
SLIDING = Entry("fastapi_throttle sliding-window", "throttle", "sliding-window", OURS, SECRET)
GCRA = Entry("fastapi_throttle gcra", "throttle", "gcra", OURS, SECRET)
SLIDING_ASKING = Entry(
    "the same, no denial cache",
    "throttle",
    "sliding-window",
    OURS,
    (*SECRET, ("FASTAPI_THROTTLE_DENIAL_CACHE", "false")),
)
LIMITER = Entry("fastapi-limiter 0.1", "fastapi_limiter_01", "fixed", LIMITER_01)
LIMITS = [Entry(f"limits {name}", "limits", name) for name in ("fixed", "sliding", "moving")]
THROTTLED = [Entry(f"throttled-py {name}", "throttled", name) for name in ("gcra", "fixed")]
PYRATE = [Entry(f"pyrate-limiter {name}", "pyrate", name) for name in ("log", "token bucket")]
SLOWAPI, SLOWAPI_HEADERS = (
    Entry(f"slowapi{suffix}", "slowapi", f"fixed{suffix}") for suffix in ("", ", with headers")
)
REDIS_SDK = Entry("fastapi-redis-sdk", "redis_sdk", "fixed")
LIMITER_02 = Entry("fastapi-limiter 0.2", "fastapi_limiter_02", "log")
PEER_ENTRIES = [LIMITER, LIMITER_02, *LIMITS, *THROTTLED, *PYRATE, REDIS_SDK, SLOWAPI]
ENTRIES = [PLAIN, SLIDING, GCRA, *PEER_ENTRIES]


class CannotError(Exception):
    """A contender does not take part in a scene; the text says why."""


class Worker:
    """A contender's process."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._process = subprocess.Popen(
            [
                *(ROOT / entry.environment / "bin" / "python", "-m", "benchmarks.worker"),
                *(entry.module, entry.name),
            ],
            cwd=ROOT,
            env={**os.environ, **dict(entry.settings)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, function: str, **arguments: Any) -> Any:
        """Run a function of ``inside`` there and return what it returns.

        Raises:
            CannotError: The library has no such thing, or failed.
        """
        assert self._process.stdin is not None  # noqa: S101 - opened above
        assert self._process.stdout is not None  # noqa: S101
        try:
            print(
                json.dumps({"function": function, "arguments": arguments}),
                file=self._process.stdin,
                flush=True,
            )
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            message = f"its process ended with status {self._process.wait()}"
            raise CannotError(message)
        answer = json.loads(line)
        if "result" in answer:
            return answer["result"]
        raise CannotError(answer.get("cannot") or answer["error"])

    def close(self) -> None:
        """End the process."""
        with self._process:
            self._process.terminate()


class Field:
    """The workers of a run, each started when it is first asked for."""

    def __init__(self) -> None:
        self._workers: dict[Entry, Worker] = {}

    def __getitem__(self, entry: Entry) -> Worker:
        """Return the worker of a contender."""
        if entry not in self._workers:
            self._workers[entry] = Worker(entry)
        return self._workers[entry]

    def close(self) -> None:
        """End all processes; who is asked again gets a new one."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()


@contextlib.contextmanager
def field() -> Iterator[Field]:
    """Yield a field whose processes end with the block."""
    workers = Field()
    try:
        yield workers
    finally:
        workers.close()


def show(message: str) -> None:
    """Tell who waits how far it is."""
    print(message, file=sys.stderr, flush=True)
