"""What every contender is: a limiter behind the few questions that all of them can be asked.

An adapter does for its library what the library's own manual says, with a pool of connections that
is large enough for the most checks at once, and nothing that makes it slower or faster than it is.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from fastapi import Depends, FastAPI, HTTPException, Request

# More checks at once than any scene has: redis-py refuses, rather than waits, when a pool is empty.
CONNECTIONS = 512

Check = Callable[[str], Awaitable[bool]]


class Rule(NamedTuple):
    """At most *limit* per *window* seconds, for each key."""

    limit: int
    window: int


class CannotError(Exception):
    """The library has no such thing; the text says what it lacks."""


class Contender:
    """One library in one configuration."""

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """Return what counts a key in Redis and tells whether it is admitted."""
        message = "does not count in Redis"
        raise CannotError(message)

    async def in_memory(self, rule: Rule) -> Check:
        """Return the same, counting in this process."""
        message = "does not count in the process"
        raise CannotError(message)

    async def aclose(self) -> None:
        """Close what was opened, where a library leaves that to its users."""

    def app(self, url: str, rules: Mapping[str, Rule]) -> FastAPI:
        """Return an app with ``/free`` and a route per rule; who pays is the client's address.

        For a library that has nothing for FastAPI, the dependency that its users write.
        """
        checks: dict[str, Check] = {}

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            for name, rule in rules.items():
                checks[name] = await self.on_redis(url, rule)
            yield
            await self.aclose()

        def limit(name: str) -> Callable[[Request], Awaitable[None]]:
            async def ask(request: Request) -> None:
                if not await checks[name](f"{name}:{request.client.host}"):
                    raise HTTPException(429)

            return ask

        app = FastAPI(lifespan=lifespan)
        app.get("/free")(answer)
        for name in rules:
            app.get(f"/{name}", dependencies=[Depends(limit(name))])(answer)
        return app


async def answer() -> dict[str, str]:
    """Answer a request: what every limited and every free route does."""
    return {"hello": "world"}
