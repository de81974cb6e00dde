"""What stands between a store that fails and the requests: budget, breaker, local limits."""

from fastapi_throttle.resilience.budget import Budget
from fastapi_throttle.resilience.denials import DenialCache
from fastapi_throttle.resilience.fallback import Fallback, unavailable, unchecked
from fastapi_throttle.resilience.health import Health
from fastapi_throttle.resilience.startup import Startup, look_at
from fastapi_throttle.resilience.store import Store

__all__ = [
    "Budget",
    "DenialCache",
    "Fallback",
    "Health",
    "Startup",
    "Store",
    "look_at",
    "unavailable",
    "unchecked",
]
