"""Faults of what is stored, and of the clock it goes by; see `fault_scene`."""

import pytest
from clock import Clock
from fault_run import CROWD, WINDOW_SECONDS
from fault_scene import Rows, endure

ROWS = Rows()


@ROWS.row("B24", kind=None, budgets=2)
async def another_type(scene):
    client = scene.server.client
    for key in client.scan_iter():
        client.delete(key)
        client.lpush(key, "of others")
    yield


@ROWS.row("B25", kind=None, budgets=2)
async def unreadable(scene):
    for key in scene.server.client.scan_iter():
        scene.server.client.set(key, b"\xff" * 50, keepttl=True)
    yield


@ROWS.row("B26", kind=None)
async def without_ttl(scene):
    client = scene.server.client
    for key in client.scan_iter():
        client.persist(key)
    yield
    await scene.run.use_up()
    # A refusal arms it again; who asked once, before, was not looked at again.
    assert sum(client.pttl(key) == -1 for key in client.scan_iter()) == 2


@ROWS.row("B27", kind=None, budgets=2)
async def flushed(scene):
    scene.server.client.flushall()
    yield


HOUR = 3_600


@ROWS.row("B28", kind=None, budgets=2, options={"clock": Clock()})
async def clock_of_the_server_back(scene):
    scene.run.clock.advance(-HOUR)
    yield
    await over_in_a_window(scene)


@ROWS.row("B29", kind=None, budgets=3, options={"clock": Clock()})
async def clock_of_the_server_forward_and_back(scene):
    scene.run.clock.advance(HOUR)
    yield
    await scene.run.use_up()
    scene.run.clock.advance(-HOUR)
    await over_in_a_window(scene)


async def over_in_a_window(scene):
    """Check that who is refused after a step of the clock is not for longer than ever."""
    await scene.run.use_up()
    client = scene.server.client
    slack = 2 + WINDOW_SECONDS / 60
    assert max(map(client.pttl, client.scan_iter())) / 1_000 <= WINDOW_SECONDS + slack
    scene.run.clock.advance(WINDOW_SECONDS)
    assert (await scene.run.ask("local", CROWD)).status == 200


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_fault_of_what_is_stored(row):
    await endure(row)
