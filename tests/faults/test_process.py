"""Faults of the process that asks; see `fault_scene`."""

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections import Counter

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from fault_run import BUDGET, LIMIT, MODES, in_use
from fault_scene import Row, Rows, endure

ROWS = Rows()


@contextlib.asynccontextmanager
async def meanwhile(work):
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@ROWS.row("B23", kind="overload", is_partial=True, options={"max_connections": 1})
async def no_connection_free(scene):
    """There are more checks than the only connection can carry in time; Redis is well."""
    decisions = []

    async def flood():
        for number in itertools.count():
            mode = MODES[number % 3]
            hits = (scene.run.throttle.hit(mode, f"{number} {at}") for at in range(110))
            decisions.extend(await asyncio.gather(*hits))

    scene.proxy.delay = 0.12
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(meanwhile(flood()))
        await asyncio.sleep(0.5)
        yield
    scene.proxy.delay = 0
    modes = Counter(decision.failure_mode for decision in decisions)
    assert modes.keys() == {None, "local", "closed"}
    # Calls are not cut short because others waited: what can be carried is.
    assert modes[None] > modes.total() / 10


@ROWS.row("B23", kind="overload", is_partial=True)
async def stalled_loop(scene):
    """Something else keeps the event loop from reading answers that are there."""
    degraded = []
    for _ in range(6):
        asked = [asyncio.ensure_future(scene.run.ask(mode)) for mode in MODES * 2]
        for _ in range(100):
            await asyncio.sleep(0)
            if in_use(scene.run.backend):
                break
        time.sleep(1.4 * BUDGET)  # noqa: ASYNC251, TID251 - this is the fault
        degraded += [answer for answer in await asyncio.gather(*asked) if answer.is_degraded]
    assert degraded
    yield


def worker_clock(step):
    """Return a fault that sets this process's wall clock."""

    async def fault(scene):
        with pytest.MonkeyPatch.context() as patch:
            seconds, nanoseconds = time.time, time.time_ns
            patch.setattr(time, "time", lambda: seconds() + step)
            patch.setattr(time, "time_ns", lambda: nanoseconds() + step * 10**9)
            yield

    fault.__name__ = f"worker_clock_{step:+}_s"
    return fault


for step in (-3_600, 3_600):
    ROWS.row("B30", kind=None)(worker_clock(step))


@ROWS.row("B30")
async def worker_clock_in_an_outage(scene):
    with scene.server.paused():
        await scene.run.use_up_share()
        async with contextlib.asynccontextmanager(worker_clock(3_600))(scene):
            yield


@ROWS.row("B39", kind=None)
async def several_event_loops(scene):
    """Requests without a lifespan run on a loop each, one after the other and at once."""

    def ask():
        answers = [TestClient(scene.run.app).get("/open", headers={"x-who": "?"}) for _ in range(5)]
        return [answer.json()["degraded"] for answer in answers]

    assert await asyncio.to_thread(ask) == [False] * 5
    answers = await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(3)))
    assert answers == [[False] * 5] * 3
    assert (await scene.run.throttle.peek("open", "?")).remaining == LIMIT - 20
    yield


@ROWS.row("B41", kind=None)
async def mounted(scene):
    """A mounted app gets no lifespan."""
    app = FastAPI()
    app.mount("/below", scene.run.app)

    def ask(client):
        return client.get("/below/open", headers={"x-who": "?"}).json()["degraded"]

    def ask_with_and_without():
        with TestClient(app) as client:
            answers = [ask(client)]
        return [*answers, ask(TestClient(app))]

    assert await asyncio.to_thread(ask_with_and_without) == [False] * 2
    assert (await scene.run.throttle.peek("open", "?")).remaining == LIMIT - 2
    yield


@ROWS.row("B41", kind=None)
async def lifespans_that_end(scene):
    """The connections of the loop end with its lifespan, and others with nothing."""
    connections = len(scene.server.client.client_list())

    def ask():
        with TestClient(scene.run.app) as client:
            answer = client.get("/open", headers={"x-who": "?"}).json()["degraded"]
            assert len(scene.server.client.client_list()) > connections
        return answer

    assert [await asyncio.to_thread(ask) for _ in range(3)] == [False] * 3
    yield
    assert len(scene.server.client.client_list()) <= connections


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_fault_of_the_process(row):
    await endure(row)


async def forked(scene):
    """Two children ask at the same time as their parent, with what they inherited."""
    children = [_fork(scene.run.throttle, f"child {number}") for number in range(2)]
    yield
    for child in children:
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0


def _fork(throttle, who):
    child = os.fork()
    if child:
        return child
    try:
        remaining = asyncio.run(_ask_often(throttle, who))
        os._exit(remaining != list(reversed(range(LIMIT))))
    except BaseException:
        os._exit(1)
        raise


async def _ask_often(throttle, who):
    decisions = [await throttle.hit("open", who) for _ in range(LIMIT)]
    await throttle.aclose()
    return [-1 if decision.degraded else decision.remaining for decision in decisions]


def test_a_fork():
    """B40: in a process of its own, whose children do not inherit pytest."""
    endured = subprocess.run(
        [sys.executable, "-W", "error", __file__],
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (endured.returncode, endured.stderr) == (0, "")


if __name__ == "__main__":
    asyncio.run(endure(Row("B40", contextlib.asynccontextmanager(forked), kind=None)))
