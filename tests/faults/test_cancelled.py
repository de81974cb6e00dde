"""Requests whose callers do not wait for the answer; see `fault_scene`."""

import asyncio
import contextlib
import json
import random

from fault_run import MANY
from fault_scene import Row, endure

CANCELLED = 5_000
AT_ONCE = 40
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
    """Cancel some of many requests at some moment; return how many, and what others were told."""
    asked = [(cost, asyncio.ensure_future(ask(app, cost))) for cost in COSTS * (AT_ONCE // 8)]
    for _, task in draw.sample(asked, draw.randrange(AT_ONCE)):
        if draw.random() < 0.2:
            await asyncio.sleep(draw.choice((0, 0, 0.0005)))
        task.cancel()
    outcomes = await asyncio.gather(*(task for _, task in asked), return_exceptions=True)
    told = [
        (cost, outcome)
        for (cost, _), outcome in zip(asked, outcomes, strict=True)
        if not isinstance(outcome, asyncio.CancelledError)
    ]
    return len(asked) - len(told), told


async def cancelled(scene):
    draw = random.Random(42)
    number, told = 0, []
    while number < CANCELLED:
        more, answers = await cancelled_at_random(scene.run.app, draw)
        number += more
        told += answers
    asked = (number + len(told)) // len(COSTS)
    for cost in COSTS:
        its = [remaining for whose, remaining in told if whose == cost]
        assert {(MANY - remaining) % cost for remaining in its} == {0}
        assert len(set(its)) == len(its)
        assert MANY - min(its) <= asked * cost
    assert len(told) > CANCELLED / 10
    # Ours, and those of the app.
    assert len(scene.server.client.client_list()) <= 1 + 4
    yield


async def test_5000_cancelled_requests():
    """B42."""
    await endure(Row("B42", contextlib.asynccontextmanager(cancelled), kind=None))
