"""Limits as a test wants them, for as long as it wants them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from fastapi_throttle.backends import Backend, check_backend
from fastapi_throttle.clock import stand_in
from fastapi_throttle.dependency import RateLimit
from fastapi_throttle.override import check_wanted, overrides
from fastapi_throttle.testing.claims import limit_called
from fastapi_throttle.testing.control import ThrottleControl
from fastapi_throttle.testing.stage import Stage


@contextmanager
def override(
    *,
    enabled: bool | None = None,
    limits: Mapping[RateLimit | str, str] | None = None,
    backend: Backend | None = None,
    isolation: bool = True,
    clock: Callable[[], int] | None = None,
) -> Iterator[ThrottleControl]:
    """Let every limit of the process start with empty counters, and as follows.

    Within another, what that counted is there again when this one ends.

    Args:
        enabled: Whether limits are on. Default: what the settings say.
        limits: Rates in place of those that are written, by limit or name:
            ``{"search": "2/minute"}``.
        backend: Where all apps count. Default: where they do anyway if that is in this process,
            else in this process.
        isolation: False leaves the apps' own backends in place, and what they counted.
        clock: What time it is, such as a `FakeClock`. Default: what it was before.

    Yields:
        What uses limits up, looks into them, lets their store fail.

    Raises:
        TypeError: An argument is of another type.
        ConfigurationError: A rate cannot be read.
        ThrottleError: At the end, a name in *limits* that no limit has.
    """
    limits = {} if limits is None else limits
    check_wanted(enabled=enabled, isolation=isolation, limits=limits)
    if backend is not None:
        check_backend(backend)
    if clock is not None and (isinstance(clock, type) or not callable(clock)):
        message = f"clock must be a FakeClock or return microseconds like one, got {clock!r}"
        raise TypeError(message)
    before = overrides.active, stand_in.clock
    stage = Stage(
        backend=backend,
        isolation=isolation,
        enabled=enabled,
        limits=limits,
        within=overrides.active,
    )
    overrides.active, stand_in.clock = stage, clock or stand_in.clock
    try:
        yield ThrottleControl(stage)
    finally:
        overrides.active, stand_in.clock = before
        stage.close()
    for limit in limits:
        limit_called(limit)
