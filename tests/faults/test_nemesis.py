"""Four workers while everything between them and their counters breaks at random."""

import asyncio
import bisect
import contextlib
import itertools
import logging
import random
import re
import sys
import time
from collections import Counter, defaultdict
from typing import NamedTuple

import httpx
import pytest
from lag import Lag
from nemesis import Nemesis
from redis_server import RedisServer
from tcp_proxy import Proxy
from uvicorn_workers import running

LIMIT, WINDOW_SECONDS, BUDGET = 20, 2.0, 0.25  # of the app
WORKERS = 4
SHARE = LIMIT // WORKERS
SLACK = 0.05
RECOVERY = 1.5
CROWD = "crowd"
ENVIRONMENT = {
    "FASTAPI_THROTTLE_BUDGET_MS": str(round(BUDGET * 1000)),
    "FASTAPI_THROTTLE_WORKERS": str(WORKERS),
    "FASTAPI_THROTTLE_SECRET": "of the operator",
    "PYTHONPATH": ":".join(filter(None, sys.path)),
}
# What a script is asked about, in the bytes of the protocol.
KEY = re.compile(rb"\r\n(ft:1:[^\r]*)\r\n")
KINDS = (("local", True), ("closed", True), ("local", False), ("closed", False), ("open", False))


class Answer(NamedTuple):
    """What a request got; times are of the test's clock, from when it was sent."""

    mode: str
    is_of_crowd: bool
    sent: float
    received: float
    status: int
    is_degraded: bool
    pid: int
    seconds: float
    lag: float
    lag_so_far: float


class Traffic:
    """Asks the workers all the time, and counts what their store is asked.

    Attributes:
        answers: What they said.
        executions: How often the store was asked about each key, by whoever it heard.
        lag: Of the test, which runs the proxy.
    """

    def __init__(self, urls, seed):
        self.answers = []
        self.executions = Counter()
        self.lag = Lag()
        self._urls = urls
        self._random = random.Random(seed)
        self._names = map("caller {}".format, itertools.count())

    def witness(self, question, reply):
        if b"EVAL" in question[:40] and not reply.startswith(b"-NOSCRIPT"):
            self.executions.update(set(KEY.findall(question)))

    @contextlib.asynccontextmanager
    async def flowing(self):
        async with httpx.AsyncClient(timeout=30) as client:
            asking = [self._ask(client, url) for url in self._urls for _ in range(3)]
            tasks = [asyncio.ensure_future(work) for work in (self.lag.measure(), *asking)]
            yield
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(error) for error in ended} == {asyncio.CancelledError}, ended

    async def _ask(self, client, url):
        while True:
            mode, is_of_crowd = self._random.choice(KINDS)
            who = CROWD if is_of_crowd else next(self._names)
            sent = time.monotonic()
            response = await client.get(f"{url}/{mode}", headers={"x-who": who})
            told = response.headers
            self.answers.append(
                Answer(
                    mode,
                    is_of_crowd,
                    sent,
                    time.monotonic(),
                    response.status_code,
                    "ratelimit" not in told,
                    int(told.get("x-pid", 0)),
                    *(float(told.get(f"x-{name}", 0)) for name in ("seconds", "lag", "lag-so-far")),
                )
            )
            await asyncio.sleep(self._random.uniform(0, 0.06))


def windows(answers):
    """Yield windows, by when they began, and how many were for sure admitted within each.

    Each was decided between its sending and its answer, so an excess is a proof.
    """
    admitted = sorted((a.sent, a.received) for a in answers if a.status == 200)
    for first, (start, _) in enumerate(admitted):
        end = bisect.bisect_left(admitted, (start + WINDOW_SECONDS,))
        yield start, sum(received < start + WINDOW_SECONDS for _, received in admitted[first:end])


