"""Something that breaks a Redis and the way to it at random, and heals them again."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from redis_server import RedisServer
from tcp_proxy import Proxy


@dataclass
class Calm:
    """A time without faults, from *began* to *ended*."""

    began: float
    ended: float = float("inf")


@dataclass
class Nemesis:
    """Does things to *server* and *proxy*, as *seed* says.

    Attributes:
        done: How often it did what.
        losses: When the server forgot everything, from and to.
        calms: When all was well, for at least as long as the store has to recover.
    """

    server: RedisServer
    proxy: Proxy
    seed: int
    done: Counter = field(default_factory=Counter)
    losses: list = field(default_factory=list)
    calms: list = field(default_factory=list)

    def __post_init__(self):
        self._random = random.Random(self.seed)

    async def rage(self, seconds, calm_seconds):
        """Go on for so long; between the faults all is well for *calm_seconds* and more."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for _ in range(self._random.choice((1, 1, 2, 3))):
                both = (self._to_the_server(), self._on_the_way())
                chosen = self._random.choice((both[:1], both[1:], both))
                for unused in set(both) - set(chosen):
                    unused.close()
                await asyncio.gather(*chosen)
            self.calms.append(Calm(time.monotonic()))
            await asyncio.sleep(calm_seconds * self._random.uniform(1, 1.2))
            self.calms[-1].ended = time.monotonic()

    async def _to_the_server(self):
        what = self._random.choice(("pause", "kill", "restart", "flush", "forget scripts"))
        seconds = self._random.uniform(0.05, 1.2)
        self.done[what] += 1
        if what == "pause":
            with self.server.paused():
                await asyncio.sleep(seconds)
        elif what == "forget scripts":
            await asyncio.to_thread(self.server.cli, "SCRIPT", "FLUSH")
        else:
            began = time.monotonic()
            if what == "flush":
                await asyncio.to_thread(self.server.cli, "FLUSHALL")
            else:
                await asyncio.to_thread(self.server.stop)
                await asyncio.sleep(seconds if what == "kill" else 0)
                await asyncio.to_thread(self.server.start)
            self.losses.append((began, time.monotonic()))

    async def _on_the_way(self):
        proxy = self.proxy
        what = self._random.choice(("lost", "cut", "unheard", "delay", "reset"))
        seconds = self._random.uniform(0.05, 1.2)
        self.done[what] += 1
        if what in {"lost", "cut"}:
            proxy.replies = what
        elif what == "unheard":
            proxy.questions = "lost"
        elif what == "delay":
            proxy.delay = self._random.uniform(0.02, 0.6)
        else:
            proxy.close_all("reset")
        await asyncio.sleep(seconds)
        proxy.replies, proxy.questions, proxy.delay = "pass", "pass", 0.0
