"""An app under a fault: a limit of each failure mode, and what must hold whatever happens."""

import asyncio
import gc
import itertools
import statistics
import time
from dataclasses import dataclass

import httpx
from fastapi import Depends, FastAPI, Request
from lag import Lag
from told import Told

from fastapi_throttle import Decision, RateLimit, RedisBackend, Throttle, ThrottleSettings
from fastapi_throttle.backends.redis.lane import MOST_CALLS

MODES = ("local", "closed", "open")
BUDGET = 0.25
LIMIT = 20
MANY = 1_000_000_000
WINDOW_SECONDS = 60
WORKERS = 2
SHARE = LIMIT // WORKERS
# What everything but the store may take of a request.
SLACK = 0.05
# A decision without the store, while it is given up.
AT_ONCE = 0.002
RECOVERY = 1.5
CROWD = "crowd"


@dataclass
class Answer:
    """What one request got.

    Attributes:
        mode: The failure mode of its limit.
        who: Who asked.
        status: The status of the response.
        retry_after: What the response says; 0: nothing.
        has_fields: Whether the response tells what is left.
        is_degraded: Whether the store did not decide.
        seconds: How long it took, less what the event loop did not run meanwhile.
    """

    mode: str
    who: str
    status: int
    retry_after: int
    has_fields: bool
    is_degraded: bool
    seconds: float


def new_app(backend, **settings):
    """Make an app with a route per failure mode, and one for whoever says what it costs.

    The header X-Who says who asks.
    """
    app = FastAPI()
    settings = ThrottleSettings(workers=WORKERS, secret="of the operator", **settings)
    app.state.throttle = Throttle(app, backend=backend, settings=settings)

    def who(request: Request) -> str:
        return request.headers["x-who"]

    for mode in MODES:
        limit = RateLimit(LIMIT, WINDOW_SECONDS, key=who, name=mode, failure_mode=mode)
        app.add_api_route(f"/{mode}", _endpoint(limit))

    def cost(request: Request) -> int:
        return int(request.headers["x-cost"])

    app.add_api_route("/costly", _endpoint(RateLimit(MANY, WINDOW_SECONDS, key=who, cost=cost)))
    return app


def _endpoint(limit):
    async def endpoint(decision: Decision = Depends(limit)):  # noqa: B008 - no app is typed here
        return {"degraded": decision.degraded, "remaining": decision.remaining}

    return endpoint


