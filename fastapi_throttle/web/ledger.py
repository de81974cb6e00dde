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


class Entry:
    """What was decided in one bucket.

    Attributes:
        payer: Whom the last decision is about.
        decision: That decision.
        refusal: Who was refused longest and not admitted since, and that decision. One for all
            callers: one connection may hit for any number of them.
        is_counted: Whether the dependency has decided: a request counts once.
        counted: What it decided.
    """

    __slots__ = ("counted", "decision", "is_counted", "payer", "refusal")

    def __init__(self, payer: Identity, decision: Decision) -> None:
        self.payer = payer
        self.decision = decision
        self.refusal = None if decision.allowed else (payer, decision)
        self.is_counted = False
        self.counted = decision

    def update(self, payer: Identity, decision: Decision) -> None:
        """Take note of what was decided since."""
        self.payer, self.decision = payer, decision
        if decision.allowed:
            self.pardon(payer)
            return
        known = self.refusal
        if known is None or known[0] == payer or longest((known[1], decision)) is decision:
            self.refusal = payer, decision

    def pardon(self, payer: Identity) -> None:
        """Take note that *payer* is refused no more."""
        if self.refusal and self.refusal[0] == payer:
            self.refusal = None


class RequestLedger:
    """The decisions of one request, and what they were made from.

    Attributes:
        runtime: The wiring of the `Throttle` that serves the request.
        root_path: The part of the path that lies in front of the throttle's app.
        is_written: Whether the ASGI layer writes the fields of the response.
        entries: What was decided, per bucket, in the order of first decisions.
        resolved: Per limit, the identity and the policy its dependency resolved.
    """

    # One for every request, many of them at a time: the fewer objects, the less to collect.
    __slots__ = ("_budget", "entries", "is_written", "resolved", "root_path", "runtime")

    def __init__(self, runtime: Any, root_path: str = "", *, is_written: bool = False) -> None:
        self.runtime = runtime
        self.root_path = root_path
        self.is_written = is_written
        self._budget: Budget | None = None
        self.entries: dict[Hashable, Entry] = {}
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

    @property
    def decisions(self) -> list[Decision]:
        """The last decision per bucket."""
        return [entry.decision for entry in self.entries.values()]

    @property
    def refusals(self) -> list[Decision]:
        """The decisions that refused somebody, longest, who was not admitted since."""
        return [entry.refusal[1] for entry in self.entries.values() if entry.refusal]

    def is_counted(self, bucket: Hashable) -> bool:
        """Tell whether the dependency has counted the request in *bucket*."""
        entry = self.entries.get(bucket)
        return entry is not None and entry.is_counted

    def record(self, bucket: Hashable, identity: Identity, decision: Decision) -> Entry:
        """Take note of what was decided about *identity*."""
        entry = self.entries.get(bucket)
        if entry is None:
            entry = self.entries[bucket] = Entry(identity, decision)
        else:
            entry.update(identity, decision)
        return entry

    def count(self, bucket: Hashable, identity: Identity, decision: Decision) -> Entry:
        """Take note of what the dependency decided; what it decided first stands."""
        entry = self.record(bucket, identity, decision)
        if not entry.is_counted:
            entry.is_counted, entry.counted = True, decision
        return entry

    def forget(self, bucket: Hashable, identity: Identity) -> None:
        """Take note that nothing that *identity* used counts any more."""
        entry = self.entries.get(bucket)
        if entry is not None:
            entry.pardon(identity)
            if entry.decision.verdicts and entry.payer == identity:
                entry.decision = _unused(entry.decision.policy)


def ledger_of(connection: HTTPConnection) -> RequestLedger | None:
    """Return the ledger of the request: the ASGI layer's, or one that a limit had to open."""
    ledger: RequestLedger | None = connection.scope.get(SCOPE_KEY)
    return ledger


def open_ledger(scope: Scope, runtime: Any, *, is_written: bool = False) -> RequestLedger:
    """Put a ledger into *scope*. Copies of the scope, which middleware makes, share it."""
    ledger = RequestLedger(runtime, scope.get("root_path", ""), is_written=is_written)
    scope[SCOPE_KEY] = ledger
    scope[RULES_KEY] = runtime.address_rules
    return ledger


def _unused(policy: Policy) -> Decision:
    full = tuple(Verdict(0, quota.burst, 0, 0) for quota in policy.quotas)
    return Decision(allowed=True, policy=policy, verdicts=full)
