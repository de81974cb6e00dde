"""Where counters live and where they are decided: in this process, or in Redis for all of them."""

from fastapi_throttle.backends.memory import MemoryBackend
from fastapi_throttle.backends.protocol import Backend, Finding, check_backend
from fastapi_throttle.backends.redis import RedisBackend

__all__ = ["Backend", "Finding", "MemoryBackend", "RedisBackend", "check_backend"]
