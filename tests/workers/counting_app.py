"""An app as several workers run it; CLOCK_SHIFT moves this process's clock by that many seconds."""

import os
import time

SHIFT = int(os.environ.get("CLOCK_SHIFT", "0"))
if SHIFT:
    real_time, real_time_ns = time.time, time.time_ns
    time.time = lambda: real_time() + SHIFT
    time.time_ns = lambda: real_time_ns() + SHIFT * 10**9

from typing import Annotated  # noqa: E402 - the clock is moved before anything reads it

from fastapi import APIRouter, Depends, FastAPI  # noqa: E402

from fastapi_throttle import Decision, RateLimit, Throttle, everyone  # noqa: E402

app = FastAPI()
Throttle(app)
router = APIRouter(dependencies=[Depends(RateLimit(1, "1h", key=everyone(), scope="route"))])


@app.get("/limited")
async def limited(
    decision: Annotated[Decision, Depends(RateLimit(100, "1m", key=everyone()))],
) -> list[int]:
    return [os.getpid(), int(decision.degraded), int(time.time())]


@app.get("/warm", dependencies=[Depends(RateLimit(100_000, "1m", key=everyone()))])
async def warm() -> int:
    return os.getpid()


@router.get("/{user}")
async def routed(user: str) -> int:
    return os.getpid()


app.include_router(router, prefix="/one")
app.include_router(router, prefix="/two")


@app.get("/first", dependencies=[Depends(RateLimit(1, "1h", key=everyone()))])
@app.get("/second", dependencies=[Depends(RateLimit(1, "1h", key=everyone()))])
async def plain() -> int:
    return os.getpid()