class FaultRun:
    """Sends requests and remembers what came of them; an async context manager.

    Args:
        url: Where Redis is.
        options: As for `RedisBackend`.

    Attributes:
        app: Has a route per failure mode.
        throttle: Of the app.
        answers: What requests got so far.
        lag: Of the event loop.
        told: What operators were.
        clock: What the backend got for one.
    """

    def __init__(self, url, **options):
        self.backend = RedisBackend(url, budget=BUDGET, **options)
        # What a process remembers of refusals goes by its own clock.
        self.app = new_app(self.backend, denial_cache=options.get("clock") is None)
        self.throttle = self.app.state.throttle
        self.answers = []
        self.lag = Lag()
        self.told = Told()
        self.clock = options.get("clock")
        self._names = map("caller {}".format, itertools.count())

    async def __aenter__(self):
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://test")
        self._lagging = asyncio.ensure_future(self.lag.measure())
        self.told.listen()
        return self

    async def __aexit__(self, *_exception):
        self.told.leave()
        self._lagging.cancel()
        await self._client.aclose()
        await self.throttle.aclose()
        gc.collect()

    async def ask(self, mode, who=None):
        """Send one request, as somebody new unless told who."""
        who = who or next(self._names)
        lag, began = self.lag.seconds, time.monotonic()
        response = await self._client.get(f"/{mode}", headers={"x-who": who})
        seconds = time.monotonic() - began
        if seconds > BUDGET:
            await asyncio.sleep(0.01)  # the lag of the last moment is known only afterwards
        has_fields = "ratelimit" in response.headers
        answer = Answer(
            mode,
            who,
            response.status_code,
            int(response.headers.get("retry-after", 0)),
            has_fields,
            response.json()["degraded"] if response.status_code == 200 else not has_fields,
            seconds - (self.lag.seconds - lag),
        )
        self.answers.append(answer)
        return answer

    async def rounds(self, number):
        """Ask each limit so many times: the local one as one caller, the others as new ones."""
        return [
            await self.ask(mode, CROWD if mode == "local" else None)
            for _ in range(number)
            for mode in MODES
        ]

    async def use_up_share(self):
        """Ask the local limit as one caller until there is nothing left of this process's share."""
        while (answer := await self.ask("local", CROWD)).status == 200:
            assert answer.is_degraded
        assert answer.is_degraded
        assert self.admitted(is_degraded=True) == SHARE

    async def use_up(self):
        """Ask the local limit as one caller until the store refuses."""
        while (answer := await self.ask("local", CROWD)).status == 200:
            assert not answer.is_degraded
        assert not answer.is_degraded

    def admitted(self, *, is_degraded):
        """Return how often the caller of the local limit was admitted, by the store or without."""
        return sum(
            (answer.who, answer.status, answer.is_degraded) == (CROWD, 200, is_degraded)
            for answer in self.answers
        )

    async def check_given_up(self):
        """Check that nobody waits for a store that was given up."""
        seconds = []
        for number in range(20):
            began = time.monotonic()
            decision = await self.throttle.hit("open", f"nobody {number}")
            seconds.append(time.monotonic() - began)
            assert decision.degraded
        # One of them may be the one that asks whether the store is back.
        assert statistics.median(seconds) < AT_ONCE

    async def check_recovery(self):
        """Check that the store decides again soon after it can."""
        healed, lag = time.monotonic(), self.lag.seconds
        while (await self.ask("open")).is_degraded:
            took = time.monotonic() - healed - (self.lag.seconds - lag)
            assert took < RECOVERY + SLACK
            await asyncio.sleep(0.02)
        assert self.throttle.health().state == "ok"

    async def check_bound(self, budgets):
        """Check that the limit holds over all of it, but for what the store may have forgotten."""
        await self.use_up()
        by_store = self.admitted(is_degraded=False)
        assert by_store <= LIMIT * budgets
        assert by_store + self.admitted(is_degraded=True) <= LIMIT * budgets + SHARE

    async def check_at_most_once(self):
        """Check that no request was counted twice."""
        for answer in self.answers:
            if answer.who != CROWD:
                left = await self.throttle.peek(answer.mode, answer.who)
                assert not left.degraded
                assert LIMIT - left.remaining <= 1, answer

    def check_answers(self):
        """Check each answer so far: its time, its status, and what its failure mode promises."""
        for answer in self.answers:
            assert answer.seconds <= BUDGET + SLACK, answer
            assert answer.has_fields != answer.is_degraded, answer
            if answer.status == 200:
                assert not (answer.mode == "closed" and answer.is_degraded), answer
            elif answer.status == 429:
                assert answer.mode == "local", answer
                assert 1 <= answer.retry_after <= WINDOW_SECONDS, answer
            else:
                assert (answer.status, answer.mode) == (503, "closed"), answer
                assert answer.is_degraded, answer
                assert answer.retry_after >= 1, answer
        assert self.admitted(is_degraded=True) <= SHARE

    def check_nothing_left(self):
        """Check that no call is under way, nobody waits, and few connections are open."""
        assert not [task for task in asyncio.all_tasks() if "fastapi_throttle" in repr(task)]
        assert in_use(self.backend) == 0
        for lane in _lanes(self.backend):
            assert not lane._calls
            assert not lane._waiting
            assert len(lane._connections._idle) <= MOST_CALLS


def in_use(backend):
    """Return how many calls are under way."""
    return sum(lane._under_way for lane in _lanes(backend))


def _lanes(backend):
    return [opened.value for opened in backend._lanes._opened.values()]
