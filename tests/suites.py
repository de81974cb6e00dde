"""An app for suites of users, which tests of the plugin run."""

from collections.abc import Callable

import pytest

APP = """
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from fastapi_throttle import RateLimit, Throttle

app = FastAPI()
Throttle(app)
limit = RateLimit(5, "1m", name="search")


@app.get("/search", dependencies=[Depends(limit)])
async def search():
    return "found"


client = TestClient(app)


def statuses(times, path="/search"):
    return [client.get(path).status_code for _ in range(times)]
"""

Suite = Callable[..., pytest.RunResult]


def on_redis(url: str, app: str = APP) -> str:
    """Return an app that counts in the Redis at *url*."""
    throttle = f'Throttle(app, backend=RedisBackend("{url}"))'
    return "from fastapi_throttle import RedisBackend\n" + app.replace("Throttle(app)", throttle)
