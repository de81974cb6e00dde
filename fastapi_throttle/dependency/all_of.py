"""Several limits of different callers as one decision."""

from typing import Any

from starlette.requests import HTTPConnection

from fastapi_throttle.decision import Decision
from fastapi_throttle.dependency.claim import hit_once
from fastapi_throttle.dependency.rate_limit import RateLimit
from fastapi_throttle.dependency.runtime import ledger_for
from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.identity.injection import CONNECTION, signature
from fastapi_throttle.web import refusal_of


class AllOf:
    """See `all_of`.

    Attributes:
        limits: What is decided together.
        before_body: Whether that is before a request's body is read.
    """

    def __init__(self, *limits: RateLimit) -> None:
        for limit in limits:
            if not isinstance(limit, RateLimit):
                message = f"all_of must be given RateLimit objects, got {limit!r}"
                raise TypeError(message)
        names = [limit.name or limit for limit in limits]
        if len(set(names)) < max(len(names), 2):
            message = (
                "all_of needs at least two limits, each once and of its own name, got "
                f"{[limit.name or limit.rule for limit in limits]}"
            )
            raise ConfigurationError(message)
        times = [limit.before_body for limit in limits]
        if any(times) and not all(times):
            message = f"before_body must be the same for all limits of all_of, got {times}"
            raise ConfigurationError(message)
        self.before_body = all(times)
        self.limits = limits
        self.__signature__ = signature(
            {
                f"{name}_{index}": dependency
                for index, limit in enumerate(limits)
                for name, dependency in limit.dependencies.items()
            }
        )

    async def __call__(self, **injected: Any) -> tuple[Decision, ...]:
        """Count this request, once; FastAPI calls it with what the signature names."""
        connection = injected[CONNECTION]
        ledger = ledger_for(connection)
        claims = []
        for index, limit in enumerate(self.limits):
            its_own = {name: injected[f"{name}_{index}"] for name in limit.dependencies}
            claims.append(limit.claim(ledger, {CONNECTION: connection, **its_own}))
        decisions = await hit_once(ledger, *claims)
        if not all(decision.allowed for decision in decisions):
            raise refusal_of(decisions, connection.scope)
        return decisions

    async def decide_before_body(self, connection: HTTPConnection) -> bool:
        """Count this request before FastAPI resolves anything; return whether it is admitted."""
        ledger = ledger_for(connection)
        claims = [limit.early_claim(ledger, connection) for limit in self.limits]
        return all(decision.allowed for decision in await hit_once(ledger, *claims))


def all_of(*limits: RateLimit) -> AllOf:
    """Decide several limits together: a request is charged by all of them, or by none.

    The limits may have different keys, such as an address, a user and everyone. The value of the
    dependency is a tuple of their decisions, in order.

    In a Redis Cluster, limits of different callers are charged node by node. What is refused before
    that charges nothing; if others were faster in between, what was charged is given back, and
    counts for the few milliseconds until then. No limit admits more by it.

    Args:
        limits: At least two, each once.

    Raises:
        TypeError: One is no `RateLimit`.
        ConfigurationError: There are fewer than two, two are one bucket, or not all of them have
            the same before_body.
    """
    return AllOf(*limits)
