"""What a test does to limits."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Literal, TypeVar

from fastapi_throttle.clock import wall_clock
from fastapi_throttle.decision import Decision
from fastapi_throttle.dependency import RateLimit
from fastapi_throttle.errors import ThrottleError
from fastapi_throttle.model import MAX_LIMIT
from fastapi_throttle.notation import parse_rules
from fastapi_throttle.testing.claims import Claims, check_key, limit_called
from fastapi_throttle.testing.failing import checked_failure
from fastapi_throttle.testing.stage import Stage

T = TypeVar("T")


class ThrottleControl:
    """Uses limits up, looks into them, rewrites them, lets their store fail: in every app.

    Methods are synchronous, for tests of either kind. A *limit* is a `RateLimit` or the name of
    one; a name that no limit has is a `ThrottleError`. A *key* is text as for `Throttle.hit`,
    ``"user:42"``, ``"ip:testclient"``, or what a resolver of the application returns; without
    one, every caller is meant; one that nobody can have is a `TypeError`.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @property
    def decisions(self) -> list[Decision]:
        """What was decided in this test, in order. While limits are off nothing is."""
        return list(self._stage.decisions)

    def exhaust(self, limit: RateLimit | str, key: Any = None) -> None:
        """Use a limit up, for one of its windows from now on.

        Raises:
            ThrottleError: No limit has this name.
        """
        self._stage.mark(Claims(_known(limit, key), key), wall_clock())

    def allow(self, limit: RateLimit | str, key: Any = None) -> None:
        """Undo `exhaust`; what was counted stays counted.

        Raises:
            ThrottleError: No limit has this name.
        """
        self._stage.mark(Claims(_known(limit, key), key), None)

    def remaining(self, limit: RateLimit | str, key: Any = None) -> int:
        """Return how many quota units are left; without *key*, to whom least is.

        Raises:
            ThrottleError: No limit has this name; or its rate depends on the request, and there
                was none by this caller yet.
        """
        known = _known(limit, key)
        claims = self._stage.made(Claims(known, key))
        if not claims:
            return self._untouched(known, key)
        return min(_run(self._stage.remaining(claimed, known)) for claimed in claims)

    def reset(self) -> None:
        """Start anew: nothing is counted, exhausted or decided. Rates and failures stay."""
        _run(self._stage.reset())

    def fail_store(
        self, kind: Literal["timeout", "down", "slow"]
    ) -> AbstractContextManager[object]:
        """Let the store fail from now on.

        Args:
            kind: ``"down"`` refuses at once; ``"timeout"`` never answers within the budget of a
                check; ``"slow"`` answers after it, so what it was asked to count is counted. With
                a clock that stands still, nobody waits for the budget to pass.

        Returns:
            A context at whose end it is as before; without one the store fails until the test ends.

        Raises:
            ConfigurationError: *kind* is none of these.
        """
        as_before = ExitStack()
        as_before.callback(setattr, self._stage, "failure", self._stage.failure)
        self._stage.failure = checked_failure(kind)
        return as_before

    def override(self, limit: RateLimit | str, rate: str) -> AbstractContextManager[object]:
        """Give a limit another rate, for all callers: ``"2/minute"``, ``"1/s; 10/m"``.

        Returns:
            A context at whose end it is as before; without one that is when the test ends.

        Raises:
            ThrottleError: No limit has this name.
            TypeError: *rate* is no text.
            ConfigurationError: *rate* cannot be read, or the limit's algorithm cannot count it.
        """
        known = limit_called(limit)
        parse_rules(rate, "rate")
        known.rules.rewritten(rate)  # or it would fail in the app
        return self._stage.rewrite(known, rate)

    def _untouched(self, limit: RateLimit, key: Any) -> int:
        """Return what is left of what nobody used."""
        policy = limit.rules.static or limit.rules.typical
        if policy is None:
            message = (
                f"the rate of {limit.name or limit.rule!r} depends on the request, and there was "
                f"none by {'anybody' if key is None else repr(key)} yet"
            )
            raise ThrottleError(message)
        since = self._stage.used_up_since(Claims(limit, key).overlaps)
        left = [
            0 if since is not None and since + quota.window_us > wall_clock() else quota.burst
            for quota in policy.quotas
        ]
        return min(left, default=MAX_LIMIT)


def _known(limit: RateLimit | str, key: object) -> RateLimit:
    check_key(key)
    return limit_called(limit)


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it to its end, also where the caller's event loop is running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
