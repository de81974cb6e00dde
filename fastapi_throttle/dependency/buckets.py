"""What a limit counts for: the part of a storage key that does not depend on the caller.

Every worker must derive the same names, so they come from what the application's code says:
names, routes in declaration order, rules as written. Never from an object's address.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeGuard

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.types import Scope

from fastapi_throttle.dependency.rules import Rules
from fastapi_throttle.errors import ConfigurationError, ThrottleError
from fastapi_throttle.identity.identity import name_of
from fastapi_throttle.model import Policy
from fastapi_throttle.web import Route, RouteTable

Bucket = tuple[str, ...]


class Limit(Protocol):
    """What buckets need to know of a `RateLimit`."""

    @property
    def name(self) -> str | None:
        """What the policy is called, if anything."""

    @property
    def scope(self) -> str:
        """What shares a bucket."""

    @property
    def rule(self) -> str:
        """The rule as written."""

    @property
    def rules(self) -> Rules:
        """What the limit is written as."""

    def policy_outside_requests(self) -> Policy:
        """Return the policy, for code that has no request."""

    @property
    def before_body(self) -> bool:
        """Whether it is decided before a request's body is read."""

    def describe(self) -> dict[str, Any]:
        """Return name, quotas and whether they depend on the request, for documents."""


class Early(Protocol):
    """A `RateLimit` with before_body, or an `all_of` of such."""

    async def decide_before_body(self, connection: HTTPConnection) -> bool:
        """Count a request before FastAPI resolves anything; return whether it is admitted."""


class Buckets:
    """Names the buckets of all limits of an app.

    Args:
        app: The outermost app that the limits are used in; one without routes outside of any.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._table: RouteTable | None = None
        self._unnamed: dict[object, Bucket] = {}
        self._named: dict[str, Limit] = {}
        self._met: dict[Starlette, str] = {}

    def of(self, limit: Limit, scope: Scope | None, root_path: str = "") -> Bucket:
        """Return the bucket of *limit* for a request.

        Args:
            limit: The limit.
            scope: The request's scope; None outside of any request.
            root_path: The part of the path in front of the app.

        Raises:
            ThrottleError: The limit has no name and no route depends on it, or each route has a
                bucket of its own and there is no request.
            ConfigurationError: Another limit has this name and another rule.
        """
        is_shared = limit.scope == "shared"
        bucket = self._unnamed.get(limit) if is_shared else None
        if bucket is not None:
            return bucket
        if scope is not None and not (limit.name and is_shared):
            self._meet(scope, root_path)
        bucket = self._of_name(limit) if limit.name else self._of_place(limit)
        if is_shared:
            return bucket
        if scope is None:
            message = "a limit with scope='route' has no bucket outside of a request"
            raise ThrottleError(message)
        return (*bucket, "route", self._route(scope, root_path))

    def named(self, name: str) -> Limit:
        """Return the limit of this name that the app uses.

        Raises:
            ThrottleError: The app uses none.
        """
        if name not in self._named:
            self.check()
        if name not in self._named:
            message = f"no limit is named {name!r}; known are {sorted(self._named)}"
            raise ThrottleError(message)
        return self._named[name]

    def holds(self, limit: Limit, bucket: Bucket) -> bool:
        """Tell whether *bucket* is one of those that *limit* counts in."""
        start = ("name", limit.name) if limit.name else self._unnamed.get(limit)
        return start is not None and bucket[: len(start)] == start

    def before_body(self, scope: Scope, root_path: str) -> list[Early]:
        """Return what a request's route decides before its body is read.

        What the app overrides, as tests do, is left to FastAPI.
        """
        if getattr(scope["route"], "dependant", None) is None:
            return []
        self._meet(scope, root_path)
        route = self._find(scope, root_path)
        overrides = getattr(scope.get("app"), "dependency_overrides", {})
        return [call for call in route.calls_without(overrides) if _is_early(call)]

    @property
    def any_before_body(self) -> bool:
        """Whether there is such a limit in the app."""
        routes = (self._table or self.read_routes()).routes
        return any(_is_early(call) for route in routes for call in route.calls)

    def check(self) -> None:
        """Look at all limits of the app.

        Raises:
            ConfigurationError: One name stands for two rules.
        """
        for route in self.read_routes().routes:
            for limit in limits_in(route.calls):
                if limit.name:
                    self._of_name(limit)

    def _of_name(self, limit: Limit) -> Bucket:
        known = self._named.setdefault(limit.name or "", limit)
        if known is not limit and not limit.rules.is_same(known.rules):
            message = (
                f"the name {limit.name!r} must stand for one rule, "
                f"got {known.rule!r} and {limit.rule!r}"
            )
            raise ConfigurationError(message)
        return ("name", limit.name or "")

    def _meet(self, scope: Scope, root_path: str) -> None:
        """Take note of an app that the request reached and no walk does.

        Where it was met counts only if no caller can choose that: without path parameters.
        """
        app = scope.get("app")
        table = self._table or self.read_routes()
        if isinstance(app, Starlette) and app not in table.apps:
            taken = scope.get("root_path", "").removeprefix(root_path)
            self._met[app] = "" if scope.get("path_params") else taken
            self.read_routes()

    def _of_place(self, limit: Limit) -> Bucket:
        """Return the bucket of an unnamed limit: after the first route that reaches it."""
        if limit not in self._unnamed:
            self.read_routes()
        if limit not in self._unnamed:
            message = f"the limit {limit.rule!r} needs a name: no route of the app depends on it"
            raise ThrottleError(message)
        return self._unnamed[limit]

    def _route(self, scope: Scope, root_path: str) -> str:
        if scope.get("route") is None:
            message = "a limit with scope='route' has no bucket before the request has a route"
            raise ThrottleError(message)
        return str(self._find(scope, root_path))

    def _find(self, scope: Scope, root_path: str) -> Route:
        table = self._table or self.read_routes()
        route = table.find(scope, root_path)
        if route is None:
            table = self.read_routes()
            route = table.find(scope, root_path) or table.add(scope)
        return route

    def read_routes(self) -> RouteTable:
        """Walk the app: at first use, and again when a limit or route was added since."""
        table = self._table = RouteTable(self._app, self._met)
        taken: dict[Bucket, int] = defaultdict(int)
        seen: set[object] = set()

        def name_after(place: Bucket, calls: tuple[object, ...]) -> None:
            for limit in limits_in(calls):
                if not limit.name and limit not in seen:
                    seen.add(limit)
                    bucket = (*place, limit.rule)
                    taken[bucket] += 1
                    # The ordinal tells equal rules of one place apart.
                    self._unnamed[limit] = (*bucket, str(taken[bucket]))

        for route in table.routes:
            name_after(("route", str(route)), route.calls)
        for original, calls in table.overrides():
            name_after(("override", name_of(original)), calls)
        return table


def limits_in(calls: Iterable[object]) -> Iterator[Limit]:
    """Yield the limits among *calls*, and those that are decided together in one of them."""
    for call in calls:
        together = getattr(call, "limits", ())
        for one in (call, *together) if isinstance(together, tuple) else (call,):
            if _is_limit(one):
                yield one


def _is_limit(call: object) -> TypeGuard[Limit]:
    return getattr(call, "is_rate_limit", False) is True


def _is_early(call: object) -> TypeGuard[Early]:
    return bool(getattr(call, "before_body", False)) and any(limits_in((call,)))
