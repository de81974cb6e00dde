"""What is known about the store, and told: to the log once per change, to whoever asks always."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from fastapi_throttle.clock import monotonic, wall_clock
from fastapi_throttle.errors import BackendError, Fault
from fastapi_throttle.model import SECOND_US

logger = logging.getLogger("fastapi_throttle")

# Single failures between answers are one cause, and told once in this time.
QUIET_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store answers, as far as the last checks of this process know.

    Attributes:
        state: ``"ok"``, or ``"degraded"`` while limits follow their failure mode.
        error: The last reason why the store did not answer, without secrets; None: it always did.
        since: When the state began.
        failures: How many checks were decided without the store so far, by whose fault.
    """

    state: Literal["ok", "degraded"]
    error: str | None
    since: datetime
    failures: Mapping[Fault, int]


class HealthRecord:
    """Keeps what `Health` tells, and logs when it changes.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._is_ok = True
        self._error: str | None = None
        self._since = _now()
        self._failures: dict[Fault, int] = dict.fromkeys(get_args(Fault), 0)
        self._is_told = False
        self._quiet_until = -math.inf
        self._told_until = -math.inf

    def report(self) -> Health:
        """Return what is known now."""
        state: Literal["ok", "degraded"] = "ok" if self._is_ok else "degraded"
        return Health(state, self._error, self._since, dict(self._failures))

    def count(self, fault: Fault) -> None:
        """Count a check that is decided without the store."""
        self._failures[fault] += 1

    def failed(self, error: BackendError, *, is_given_up: bool) -> None:
        """Take note that the store failed a check.

        Args:
            error: Why.
            is_given_up: Whether it is not asked for a while.
        """
        self._error = str(error)
        if self._is_ok:
            self._is_ok, self._is_told = False, False
            self._since = _now()
        now = self._clock()
        if not self._is_told and (is_given_up or now >= self._quiet_until):
            self._is_told, self._quiet_until = True, now + QUIET_SECONDS
            level = logging.ERROR if error.fault == "configuration" else logging.WARNING
            message = "The store cannot answer, limits follow their failure mode: %s"
            logger.log(level, message, error, exc_info=error)

    def answered(self) -> None:
        """Take note of an answer."""
        if not self._is_ok:
            self._is_ok = True
            self._since = _now()
            if self._is_told:
                logger.info("The store answers again")

    def tell(self, error: BackendError) -> None:
        """Take note of a check that was not answered while the store is well."""
        self._error = str(error)
        now = self._clock()
        if now >= self._told_until:
            self._told_until = now + QUIET_SECONDS
            logger.warning("A check was decided without the store: %s", error, exc_info=error)


def _now() -> datetime:
    return datetime.fromtimestamp(wall_clock() / SECOND_US, UTC)
