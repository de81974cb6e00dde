"""Several real worker processes on one real Redis count as one."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from redis_server import free_port

HERE = Path(__file__).parent
START_SECONDS = 30


def start(redis_url, *options, **environment):
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "counting_app:app", "--app-dir", str(HERE)),
        *("--port", str(port), "--log-level", "warning", *options),
    ]
    settings = {"FASTAPI_THROTTLE_BACKEND": redis_url, "FASTAPI_THROTTLE_BUDGET_MS": "2000"}
    process = subprocess.Popen(command, env={**os.environ, **settings, **environment})
    return process, f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def running(redis_url, *shifts, workers=1):
    """Run one server per clock shift, each with so many workers; yield their addresses."""
    started = [
        start(redis_url, "--workers", str(workers), CLOCK_SHIFT=str(shift)) for shift in shifts
    ]
    try:
        for _, url in started:
            wait_until_it_answers(url)
        yield [url for _, url in started]
    finally:
        for process, _ in started:
            process.terminate()
        for process, _ in started:
            process.wait(timeout=START_SECONDS)


def wait_until_it_answers(url):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/docs").status_code == 200:
                return
        time.sleep(0.05)  # noqa: TID251 - another process is starting
    pytest.fail("uvicorn did not start")


async def get_all(urls, path, count):
    """Send *count* requests at once, one connection each, to *urls* in turn."""
    limits = httpx.Limits(max_connections=count, max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:
        return await asyncio.gather(
            *(client.get(urls[index % len(urls)] + path) for index in range(count))
        )


async def warm(urls, processes):
    """Let every worker connect to Redis, until all of them have answered."""
    seen = set()
    for _ in range(50):
        seen |= {response.json() for response in await get_all(urls, "/warm", 40)}
        if len(seen) >= processes:
            return
    pytest.fail(f"only {len(seen)} of {processes} workers answered")


def check_exactly_100(responses):
    assert Counter(response.status_code for response in responses) == {200: 100, 429: 300}
    assert [response.json()[1] for response in responses if response.status_code == 200] == [
        0
    ] * 100
    assert all(1 <= int(response.headers["retry-after"]) <= 60
               for response in responses if response.status_code == 429)  # fmt: skip


async def test_four_workers_admit_exactly_the_limit(redis_url):
    with running(redis_url, 0, workers=4) as urls:
        await warm(urls, 4)

        responses = await get_all(urls, "/limited", 400)

        check_exactly_100(responses)
        assert len({r.json()[0] for r in responses if r.status_code == 200}) > 1


async def test_four_workers_admit_exactly_the_limit_while_scripts_are_flushed(
    redis_url, redis_server
):
    flushed = 0

    async def flush_until(task):
        nonlocal flushed
        while not task.done():
            await asyncio.to_thread(redis_server.cli, "SCRIPT", "FLUSH")
            flushed += 1

    with running(redis_url, 0, workers=4) as urls:
        await warm(urls, 4)
        requests = asyncio.ensure_future(get_all(urls, "/limited", 400))
        await flush_until(requests)

        check_exactly_100(await requests)
    assert flushed > 1


async def test_four_processes_whose_clocks_differ_admit_exactly_the_limit(redis_url):
    with running(redis_url, 0, 3600, -3600, 0) as urls:
        await warm(urls, 4)

        responses = await get_all(urls, "/limited", 400)

        check_exactly_100(responses)
        clocks = [r.json()[2] for r in responses if r.status_code == 200]
        assert max(clocks) - min(clocks) > 7000


def test_workers_derive_the_same_buckets(redis_url):
    with running(redis_url, 0, 0) as urls:
        paths = ["/one/1", "/one/2", "/two/1", "/two/2", "/first", "/second", "/first", "/second"]

        statuses = [
            httpx.get(urls[index % 2] + path).status_code for index, path in enumerate(paths)
        ]
        again = [
            httpx.get(urls[(index + 1) % 2] + path).status_code for index, path in enumerate(paths)
        ]

    assert statuses == [200, 429, 200, 429, 200, 200, 429, 429]
    assert again == [429] * 8
