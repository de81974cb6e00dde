"""The stores that a test names by their kind."""

from collections.abc import Callable

from fastapi_throttle.backends import Backend, MemoryBackend, RedisBackend

# The machine may be busy with many tests, and an outage is simulated otherwise.
_BUDGET = 5.0


def new_backend(kind: str, redis_url: Callable[[], str]) -> Backend:
    """Return a new, empty backend.

    Args:
        kind: ``"memory"``, ``"fakeredis"`` or ``"redis"``.
        redis_url: Returns the address of an empty Redis.
    """
    if kind == "memory":
        return MemoryBackend()
    if kind == "redis":
        return RedisBackend(redis_url(), budget=_BUDGET)
    from fakeredis import FakeAsyncRedis, FakeServer  # noqa: PLC0415 - not everybody has it

    return RedisBackend(FakeAsyncRedis(server=FakeServer()), budget=_BUDGET)
