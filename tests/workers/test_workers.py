"""Several real worker processes on one real Redis count as one."""

import asyncio
from collections import Counter

import httpx
import pytest
from uvicorn_workers import running


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
    with running("counting_app", redis_url, 0, workers=4) as urls:
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

    with running("counting_app", redis_url, 0, workers=4) as urls:
        await warm(urls, 4)
        requests = asyncio.ensure_future(get_all(urls, "/limited", 400))
        await flush_until(requests)

        check_exactly_100(await requests)
    assert flushed > 1


async def test_four_processes_whose_clocks_differ_admit_exactly_the_limit(redis_url):
    with running("counting_app", redis_url, 0, 3600, -3600, 0) as urls:
        await warm(urls, 4)

        responses = await get_all(urls, "/limited", 400)

        check_exactly_100(responses)
        clocks = [r.json()[2] for r in responses if r.status_code == 200]
        assert max(clocks) - min(clocks) > 7000


def test_workers_derive_the_same_buckets(redis_url):
    with running("counting_app", redis_url, 0, 0) as urls:
        paths = ["/one/1", "/one/2", "/two/1", "/two/2", "/first", "/second", "/first", "/second"]

        statuses = [
            httpx.get(urls[index % 2] + path).status_code for index, path in enumerate(paths)
        ]
        again = [
            httpx.get(urls[(index + 1) % 2] + path).status_code for index, path in enumerate(paths)
        ]

    assert statuses == [200, 429, 200, 429, 200, 200, 429, 429]
    assert again == [429] * 8
