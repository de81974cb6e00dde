"""Configuration from arguments and the environment."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ThrottleSettings(BaseSettings):
    """Settings of a `Throttle`: arguments first, then variables ``FASTAPI_THROTTLE_*``.

    No ``.env`` file is read.

    Attributes:
        backend: Where counters live: ``memory://``, or a URL as for `RedisBackend`.
        enabled: False admits everything and counts nothing.
        budget_ms: Milliseconds that checks may add to a request, whatever Redis does.
        redis_max_connections: Connections to Redis per event loop and process.
        secret: Keys the digests of identities in storage keys. Without it, addresses and user
            names can be found out by whoever reads Redis.
        key_prefix: Starts every storage key. Applications that share a Redis need different ones.
    """

    model_config = SettingsConfigDict(env_prefix="FASTAPI_THROTTLE_", extra="forbid")

    backend: str = "memory://"
    enabled: bool = True
    budget_ms: int = Field(default=250, ge=1, le=60_000)
    redis_max_connections: int = Field(default=50, ge=1, le=10_000)
    secret: SecretStr | None = Field(default=None, min_length=1)
    key_prefix: str = Field(default="ft", pattern=r"^[A-Za-z0-9_.-]{1,32}$")
