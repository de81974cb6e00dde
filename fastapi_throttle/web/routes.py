"""Which route a request takes, by its template: never by the text of its URL."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from re import Pattern
from typing import Any, NamedTuple

import fastapi.routing
from fastapi.dependencies.utils import get_dependant
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, compile_path
from starlette.types import Scope

_WEBSOCKET = ("WEBSOCKET",)

# Where in an app a route is declared: the app that routes to it, its template there, its methods.
_Place = tuple[int, str, tuple[str, ...]]


class Route(NamedTuple):
    """One route of an app, seen from the outermost app.

    Attributes:
        path: The full template, mounts and prefixes included: ``"/admin/users/{id}"``.
        methods: Its HTTP methods, sorted; ``("WEBSOCKET",)`` for a WebSocket route.
        calls: What its dependencies call, depth first, in the order FastAPI resolves them.
        mounted_at: Matches the part of a request's path that mounts in front of it take.
        dependant: FastAPI's tree of these calls; None if it is not known.
    """

    path: str
    methods: tuple[str, ...]
    calls: tuple[object, ...]
    mounted_at: Pattern[str]
    dependant: Any = None

    def calls_without(self, overrides: Mapping[Any, object]) -> tuple[object, ...]:
        """Return the calls that are made as declared: nothing overrides them or their own."""
        if not overrides or self.dependant is None:
            return self.calls
        return tuple(_unchanged(self.dependant, overrides))

    def __str__(self) -> str:
        """The route as parts of bucket names know it: ``"GET /users/{id}"``."""
        return f"{','.join(self.methods)} {self.path}"


class RouteTable:
    """All routes of an app, mounted apps included, in declaration order.

    Args:
        app: The outermost app.
        others: Apps that it serves where no walk finds them, behind wrappers that do not show what
            they wrap, and where they were met.
    """

    def __init__(self, app: Starlette, others: dict[Starlette, str] | None = None) -> None:
        self.routes: list[Route] = []
        self._apps: list[Starlette] = [app]
        self._by_place: dict[_Place, list[Route]] = defaultdict(list)
        self._walk(app, app.routes, "")
        for other, prefix in (others or {}).items():
            self._apps.append(other)
            self._walk(other, other.routes, prefix)

    @property
    def apps(self) -> tuple[Starlette, ...]:
        """The app and those mounted in it."""
        return tuple(self._apps)

    def declared_in(
        self, app: Starlette
    ) -> Iterator[tuple[str, tuple[str, ...], tuple[object, ...]]]:
        """Yield path, methods and calls of the routes of *app* as its OpenAPI document has them."""
        for (owner, path, methods), routes in self._by_place.items():
            if owner == id(app):
                yield compile_path(path)[1], methods, routes[0].calls

    def overrides(self) -> Iterator[tuple[object, tuple[object, ...]]]:
        """Yield each overridden dependency, and what its override calls: itself comes last."""
        for app in self._apps:
            for original, override in getattr(app, "dependency_overrides", {}).items():
                dependant = get_dependant(path="/", call=override)
                yield original, (*_calls(dependant), override)

    def find(self, scope: Scope, root_path: str) -> Route | None:
        """Return the route that *scope* was routed to; None if it is not in the table.

        Args:
            scope: The scope as an endpoint's dependencies see it.
            root_path: The part of the path in front of the outermost app.
        """
        candidates = self._by_place.get(_place(scope), [])
        if len(candidates) > 1:
            # One app mounted in several places: what the mounts took of the path tells which.
            taken = scope.get("root_path", "").removeprefix(root_path)
            matching = [route for route in candidates if route.mounted_at.match(taken)]
            candidates = matching or candidates
        return candidates[0] if candidates else None

    def add(self, scope: Scope) -> Route:
        """Enter a route that the walk does not reach: it is known by its own template alone."""
        place = _place(scope)
        _, path, methods = place
        route = Route(path, methods, (), compile_path("")[0])
        self._by_place[place].append(route)
        return route

    def _walk(self, app: Starlette, routes: list[BaseRoute], prefix: str) -> None:
        for route in _contexts(routes):
            original = getattr(route, "original_route", route)
            path = getattr(route, "path", None) or ""
            if isinstance(original, Mount | Host):
                inner = _mounted_app(route) or app
                if inner not in self._apps:
                    self._apps.append(inner)
                # Middleware around a mounted app hides its routes from the mount.
                inside = route.routes or (inner.routes if inner is not app else ())
                self._walk(inner, list(inside), prefix + path)
            elif (dependant := getattr(route, "dependant", None)) is not None:
                methods = _methods(route)
                calls = tuple(_calls(dependant))
                entry = Route(prefix + path, methods, calls, compile_path(prefix)[0], dependant)
                self.routes.append(entry)
                self._by_place[id(app), path, methods].append(entry)


def _place(scope: Scope) -> _Place:
    route = scope.get("route")
    # Since FastAPI 0.137 the route of an included router is the bare original; its prefixes are
    # in a context of its own. A mounted app inherits its parent's, which is about another route.
    context = scope.get("fastapi", {}).get("effective_route_context")
    if context is not None and context.original_route is route:
        route = context
    return id(scope.get("app")), getattr(route, "path", ""), _methods(route)


def _contexts(routes: list[BaseRoute]) -> Iterator[Any]:
    """Yield routes with their full prefixes, as each FastAPI version keeps them."""
    with_context = getattr(fastapi.routing, "iter_route_contexts", None)
    for route in routes if with_context is None else with_context(routes):
        # In 0.137 the context of what is no API route does not yet stand in for it.
        yield getattr(route, "starlette_route", None) or route


def _mounted_app(mount: Any) -> Starlette | None:
    """Return the app behind a mount and its middleware; None for a mounted router."""
    app = getattr(mount, "app", None)
    while app is not None and not isinstance(app, Starlette):
        app = getattr(app, "app", None)
    return app


def _methods(route: Any) -> tuple[str, ...]:
    return tuple(sorted(getattr(route, "methods", None) or ())) or _WEBSOCKET


def _calls(dependant: Any) -> Iterator[object]:
    for dependency in dependant.dependencies:
        yield from _calls(dependency)
        yield dependency.call


def _unchanged(dependant: Any, overrides: Mapping[Any, object]) -> Iterator[object]:
    for dependency in dependant.dependencies:
        if dependency.call not in overrides:
            yield from _unchanged(dependency, overrides)
            if overrides.keys().isdisjoint(_calls(dependency)):
                yield dependency.call
