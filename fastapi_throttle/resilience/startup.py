"""Looks at the store when the app starts, before the first request does."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Literal

from fastapi_throttle.backends import Finding
from fastapi_throttle.errors import BackendError
from fastapi_throttle.model import Hit, Policy, Quota
from fastapi_throttle.resilience.store import Store

logger = logging.getLogger("fastapi_throttle")

Startup = Literal["ignore", "warn", "require"]

# Of nobody and for nothing: it shows that the script runs and may write.
POLICY = Policy.of((Quota(2**20, 1_000_000, 2**20),), "sliding-window", "startup")
# How long an app may wait for the findings; the script has the budget of a request.
SECONDS = 2.0


async def look_at(store: Store, hit: Hit, startup: Startup) -> None:
    """Tell what is wrong with *store*.

    Args:
        store: What is asked, as by a request.
        hit: Of `POLICY`, with storage keys that no limit has.
        startup: ``"ignore"`` asks nothing; ``"warn"`` only tells.

    Raises:
        BackendError: The store does not work, and *startup* is ``"require"``.
    """
    if startup == "ignore":
        return
    try:
        await store.hit((hit,), None)
    except BackendError as error:
        # With "warn" the store told it already, as at any other time.
        _require(startup, error)
        return
    try:
        findings = await _findings(store)
    except BackendError as error:
        _require(startup, error)
        logger.warning("The store at start-up: not all of it answers: %s", error, exc_info=error)
        return
    for finding in findings:
        level = logging.WARNING if finding.is_harmful else logging.INFO
        logger.log(level, "The store at start-up: %s", finding.text)


def _require(startup: Startup, error: BackendError) -> None:
    if startup == "require":
        message = f"startup='require' needs a store that works, and it does not: {error}"
        raise BackendError(message, fault=error.fault) from error


async def _findings(store: Store) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(SECONDS):
            return await store.findings()
    except TimeoutError as error:
        message = f"The store could not be looked at within {SECONDS} s"
        raise BackendError(message) from error
