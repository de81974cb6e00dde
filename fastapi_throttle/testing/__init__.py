"""Tests of apps that use limits: in pytest by its plugin, elsewhere by these."""

from fastapi_throttle.testing.assertions import assert_throttled
from fastapi_throttle.testing.clock import FakeClock
from fastapi_throttle.testing.control import ThrottleControl
from fastapi_throttle.testing.override import override

__all__ = ["FakeClock", "ThrottleControl", "assert_throttled", "override"]
