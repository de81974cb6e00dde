"""Configuration from arguments and the environment."""

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fastapi_throttle.model import FailureMode
from fastapi_throttle.resilience import Startup


def _split(value: Any) -> Any:
    """Read a list as people write it into an environment: JSON, or separated by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class ThrottleSettings(BaseSettings):
    """Settings of a `Throttle`: arguments first, then variables ``FASTAPI_THROTTLE_*``.

    No ``.env`` file is read.

    Attributes:
        backend: Where counters live: ``memory://``, or a URL as for `RedisBackend`.
        enabled: False admits everything and counts nothing.
        failure_mode: What limits do that name no failure mode, while the store cannot answer:
            ``local`` counts in this process, ``closed`` answers 503, ``open`` admits.
        workers: How many processes share a limit that is counted locally, on all hosts.
        denial_cache: Whether to refuse again what Redis refused, without asking it, until the retry
            time and for at most a second. Another worker's reset is seen that much later.
        startup: Whether an app that starts looks at the store: ``ignore``, ``warn`` (tells what is
            wrong), ``require`` (does not start without a store that works).
        budget_ms: Milliseconds that checks may add to a request, whatever Redis does.
        redis_max_connections: Connections to Redis per event loop and process.
        secret: Keys the digests of identities in storage keys. Without it, addresses and user
            names can be found out by whoever reads Redis.
        fields: Which response fields tell clients about limits: ``draft`` for RateLimit and
            RateLimit-Policy, ``legacy`` for X-RateLimit-*, ``both`` or ``none``.
        legacy_reset: Whether X-RateLimit-Reset is seconds from now (``delta``) or since the Unix
            epoch (``epoch``).
        problem_details: Whether refusals have a body of application/problem+json, where the
            app has no handler of its own for them.
        openapi: Whether limits and the 429 show in the OpenAPI document.
        key_prefix: Starts every storage key. Applications that share a Redis need different ones.
        trusted_proxies: Networks of the proxies that are believed about the client's address; in
            the environment as JSON or separated by commas. For this and the following, see
            `identity.AddressRules`.
        trusted_hops: How many proxies stand in front of the app.
        proxy_header: The one header that is read.
        trust_unix_peer: Whether to believe what comes through a unix socket.
        ipv4_prefix: How many bits of an IPv4 address make an identity.
        ipv6_prefix: The same for IPv6.
        unsafe_trust_any_proxy: Accept networks that hold every address.
    """

    model_config = SettingsConfigDict(
        env_prefix="FASTAPI_THROTTLE_", extra="forbid", hide_input_in_errors=True
    )

    # It may hold a password.
    backend: str = Field(default="memory://", repr=False)
    enabled: bool = True
    failure_mode: FailureMode = "local"
    workers: int = Field(default=1, ge=1, le=100_000)
    denial_cache: bool = True
    startup: Startup = "warn"
    budget_ms: int = Field(default=250, ge=1, le=60_000)
    redis_max_connections: int = Field(default=50, ge=1, le=10_000)
    secret: SecretStr | None = Field(default=None, min_length=1)
    trusted_proxies: Networks = ()
    trusted_hops: int = 0
    proxy_header: str = "x-forwarded-for"
    trust_unix_peer: bool = False
    ipv4_prefix: int = 32
    ipv6_prefix: int = 64
    unsafe_trust_any_proxy: bool = False
    fields: Literal["draft", "legacy", "both", "none"] = "draft"
    legacy_reset: Literal["delta", "epoch"] = "delta"
    problem_details: bool = True
    openapi: bool = True
    key_prefix: str = Field(default="ft", pattern=r"^[A-Za-z0-9_.-]{1,32}$")
