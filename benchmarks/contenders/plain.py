"""The yardstick: redis-py and a GCRA script, one EVALSHA per check, nothing around it."""

from pathlib import Path

from redis.asyncio import Redis

from benchmarks.contenders.contender import CONNECTIONS, Check, Contender, Rule

SECOND_US = 1_000_000
CLOCK = 'local time = redis.call("TIME") local now = time[1] * 1000000 + time[2]\n'
SCRIPT = CLOCK + Path(__file__).parents[1].joinpath("plain_gcra.lua").read_text(encoding="utf-8")


class Plain(Contender):
    """What somebody writes who needs a limiter and has an afternoon."""

    def __init__(self) -> None:
        self._clients: list[Redis] = []

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """See `Contender.on_redis`."""
        client = Redis.from_url(url, max_connections=CONNECTIONS)
        self._clients.append(client)
        sha = await client.script_load(SCRIPT)
        tolerance = rule.window * SECOND_US
        interval = -(-tolerance // rule.limit)

        async def check(key: str) -> bool:
            reply = await client.evalsha(sha, 1, key, "", interval, interval * rule.limit, 1)
            return reply[0] == 0

        return check

    async def aclose(self) -> None:
        """See `Contender.aclose`."""
        while self._clients:
            await self._clients.pop().aclose()


CONTENDERS = {"plain": Plain()}
