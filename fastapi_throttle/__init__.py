"""Rate limits as FastAPI dependencies.

``Depends(RateLimit(100, "1m"))`` on a route, a router or an app; `Throttle` once per app.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi_throttle.backends import Backend, MemoryBackend, RedisBackend
    from fastapi_throttle.decision import Decision
    from fastapi_throttle.dependency import UNLIMITED, RateLimit, tiers
    from fastapi_throttle.dependency.all_of import all_of  # or mypy takes the module for it
    from fastapi_throttle.errors import BackendError, ConfigurationError, ThrottleError
    from fastapi_throttle.identity import api_key, client_ip, email, everyone, first_of, principal
    from fastapi_throttle.model import Policy
    from fastapi_throttle.resilience import Health
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
    "Health",
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

# Imported when first asked for: pytest loads the package in every suite, also where nobody uses it.
_HOMES = {
    "backends": ("Backend", "MemoryBackend", "RedisBackend"),
    "dependency": ("UNLIMITED", "RateLimit", "all_of", "tiers"),
    "errors": ("BackendError", "ConfigurationError", "ThrottleError"),
    "identity": ("api_key", "client_ip", "email", "everyone", "first_of", "principal"),
    "decision": ("Decision",),
    "model": ("Policy",),
    "resilience": ("Health",),
    "settings": ("ThrottleSettings",),
    "throttle": ("Throttle",),
    "web": ("EXPOSE_HEADERS", "RateLimitExceeded", "RateLimitUnavailable"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
