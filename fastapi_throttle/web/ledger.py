"""What is known about one request: one mutable object in its scope, shared by all that pass it."""

from collections.abc import Hashable
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from fastapi_throttle.identity import Identity
from fastapi_throttle.identity.client_ip import SCOPE_KEY as RULES_KEY
from fastapi_throttle.model import Decision, Policy
from fastapi_throttle.resilience import Budget

SCOPE_KEY = "fastapi_throttle"


class RequestLedger:
    """The decisions of one request, and what they were made from.

    Attributes:
        runtime: The wiring of the `Throttle` that serves the request.
        root_path: The part of the path that lies in front of the throttle's app.
        decisions: The last decision per bucket, in the order of first decisions.
        counted: Per bucket, what the dependency decided: a request counts once.
        budget: How long the checks of the request may take.
        resolved: Per limit, the identity and the policy its dependency resolved.
    """

    __slots__ = ("budget", "counted", "decisions", "resolved", "root_path", "runtime")

    def __init__(self, runtime: Any, root_path: str = "") -> None:
        self.runtime = runtime
        self.root_path = root_path
        self.budget = Budget(runtime.decider.budget)
        self.decisions: dict[Hashable, Decision] = {}
        self.counted: dict[Hashable, Decision] = {}
        self.resolved: dict[object, tuple[Identity, Policy]] = {}


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
