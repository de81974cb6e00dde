"""fastapi_throttle, through its public names."""

from collections.abc import Mapping

from fastapi import Depends, FastAPI

from benchmarks.contenders.contender import Check, Contender, Rule, answer
from fastapi_throttle import MemoryBackend, RateLimit, RedisBackend, Throttle
from fastapi_throttle.model import AlgorithmName


class Ours(Contender):
    """One algorithm, with the defaults of everything else."""

    def __init__(self, algorithm: AlgorithmName) -> None:
        self._algorithm = algorithm

    async def on_redis(self, url: str, rule: Rule) -> Check:
        """See `Contender.on_redis`."""
        return self._check(Throttle(backend=RedisBackend(url)), rule)

    async def in_memory(self, rule: Rule) -> Check:
        """See `Contender.in_memory`."""
        return self._check(Throttle(backend=MemoryBackend()), rule)

    def app(self, url: str, rules: Mapping[str, Rule]) -> FastAPI:
        """See `Contender.app`."""
        app = FastAPI()
        Throttle(app, backend=RedisBackend(url))
        app.get("/free")(answer)
        for name, rule in rules.items():
            app.get(f"/{name}", dependencies=[Depends(self._limit(rule))])(answer)
        return app

    def _limit(self, rule: Rule, name: str | None = None) -> RateLimit:
        return RateLimit(rule.limit, rule.window, name=name, algorithm=self._algorithm)

    def _check(self, throttle: Throttle, rule: Rule) -> Check:
        limit = self._limit(rule, "bench")

        async def check(key: str) -> bool:
            decision = await throttle.hit(limit, key)
            if decision.degraded:
                message = "the store did not answer within the budget"
                raise TimeoutError(message)
            return decision.allowed

        return check


CONTENDERS = {
    "sliding-window": Ours("sliding-window"),
    "gcra": Ours("gcra"),
}
