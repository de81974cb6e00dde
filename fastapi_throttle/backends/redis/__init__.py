"""Counters in Redis, shared by all workers and hosts. The only folder that imports redis."""

from fastapi_throttle.backends.redis.backend import RedisBackend

__all__ = ["RedisBackend"]
