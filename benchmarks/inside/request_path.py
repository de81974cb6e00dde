"""What a limit costs a request: an app called in process, without a socket and without a store."""

import time
from collections.abc import Sequence
from itertools import cycle
from typing import Any

from fastapi import Depends, FastAPI

from benchmarks.contenders.contender import Contender
from fastapi_throttle import Decision, MemoryBackend, RateLimit, Throttle

# Decisions with that many different remainders, so that fields differ from request to request.
DECISIONS = 1_000
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "server": ("127.0.0.1", 8000),
    "client": ("203.0.113.9", 50000),
    "scheme": "http",
    "method": "GET",
    "root_path": "",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "headers": [
        (b"host", b"127.0.0.1:8000"),
        (b"user-agent", b"bench/1.0"),
        (b"accept", b"*/*"),
    ],
}


class Admitting:
    """A backend that admits everything and does nothing: it hands out decisions made before."""

    # Like those of the library, it says how long it takes at most, and is not watched by a timer.
    budget = 0.0

    def __init__(self) -> None:
        self._memory = MemoryBackend()
        self._made: list[tuple[Decision, ...]] = []
        self._again = cycle(self._made)

    async def hit(self, hits: Sequence[Any]) -> tuple[Decision, ...]:
        """Admit."""
        if len(self._made) < DECISIONS:
            self._made.append(await self._memory.hit(hits))
            return self._made[-1]
        return next(self._again)

    async def peek(self, hits: Sequence[Any]) -> tuple[Decision, ...]:
        """Tell so."""
        return await self._memory.peek(hits)

    async def reset(self, hits: Sequence[Any]) -> None:
        """Forget nothing."""

    async def aclose(self) -> None:
        """Close nothing."""


async def requests(_: Contender, *, count: int) -> dict[str, float]:
    """Return the microseconds per request: of a bare route, and of what a limit adds to it."""
    bare, limited = _apps()
    for app in (bare, limited):
        await _serve(app, DECISIONS + 100)
    # In turns, so that both meet the same moods of the machine.
    times = dict.fromkeys((bare, limited), 0.0)
    slices = 20
    for _turn in range(slices):
        for app in (bare, limited):
            times[app] += await _serve(app, count // slices)
    per_bare, per_limited = (time / (count // slices * slices) * 1e6 for time in times.values())
    return {"bare": per_bare, "limited": per_limited, "added": (per_limited - per_bare) / per_bare}


def _apps() -> tuple[FastAPI, FastAPI]:
    async def answer() -> dict[str, str]:
        return {"hello": "world"}

    bare, limited = FastAPI(), FastAPI()
    Throttle(limited, backend=Admitting())
    bare.get("/")(answer)
    limited.get("/", dependencies=[Depends(RateLimit(1_000_000, "1m"))])(answer)
    return bare, limited


async def _serve(app: FastAPI, count: int) -> float:
    """Serve so many requests and return the seconds."""
    statuses: set[int] = set()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    start = time.perf_counter()
    for _ in range(count):
        # Servers make every request's lists and dicts anew.
        await app({**SCOPE, "headers": list(SCOPE["headers"]), "state": {}}, receive, send)
    elapsed = time.perf_counter() - start
    if statuses != {200}:
        message = f"requests were answered with {statuses}"
        raise RuntimeError(message)
    return elapsed
