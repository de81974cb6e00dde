"""What a test puts in front of every throttle of the process."""

from collections.abc import Mapping
from itertools import count
from typing import Any, Protocol
from weakref import WeakValueDictionary

from fastapi_throttle.model import Hit, Policy


class Override(Protocol):
    """Answers in place of all throttles."""

    def decider(self, runtime: Any) -> Any:
        """Return what decides the claims of *runtime*."""

    def policy(self, rules: Any) -> Policy | None:
        """Return what a limit written as *rules* means for now; None for what it says."""

    def claimed(self, runtime: Any, bucket: tuple[str, ...], identity: Any, hit: Hit) -> None:
        """Take note of whose claim on which bucket *hit* is."""


class Overrides:
    """The one place of the process where tests and apps meet.

    Apps run in other threads and tasks than their tests, so no context variable would do.

    Attributes:
        active: What is asked first; None outside of tests.
    """

    def __init__(self) -> None:
        self.active: Override | None = None
        self._limits: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._number = count()

    def register(self, limit: Any) -> None:
        """Take note of a limit, for as long as it is in use."""
        self._limits[next(self._number)] = limit

    def limits(self) -> list[Any]:
        """Return the limits that are in use, newest first."""
        return [limit for _, limit in sorted(self._limits.items(), reverse=True)]


overrides = Overrides()


def check_wanted(*, enabled: object, isolation: object, limits: object) -> None:
    """Check what a test wants of limits.

    Raises:
        TypeError: One of them is of another type; ``"off"`` would switch limits on.
    """
    for argument, value in (("enabled", enabled), ("isolation", isolation)):
        if not isinstance(value, bool) and not (value is None and argument == "enabled"):
            message = f"{argument} must be True or False, got {value!r}"
            raise TypeError(message)
    if not isinstance(limits, Mapping):
        message = f"limits must be a mapping such as {{'search': '2/minute'}}, got {limits!r}"
        raise TypeError(message)
