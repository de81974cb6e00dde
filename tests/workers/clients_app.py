"""One short limit per algorithm, for clients that wait as they are told."""

from typing import get_args

from fastapi import Depends, FastAPI

from fastapi_throttle import RateLimit, Throttle
from fastapi_throttle.model import AlgorithmName

app = FastAPI()
Throttle(app)

for algorithm in get_args(AlgorithmName):
    limit = RateLimit(
        3,
        "2s",
        algorithm=algorithm,
        name=algorithm,
        key=lambda request: request.headers.get("x-caller"),
    )
    app.add_api_route(f"/{algorithm}", lambda: {}, dependencies=[Depends(limit)])
