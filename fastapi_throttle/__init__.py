"""Rate limits as FastAPI dependencies.

``Depends(RateLimit(100, "1m"))`` on a route, a router or an app; `Throttle` once per app.
"""

from fastapi_throttle.backends import Backend, MemoryBackend, RedisBackend
from fastapi_throttle.dependency import UNLIMITED, RateLimit, tiers
from fastapi_throttle.errors import BackendError, ConfigurationError, ThrottleError
from fastapi_throttle.identity import client_ip, everyone, first_of, principal
from fastapi_throttle.model import Decision, Policy
from fastapi_throttle.settings import ThrottleSettings
from fastapi_throttle.throttle import Throttle
from fastapi_throttle.web import RateLimitExceeded, RateLimitUnavailable

__all__ = [
    "UNLIMITED",
    "Backend",
    "BackendError",
    "ConfigurationError",
    "Decision",
    "MemoryBackend",
    "Policy",
    "RateLimit",
    "RateLimitExceeded",
    "RateLimitUnavailable",
    "RedisBackend",
    "Throttle",
    "ThrottleError",
    "ThrottleSettings",
    "client_ip",
    "everyone",
    "first_of",
    "principal",
    "tiers",
]
