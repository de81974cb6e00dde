"""The dependency: ``Depends(RateLimit(100, "1m"))``."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import params
from starlette.requests import HTTPConnection

from fastapi_throttle.decision import Decision
from fastapi_throttle.dependency.arguments import (
    Parentheses,
    check_before_body,
    check_choices,
    check_static_cost,
)
from fastapi_throttle.dependency.claim import Claim, checked_cost, hit, hit_once, peek, reset
from fastapi_throttle.dependency.rules import Rules, Tiers
from fastapi_throttle.dependency.runtime import Runtime, ledger_for
from fastapi_throttle.errors import ThrottleError
from fastapi_throttle.identity import Identity, identity_of, is_connection_only
from fastapi_throttle.identity.identity import name_of
from fastapi_throttle.identity.injection import CONNECTION, as_dependency, signature
from fastapi_throttle.model import AlgorithmName, FailureMode, Policy
from fastapi_throttle.notation import Window, check_name
from fastapi_throttle.override import overrides
from fastapi_throttle.web import RequestLedger, refusal_of

Dependency = Callable[..., Any] | params.Depends


class RateLimit:
    """Limit requests: put ``Depends(RateLimit(100, "1m"))`` on a route, a router or an app.

    One object is one bucket per caller wherever it is used. Its value as a dependency is the
    `Decision`; a request counts once however often it reaches the object.

    Args:
        limit: Quota units per window; or text that brings its own windows, ``"100/minute"``,
            ``"10/second; 1000/hour"`` (all or nothing); or `tiers`; or a dependency that returns
            one of these, or `UNLIMITED`.
        window: Seconds, a timedelta, or text such as ``"1m"``; 1 ms to 366 days. Required with an
            int limit, refused with text.
        key: Who pays: a dependency that returns an id, or a resolver such as `client_ip`. Default:
            the authenticated user, else the client's address. A resolver that returns None
            leaves the decision to the address.
        cost: Quota units this request uses, at least 0; or a dependency that returns them.
        name: Names the policy in fields and logs. Objects of one name are one bucket.
        scope: ``"shared"``, or ``"route"`` to count each route on its own.
        algorithm: ``"sliding-window"`` never admits more than the limit in any trailing window;
            ``"gcra"`` is smooth; ``"fixed-window"`` is cheapest, up to twice the limit at an edge.
        burst: Units that gcra admits at one instant. Default: the limit.
        failure_mode: While the store cannot answer, ``"local"`` counts in this process, with its
            share of the limit, ``"closed"`` answers 503, ``"open"`` admits. Default: the setting.
        before_body: Decide before a byte of the request's body is read, so that bodies that cannot
            be parsed count too. The key must need only the connection, limit and cost be static.

    Raises:
        TypeError: An argument has the wrong type.
        ConfigurationError: An argument is out of its range, or two contradict each other.
        RateLimitExceeded: By the dependency, when the request is refused (429).
        RateLimitUnavailable: By the dependency, when the store cannot answer and the failure
            mode is ``"closed"`` (503).
    """

    is_rate_limit = True

    def __init__(
        self,
        limit: Annotated[int | str | Tiers | Dependency, Parentheses()],
        window: Window | None = None,
        *,
        key: Dependency | None = None,
        cost: int | Dependency = 1,
        name: str | None = None,
        scope: Literal["shared", "route"] = "shared",
        algorithm: AlgorithmName = "sliding-window",
        burst: int | None = None,
        failure_mode: FailureMode | None = None,
        before_body: bool = False,
    ) -> None:
        check_choices(scope, failure_mode)
        self.failure_mode = failure_mode
        self.name = None if name is None else check_name(name)
        self.scope = scope
        self.rules = Rules(limit, window, algorithm, burst, self.name)
        self._key = None if key is None else as_dependency("key", key, is_resolver=True)
        self.dependencies: dict[str, Dependency] = {}
        if self._key is not None:
            self.dependencies["key"] = self._key
        if self.rules.dependency is not None:
            self.dependencies["limit"] = self.rules.dependency
        # What a dependency decides is 0 until it has.
        self._cost = cost if isinstance(cost, int) else 0
        if isinstance(cost, int):
            check_static_cost(cost, self.rules.known)
        elif not callable(cost) and not isinstance(cost, params.Depends):
            message = f"cost must be an int of at least 0 or a FastAPI dependency, got {cost!r}"
            raise TypeError(message)
        else:
            self.dependencies["cost"] = as_dependency("cost", cost)
        if before_body:
            check_before_body(self.dependencies)
        self.before_body = before_body
        self.__signature__ = signature(self.dependencies)
        overrides.register(self)

    @property
    def rule(self) -> str:
        """The rule as written, as far as buckets and equal names are concerned."""
        return self.rules.text

    async def __call__(self, **injected: Any) -> Decision:
        """Count this request, once; FastAPI calls it with what the signature names."""
        connection: HTTPConnection = injected[CONNECTION]
        ledger = ledger_for(connection)
        (decision,) = await hit_once(ledger, self.claim(ledger, injected))
        if not decision.allowed:
            raise refusal_of([decision], connection.scope)
        return decision

    def claim(self, ledger: RequestLedger, injected: dict[str, Any]) -> Claim:
        """Return what a request claims, from what FastAPI resolved for it."""
        connection: HTTPConnection = injected[CONNECTION]
        policy = self.rules.static or self.rules.policy(injected.get("limit"))
        identity = self._identity(ledger.runtime, connection, injected.get("key"))
        ledger.resolved[self] = identity, policy
        cost = self._cost
        if "cost" in injected:
            source = f"{name_of(self.dependencies['cost'])} returned a cost that"
            cost = checked_cost(injected["cost"], source)
        return self._claim(ledger, connection, policy, identity, cost)

    async def hit(
        self, connection: HTTPConnection, key: str | None = None, cost: int = 1
    ) -> Decision:
        """Count at every call; for code that is not a dependency, such as WebSocket messages.

        Args:
            connection: The request or WebSocket.
            key: Who pays, as text: ``"user:42"``. Default: who paid in this request already.
            cost: Quota units, at least 0.

        Returns:
            The decision; a refusal is not raised.

        Raises:
            ThrottleError: Nobody is known to pay and the key's resolver needs more than the
                connection, or the limit's dependency was not resolved: pass *key*, or let the
                dependency run first.
        """
        ledger = ledger_for(connection)
        cost = checked_cost(cost, "cost")
        return (await hit(ledger, self._claim_outside(ledger, connection, key, cost)))[0]

    async def peek(self, connection: HTTPConnection, key: str | None = None) -> Decision:
        """Tell whether a cost of 1 would be admitted now. Consumes and creates nothing.

        Raises:
            ThrottleError: As for `hit`.
        """
        ledger = ledger_for(connection)
        return await peek(ledger, self._claim_outside(ledger, connection, key, 1))

    async def reset(self, connection: HTTPConnection, key: str | None = None) -> None:
        """Forget what was used.

        Raises:
            ThrottleError: As for `hit`.
            BackendError: The store could not answer.
        """
        ledger = ledger_for(connection)
        await reset(ledger, self._claim_outside(ledger, connection, key, 0))

    def policy_outside_requests(self) -> Policy:
        """Return the policy, for code that has no request.

        Raises:
            ThrottleError: A dependency decides about the limit at each request.
        """
        if self.rules.static is None:
            message = (
                f"the limit {self.name!r} depends on the request; use its own hit, peek, reset"
            )
            raise ThrottleError(message)
        return self.rules.static

    async def decide_before_body(self, connection: HTTPConnection) -> bool:
        """Count this request before FastAPI resolves anything; return whether it is admitted."""
        ledger = ledger_for(connection)
        return (await hit_once(ledger, self.early_claim(ledger, connection)))[0].allowed

    def early_claim(self, ledger: RequestLedger, connection: HTTPConnection) -> Claim:
        """Return what a request claims, where before_body lets it need only the connection."""
        claim = self._claim_outside(ledger, connection, None, self._cost)
        ledger.resolved[self] = claim.identity, claim.policy
        return claim

    def describe(self) -> dict[str, Any]:
        """Return name, quotas and whether they depend on the request, for documents."""
        policy = self.rules.typical
        quotas = policy.quotas if policy else ()
        return {
            "name": self.name or (policy.name if policy else "dynamic"),
            "quotas": [{"limit": quota.limit, "window": quota.window} for quota in quotas],
            "dynamic": self.rules.static is None,
        }

    def _claim(
        self,
        ledger: RequestLedger,
        connection: HTTPConnection,
        policy: Policy,
        identity: Identity,
        cost: int,
    ) -> Claim:
        runtime: Runtime = ledger.runtime
        bucket = runtime.buckets.of(self, connection.scope, ledger.root_path)
        return Claim(bucket, policy, identity, cost, self.failure_mode)

    def _identity(self, runtime: Runtime, connection: HTTPConnection, value: object) -> Identity:
        if self._key is None:
            return runtime.identify(connection)
        return identity_of(value, source=self._key) or runtime.address(connection)

    def _claim_outside(
        self, ledger: RequestLedger, connection: HTTPConnection, key: str | None, cost: int
    ) -> Claim:
        """Return a claim that FastAPI resolved nothing for."""
        identity, policy = self._resolved(ledger, connection, key)
        return self._claim(ledger, connection, policy, identity, cost)

    def _resolved(
        self, ledger: RequestLedger, connection: HTTPConnection, key: str | None
    ) -> tuple[Identity, Policy]:
        known = ledger.resolved.get(self)
        policy = self.rules.static or (known[1] if known else None)
        if policy is None:
            message = (
                f"the limit of {self.name or self.rule!r} comes from a dependency that was "
                "not resolved in this request: let the RateLimit run as a dependency first"
            )
            raise ThrottleError(message)
        if key is not None:
            return ledger.runtime.parse(key), policy
        if known:
            return known[0], policy
        if self._key is None or is_connection_only(self._key):
            value = self._key.identify(connection) if is_connection_only(self._key) else None
            return self._identity(ledger.runtime, connection, value), policy
        message = (
            f"{name_of(self._key)} was not resolved in this request, so nobody is known to pay: "
            "pass key="
        )
        raise ThrottleError(message)