def check_bound(answers, losses):
    """Check that the store admitted no more than the limit of what it remembered."""
    most = 0
    for start, number in windows(answer for answer in answers if not answer.is_degraded):
        end = start + WINDOW_SECONDS
        lost = sum(began <= end and start <= ended for began, ended in losses)
        assert number <= LIMIT * (1 + lost), (number, lost)
        most = max(most, number)
    return most


def check_answers(answers):
    """Check what each failure mode promises, and the budget; return the longest time."""
    for answer in answers:
        assert answer.status in {200, 429, 503}, answer
        assert answer.seconds - answer.lag <= BUDGET + SLACK, answer
        assert answer.status != 503 or (answer.mode, answer.is_degraded) == ("closed", True), answer
        assert (answer.mode, answer.status, answer.is_degraded) != ("closed", 200, True), answer
        assert answer.status != 429 or answer.is_of_crowd, answer
    return max(answer.seconds - answer.lag for answer in answers)


def check_share(answers):
    """Check that no process admits more than its share without the store; return the most."""
    by_pid = defaultdict(list)
    for answer in answers:
        if answer.is_of_crowd and answer.is_degraded:
            by_pid[answer.pid].append(answer)
    most = max((number for those in by_pid.values() for _, number in windows(those)), default=0)
    assert most <= SHARE
    return most


def check_recovery(answers, calms, lag):
    """Check that each worker soon asks the store again; return the longest it took."""
    longest = 0.0
    for calm in calms:
        for pid in {answer.pid for answer in answers}:
            before = [a for a in answers if a.pid == pid and a.received <= calm.began]
            healthy = [
                a
                for a in answers
                if a.pid == pid and not a.is_degraded and calm.began <= a.sent < calm.ended
            ]
            assert healthy, (pid, calm)
            first = min(healthy, key=lambda answer: answer.received)
            its_lag = first.lag_so_far - (before[-1].lag_so_far if before else 0.0)
            took = first.received - calm.began - its_lag
            assert took <= RECOVERY + SLACK + lag, (took, first)
            longest = max(longest, took)
    return longest


async def endure(seed, seconds):
    with RedisServer() as server:
        async with Proxy(server.port) as proxy:
            url = f"redis://127.0.0.1:{proxy.port}"
            with contextlib.ExitStack() as stack:
                workers = running("nemesis_app", url, *[0] * WORKERS, **ENVIRONMENT)
                urls = await asyncio.to_thread(stack.enter_context, workers)
                traffic, nemesis = Traffic(urls, seed), Nemesis(server, proxy, seed)
                proxy.witness = traffic.witness
                async with traffic.flowing():
                    await nemesis.rage(seconds, RECOVERY + 3 * SLACK)
                await asyncio.to_thread(stack.close)
    return traffic, nemesis


def check(traffic, nemesis):
    answers, losses = traffic.answers, nemesis.losses
    crowds = {
        mode: [a for a in answers if a.is_of_crowd and a.mode == mode]
        for mode in ("local", "closed")
    }
    executions = [number for _, number in traffic.executions.most_common()][len(crowds) :]
    figures = {
        "requests": len(answers),
        "statuses": Counter(answer.status for answer in answers),
        "degraded": sum(answer.is_degraded for answer in answers),
        "faults": nemesis.done,
        "longest": check_answers(answers),
        "lag of the test": traffic.lag.longest,
        "executions of one request": max(executions),
        "admitted by the store": [check_bound(those, losses) for those in crowds.values()],
        "admitted by a process": check_share(answers),
        "recovery": check_recovery(answers, nemesis.calms, traffic.lag.longest),
    }
    logging.getLogger(__name__).info("seed %s: %s", nemesis.seed, figures)
    assert figures["executions of one request"] == 1
    assert figures["degraded"] < len(answers)
    assert len({answer.pid for answer in answers}) == WORKERS


async def test_a_short_nemesis():
    check(*await endure(seed=1, seconds=6))


@pytest.mark.soak
@pytest.mark.parametrize("seed", [2, 3, 4])
async def test_a_long_nemesis(seed):
    check(*await endure(seed, seconds=60))
