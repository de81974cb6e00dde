"""No limiter: what an app does without one."""

from collections.abc import Mapping

from fastapi import FastAPI

from benchmarks.contenders.contender import Contender, Rule, answer


class Nothing(Contender):
    """The routes of everybody's app, each at its place, and nothing in front of them."""

    def app(self, url: str, rules: Mapping[str, Rule]) -> FastAPI:
        """See `Contender.app`."""
        app = FastAPI()
        for name in ("free", *rules):
            app.get(f"/{name}")(answer)
        return app


CONTENDERS = {"none": Nothing()}
