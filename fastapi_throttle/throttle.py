"""What users create once per app: it wires settings, backend and layer."""

from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import ASGIApp

from fastapi_throttle.backends import Backend, MemoryBackend, RedisBackend, check_backend
from fastapi_throttle.decision import Decision
from fastapi_throttle.dependency import RateLimit, Runtime
from fastapi_throttle.dependency.buckets import Bucket, limits_in
from fastapi_throttle.dependency.claim import checked_cost
from fastapi_throttle.dependency.runtime import STATE
from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.identity import is_connection_only
from fastapi_throttle.identity.identity import logger
from fastapi_throttle.model import LONGEST_REMEMBERED, REMEMBERED, Hit, Policy
from fastapi_throttle.override import overrides
from fastapi_throttle.resilience import Health
from fastapi_throttle.settings import ThrottleSettings
from fastapi_throttle.web import ThrottleLayer, install_openapi, install_problem_details

_MEMORY = "memory://"
# What counts outside of requests, for whom it counts left open.
Known = tuple[RateLimit, Bucket, Policy]


class Throttle:
    """Everything limits need, in one line: ``Throttle(app)``.

    It gives the app's limits their backend and writes the RateLimit fields on every response of a
    limited request. Mounted apps without a throttle of their own use their parent's.

    Args:
        app: Installs into this app; or call `install` later. A worker or script needs none.
        backend: Where counters live. Default: what the settings say.
        settings: Default: from the environment.
        default_key: Who pays where a limit does not say; one that needs only the connection, such
            as `client_ip()`. Default: the authenticated user, else the client's address.

    Raises:
        ConfigurationError: The app has a throttle, the backend's URL is unusable, or
            *default_key* needs more than the connection.
    """

    def __init__(
        self,
        app: FastAPI | None = None,
        *,
        backend: Backend | None = None,
        settings: ThrottleSettings | None = None,
        default_key: Any = None,
    ) -> None:
        if default_key is not None and not is_connection_only(default_key):
            message = (
                "default_key must be a resolver that needs only the connection, such as "
                f"client_ip(), got {default_key!r}"
            )
            raise ConfigurationError(message)
        _check_types(app, backend, settings)
        self.settings = ThrottleSettings() if settings is None else settings
        self._backend = _backend_of(self.settings) if backend is None else backend
        self._default_key = default_key
        self._app: FastAPI | None = None
        self._runtime = Runtime(self.settings, self._backend, Starlette(), default_key)
        self._known = lru_cache(maxsize=REMEMBERED)(self._look_up)
        self._claimed = lru_cache(maxsize=REMEMBERED)(self._claim_anew)
        if app is not None:
            self.install(app)

    def install(self, app: FastAPI) -> None:
        """Serve *app*: from now on its limits count here and its responses carry the fields.

        Raises:
            ConfigurationError: The app has a throttle, or this throttle has an app.
        """
        if getattr(app.state, STATE, None) is not None or self._app is not None:
            message = (
                "one Throttle serves one app, and an app has one Throttle; mounted apps use it"
            )
            raise ConfigurationError(message)
        self._app = app
        self._runtime = Runtime(self.settings, self._backend, app, self._default_key)
        self._known.cache_clear()
        self._claimed.cache_clear()
        setattr(app.state, STATE, self._runtime)
        self._install_openapi(app)
        build = app.build_middleware_stack

        def build_with_layer() -> ASGIApp:
            # Outermost whatever middleware is added later. Routes are all declared by now.
            self._runtime.buckets.check()
            self._warn_without_secret()
            self._install_into_apps()
            runtime = self._runtime
            return ThrottleLayer(
                build(),
                runtime=runtime,
                on_startup=runtime.start,
                on_shutdown=self.aclose,
                decide_before_body=runtime.decide_before_body,
            )

        app.build_middleware_stack = build_with_layer  # type: ignore[method-assign]
        if app.middleware_stack is not None:
            app.middleware_stack = app.build_middleware_stack()

    async def hit(self, limit: RateLimit | str, key: str, cost: int = 1) -> Decision:
        """Count outside of any request: in workers, scripts, commands.

        Args:
            limit: A named limit, or the name of one that the app uses.
            key: Who pays, as text: ``"user:42"``, ``"ip:203.0.113.9"``; other text is what a
                plain resolver would have returned.
            cost: Quota units, at least 0.

        Returns:
            The decision; a refusal is not raised.

        Raises:
            ThrottleError: The limit has no name, is unknown, or depends on the request.
        """
        known, hit = self._claim(limit, key, checked_cost(cost, "cost"))
        return (await self._runtime.decider.hit((hit,), (known.failure_mode,)))[0]

    async def peek(self, limit: RateLimit | str, key: str) -> Decision:
        """Tell whether a cost of 1 would be admitted now. Consumes and creates nothing.

        Raises:
            ThrottleError: As for `hit`.
        """
        known, hit = self._claim(limit, key, 1)
        return (await self._runtime.decider.peek((hit,), (known.failure_mode,)))[0]

    async def reset(self, limit: RateLimit | str, key: str) -> None:
        """Forget what *key* used of *limit*.

        Raises:
            ThrottleError: As for `hit`.
            BackendError: The store could not answer.
        """
        _, hit = self._claim(limit, key, 0)
        await self._runtime.decider.reset((hit,))

    def health(self) -> Health:
        """Tell whether the store answers, as far as the last checks of this process know."""
        return self._runtime.decider.health()

    async def aclose(self) -> None:
        """Close the connections that the backend opened on the running event loop.

        An app's lifespan does so at its end. The throttle may be used again afterwards.
        """
        await self._backend.aclose()

    def _install_into_apps(self) -> None:
        """Show limits and refusals in the app and those mounted in it, as each is by now."""
        buckets = self._runtime.buckets
        for app in buckets.read_routes().apps:
            # One that is mounted and has a throttle of its own looks after itself.
            if isinstance(app, FastAPI) and getattr(app.state, STATE, None) in (
                None,
                self._runtime,
            ):
                if self.settings.problem_details:
                    install_problem_details(app)
                self._install_openapi(app)

    def _install_openapi(self, app: FastAPI) -> None:
        if self.settings.openapi:
            install_openapi(
                app,
                self._runtime.buckets.read_routes,
                _describe,
                fields=self._runtime.fields.names,
                problem_details=self.settings.problem_details,
            )

    def _warn_without_secret(self) -> None:
        if self.settings.secret is None and not isinstance(self._backend, MemoryBackend):
            logger.warning(
                "Identities are stored without a secret: whoever reads the store can find out "
                "addresses and user names by trying. Set FASTAPI_THROTTLE_SECRET."
            )

    def _claim(self, limit: RateLimit | str, key: str, cost: int) -> tuple[RateLimit, Hit]:
        if overrides.active is None:
            return (self._claim_anew if _is_long(key) else self._claimed)(limit, key, cost)
        # A test may change rules at any time, and wants to see every claim.
        return self._make_claim(self._look_up(limit), key, cost)

    def _claim_anew(self, limit: RateLimit | str, key: str, cost: int) -> tuple[RateLimit, Hit]:
        return self._make_claim(self._known(limit), key, cost)

    def _make_claim(self, known: Known, key: str, cost: int) -> tuple[RateLimit, Hit]:
        limit, bucket, policy = known
        runtime = self._runtime
        hit = runtime.hit(bucket, policy, runtime.parse(key), cost, remember=False)
        return limit, hit

    def _look_up(self, limit: RateLimit | str) -> Known:
        buckets = self._runtime.buckets
        known = buckets.named(limit) if isinstance(limit, str) else limit
        if not isinstance(known, RateLimit):
            message = f"limit must be a RateLimit or the name of one, got {limit!r}"
            raise TypeError(message)
        policy = known.policy_outside_requests()
        return known, buckets.of(known, None), policy


def _is_long(key: object) -> bool:
    return isinstance(key, str) and len(key) > LONGEST_REMEMBERED


def _check_types(app: object, backend: object, settings: object) -> None:
    if app is not None and not isinstance(app, FastAPI):
        message = f"app must be a FastAPI, got {app!r}"
        raise TypeError(message)
    if settings is not None and not isinstance(settings, ThrottleSettings):
        message = f"settings must be ThrottleSettings, got a {type(settings).__name__}"
        raise TypeError(message)
    if backend is not None:
        check_backend(backend)


def _describe(calls: tuple[object, ...]) -> list[dict[str, Any]]:
    # What is reached twice, or has one name, counts a request once.
    limits = {limit.name or limit: limit for limit in limits_in(calls)}
    return [limit.describe() for limit in limits.values()]


def _backend_of(settings: ThrottleSettings) -> Backend:
    if settings.backend == _MEMORY:
        return MemoryBackend()
    try:
        return RedisBackend(
            settings.backend,
            budget=settings.budget_ms / 1000,
            max_connections=settings.redis_max_connections,
        )
    except ConfigurationError as error:
        message = f"the setting backend must be {_MEMORY} or the URL of a Redis: {error}"
        raise ConfigurationError(message) from None
