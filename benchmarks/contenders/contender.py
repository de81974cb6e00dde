"""What every contender is: a limiter behind the few questions that all of them can be asked.

An adapter does for its library what the library's own manual says, with a pool of connections that
is large enough for the most checks at once, and nothing that makes it slower or faster than it is.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

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
    """One library in one configuration; a scene that it does not override is none of its."""

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """Return what counts a key in Redis and tells whether it is admitted."""
        message = "does not count in Redis"
        raise CannotError(message)

    async def in_memory(self, rule: Rule) -> Check:
        """Return the same, counting in this process."""
        message = "does not count in the process"
        raise CannotError(message)

    def app(self, url: str, rules: Mapping[str, Rule]) -> Any:
        """Return a FastAPI app: a route per rule, who pays is the address, and ``/free``."""
        message = "has nothing for FastAPI"
        raise CannotError(message)
