"""Rate limits as FastAPI dependencies.

``Depends(RateLimit(100, "1m"))`` on a route, a router or an app; `Throttle` once per app.
"""

from fastapi_throttle.backends import Backend, MemoryBackend, RedisBackend
from fastapi_throttle.dependency import UNLIMITED, RateLimit, all_of, tiers
from fastapi_throttle.errors import BackendError, ConfigurationError, ThrottleError
from fastapi_throttle.identity import api_key, client_ip, email, everyone, first_of, principal
from fastapi_throttle.model import Decision, Policy
from fastapi_throttle.settings import ThrottleSettings
from fastapi_throttle.throttle import Throttle
from fastapi_throttle.web import EXPOSE_HEADERS, RateLimitExceeded, RateLimitUnavailable

__all__ = [
    "EXPOSE_HEADERS",
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
    "all_of",
    "api_key",
    "client_ip",
    "email",
    "everyone",
    "first_of",
    "principal",
    "tiers",
]
