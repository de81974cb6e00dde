"""Requests whose callers do not wait for the answer; see `fault_scene`."""

import asyncio
import contextlib
import json
import random

from fault_run import MANY
from fault_scene import Row, endure

from fastapi_throttle.backends.redis.lane import MOST_CALLS

CANCELLED = 5_000
MANY_AT_ONCE = 40
# Every caller has a cost of their own: a reply to another's check leaves something else.
COSTS = (10_007, 10_009, 10_037, 10_039, 10_061, 10_067, 10_069, 10_079)


async def ask(app, cost):
    """Send one request as a server does, and return what it is told to be left."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/costly",
        "query_string": b"",
        "headers": [(b"x-who", f"caller {cost}".encode()), (b"x-cost", str(cost).encode())],
        "app": app,
    }
    messages = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        messages.append(message)

    await app(scope, receive, send)
    start, *body = messages
    assert start["status"] == 200
    return json.loads(b"".join(part["body"] for part in body))["remaining"]


async def cancelled_at_random(app, draw):
    """Cancel some of a few or many requests at some moment; return what callers were told."""
    # Of a few, most are on their way alone; of many, most ride together.
    costs = draw.choices(COSTS, k=draw.choice((1, 2, MANY_AT_ONCE)))
    tasks = [asyncio.ensure_future(ask(app, cost)) for cost in costs]
    for task in draw.sample(tasks, draw.randint(1, len(tasks))):
        await asyncio.sleep(draw.choice((0, 0, 0, 0.001, 0.002)))
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    return [
        (cost, None if isinstance(outcome, asyncio.CancelledError) else MANY - outcome)
        for cost, outcome in zip(costs, outcomes, strict=True)
    ]


async def cancelled(scene):
    draw = random.Random(42)
    used = {cost: [] for cost in COSTS}
    number = 0
    # So that most are cancelled before the reply is there, and the next ones ask at once.
    scene.proxy.delay = 0.003
    while number < CANCELLED:
        for cost, its in await cancelled_at_random(scene.run.app, draw):
            used[cost].append(its)
            number += its is None
    scene.proxy.delay = 0
    for cost, all_of_it in used.items():
        told = [its for its in all_of_it if its is not None]
        assert {its % cost for its in told} == {0}
        assert len(set(told)) == len(told) > 10
        assert max(told) <= len(all_of_it) * cost
    # Ours, and those of the app.
    assert len(scene.server.client.client_list()) <= 1 + MOST_CALLS
    yield


async def test_5000_cancelled_requests():
    """B42."""
    await endure(Row("B42", contextlib.asynccontextmanager(cancelled), kind=None))
