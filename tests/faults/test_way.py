"""Faults of the way to Redis; see `fault_scene`."""

import asyncio

import pytest
from fault_scene import Rows, endure

from fastapi_throttle.backends.redis.lane import MOST_CALLS

ROWS = Rows()


@ROWS.row("B1")
async def nobody_listens(scene):
    async with scene.proxy.gone():
        yield


@ROWS.row("B1", is_first=True)
async def never_started(scene):
    scene.server.stop()
    yield
    scene.server.start()


@ROWS.row("B1", budgets=2)
async def killed(scene):
    scene.server.stop()
    yield
    scene.server.start()


@ROWS.row("B2")
async def reset(scene):
    scene.proxy.close_all("reset")
    scene.proxy.arrivals = "reset"
    yield
    scene.proxy.arrivals = "served"


@ROWS.row("B2")
async def fin(scene):
    scene.proxy.close_all("fin")
    scene.proxy.arrivals = "fin"
    yield
    scene.proxy.arrivals = "served"


@ROWS.row("B3", kind=None)
async def idle_closed(scene):
    scene.execute("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await asyncio.sleep(0.02)
    yield


@ROWS.row("B4")
async def connect_hangs(scene):
    async with scene.proxy.full():
        yield


@ROWS.row("B5")
async def black_hole(scene):
    scene.proxy.questions = "lost"
    yield
    scene.proxy.questions = "pass"


@ROWS.row("B5")
async def stopped(scene):
    with scene.server.paused():
        yield


@ROWS.row("B6", is_partial=True)
async def half_open(scene):
    """As many connections as there may be are dead without a sign; new ones work."""
    scene.proxy.delay = 0.05
    hits = (scene.run.throttle.hit("open", f"many {number}") for number in range(500))
    assert not any(decision.degraded for decision in await asyncio.gather(*hits))
    scene.proxy.delay = 0
    assert len(scene.server.client.client_list()) == 1 + MOST_CALLS
    scene.proxy.freeze_all()
    yield


@ROWS.row("B7")
async def slow(scene):
    scene.proxy.delay = 1
    yield
    scene.proxy.delay = 0


@ROWS.row("B7")
async def client_pause(scene):
    scene.execute("CLIENT", "PAUSE", "60000", "WRITE")
    yield
    scene.execute("CLIENT", "UNPAUSE")


@ROWS.row("B8", kind=None)
async def slow_within_the_budget(scene):
    scene.proxy.delay = 0.03
    yield
    scene.proxy.delay = 0


@ROWS.row("B8", kind=None)
async def drip(scene):
    scene.proxy.replies = "drip"
    yield
    scene.proxy.replies = "pass"


@ROWS.row("B9")
async def reply_cut(scene):
    scene.proxy.replies = "cut"
    yield
    scene.proxy.replies = "pass"


@ROWS.row("B9")
async def reply_lost(scene):
    scene.proxy.replies = "lost"
    yield
    scene.proxy.replies = "pass"


@ROWS.row("B10")
async def garbage(scene):
    scene.proxy.replies = b"\x00\x01garbage\r\n"
    yield
    scene.proxy.replies = "pass"


@ROWS.row("B10")
async def truncated(scene):
    scene.proxy.replies = "truncated"
    yield
    scene.proxy.replies = "pass"


@ROWS.row("B10")
async def not_redis(scene):
    scene.proxy.replies = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    yield
    scene.proxy.replies = "pass"


@ROWS.row("B10")
async def another_kind_of_reply(scene):
    scene.proxy.replies = b":1\r\n"
    yield
    scene.proxy.replies = "pass"


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_fault_of_the_way(row):
    await endure(row)
