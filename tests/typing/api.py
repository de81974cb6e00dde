"""How users write it: checked by mypy --strict, never run."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.security import APIKeyHeader
from redis.asyncio import Redis

from fastapi_throttle import (
    EXPOSE_HEADERS,
    UNLIMITED,
    Backend,
    Decision,
    Health,
    MemoryBackend,
    Policy,
    RateLimit,
    RateLimitExceeded,
    RedisBackend,
    Throttle,
    ThrottleSettings,
    all_of,
    api_key,
    client_ip,
    email,
    everyone,
    first_of,
    principal,
    tiers,
)


class User:
    id: int
    tier: str


async def user() -> User | None:
    return None


def tier(user: Annotated[User | None, Depends(user)]) -> str | None:
    return user.tier if user else None


app = FastAPI(dependencies=[Depends(RateLimit(100, "1m", key=client_ip()))])
backend: Backend = RedisBackend("redis://localhost")
backend = RedisBackend(Redis())
backend = MemoryBackend(max_partitions=10)
throttle = Throttle(
    app, backend=backend, settings=ThrottleSettings(budget_ms=100), default_key=client_ip()
)
router = APIRouter(dependencies=[Depends(RateLimit("10/second; 1000/hour", scope="route"))])

per_user = RateLimit(
    5, timedelta(minutes=1), key=first_of(principal(user), client_ip()), name="per-user"
)
per_tier = RateLimit(
    tiers({"free": "10/minute", "staff": UNLIMITED}, by=tier, default="free"),
    key=principal(user, by="id"),
    cost=lambda request: 2,
)
smooth = RateLimit(10, 1.5, algorithm="gcra", burst=20, key=everyone())
before_body = RateLimit(10, "1m", key=client_ip(trusted_hops=1), before_body=True)
login = RateLimit(5, "1m", failure_mode="closed")
by_key = RateLimit(10, "1m", key=api_key(APIKeyHeader(name="X-API-Key"), verify=lambda key: key))
together = all_of(per_user, RateLimit(5, "1m", key=email(user)))
exposed: tuple[str, ...] = EXPOSE_HEADERS
by_header = RateLimit(10, "1m", key=lambda request: request.headers.get("x-tenant"))


@app.get("/")
async def index(request: Request, decision: Annotated[Decision, Depends(per_user)]) -> int:
    again: Decision = await per_user.hit(request, key="user:42", cost=2)
    policy: Policy = again.policy
    wait: float | None = decision.retry_after
    await per_user.reset(request)
    return decision.remaining + len(policy.name) + (1 if wait else 0)


@app.get("/together")
async def both(decisions: Annotated[tuple[Decision, ...], Depends(together)]) -> int:
    return len(decisions)


@app.websocket("/ws")
async def ws(socket: WebSocket) -> None:
    decision = await smooth.peek(socket)
    if not decision.allowed:
        raise RateLimitExceeded(decision)


@app.get("/health")
async def health() -> Health:
    return throttle.health()


async def job() -> bool:
    decision: Decision = await throttle.hit("per-user", "user:42", cost=3)
    return decision.allowed and all(quota.remaining > 0 for quota in decision.quotas)
