"""What is known about one request: one mutable object in its scope, shared by all that pass it."""

from collections.abc import Hashable
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from fastapi_throttle.decision import Decision, Verdict
from fastapi_throttle.identity import Identity
from fastapi_throttle.identity.client_ip import SCOPE_KEY as RULES_KEY
from fastapi_throttle.model import Policy
from fastapi_throttle.resilience import Budget
from fastapi_throttle.web.refusal import longest

SCOPE_KEY = "fastapi_throttle"


class RequestLedger:
    """The decisions of one request, and what they were made from.

    Attributes:
        runtime: The wiring of the `Throttle` that serves the request.
        root_path: The part of the path that lies in front of the throttle's app.
        decisions: The last decision per bucket, in the order of first decisions.
        refusals: Per bucket, who was refused longest and not admitted since, and that decision.
        counted: Per bucket, what the dependency decided: a request counts once.
        resolved: Per limit, the identity and the policy its dependency resolved.
    """

    __slots__ = (
        "_budget",
        "_payers",
        "counted",
        "decisions",
        "refusals",
        "resolved",
        "root_path",
        "runtime",
    )

    def __init__(self, runtime: Any, root_path: str = "") -> None:
        self.runtime = runtime
        self.root_path = root_path
        self._budget: Budget | None = None
        self.decisions: dict[Hashable, Decision] = {}
        # By bucket, not by caller: one connection may hit for any number of them.
        self.refusals: dict[Hashable, tuple[Identity, Decision]] = {}
        self._payers: dict[Hashable, Identity] = {}
        self.counted: dict[Hashable, Decision] = {}
        self.resolved: dict[object, tuple[Identity, Policy]] = {}

    @property
    def budget(self) -> Budget:
        """How long the checks of the request may take."""
        if self._budget is None:
            self._budget = Budget(self.runtime.decider.budget)
        return self._budget

    def budget_of_call(self) -> Budget:
        """Return the budget of a check that is no dependency; see `Budget.for_call`."""
        self._budget = self.budget.for_call()
        return self._budget

    def record(self, bucket: Hashable, identity: Identity, decision: Decision) -> None:
        """Take note of what was decided about *identity*."""
        self.decisions[bucket] = decision
        self._payers[bucket] = identity
        if decision.allowed:
            if self.refusals:
                self._pardon(bucket, identity)
            return
        known = self.refusals.get(bucket)
        if known is None or known[0] == identity or longest((known[1], decision)) is decision:
            self.refusals[bucket] = identity, decision

    def forget(self, bucket: Hashable, identity: Identity) -> None:
        """Take note that nothing that *identity* used counts any more."""
        self._pardon(bucket, identity)
        known = self.decisions.get(bucket)
        if known is not None and known.verdicts and self._payers[bucket] == identity:
            self.decisions[bucket] = _unused(known.policy)

    def _pardon(self, bucket: Hashable, identity: Identity) -> None:
        if bucket in self.refusals and self.refusals[bucket][0] == identity:
            del self.refusals[bucket]


def ledger_of(connection: HTTPConnection) -> RequestLedger | None:
    """Return the ledger that the ASGI layer put into the scope, if there is a layer."""
    ledger: RequestLedger | None = connection.scope.get(SCOPE_KEY)
    return ledger


def open_ledger(scope: Scope, runtime: Any) -> RequestLedger:
    """Put a ledger into *scope*. Copies of the scope, which middleware makes, share it."""
    ledger = RequestLedger(runtime, scope.get("root_path", ""))
    scope[SCOPE_KEY] = ledger
    scope[RULES_KEY] = runtime.address_rules
    return ledger


def _unused(policy: Policy) -> Decision:
    full = tuple(Verdict(0, quota.burst, 0, 0) for quota in policy.quotas)
    return Decision(allowed=True, policy=policy, verdicts=full)
