"""What a limit needs at a request: a `Throttle` wires it, an app without one gets a default."""

from collections.abc import Callable
from functools import lru_cache

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.types import Scope

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends import Backend, MemoryBackend
from fastapi_throttle.decider import Decider
from fastapi_throttle.dependency.buckets import Bucket, Buckets
from fastapi_throttle.errors import ThrottleError
from fastapi_throttle.identity import (
    AddressRules,
    Digest,
    Identity,
    client_ip,
    first_of,
    parse_identity,
    principal,
)
from fastapi_throttle.identity.identity import ConnectionResolver, logger, warn_once
from fastapi_throttle.model import LONGEST_REMEMBERED, REMEMBERED, Hit, Policy, new_tuple
from fastapi_throttle.override import overrides
from fastapi_throttle.resilience.startup import POLICY as STARTUP_POLICY
from fastapi_throttle.settings import ThrottleSettings
from fastapi_throttle.web import Fields, RequestLedger, ledger_of
from fastapi_throttle.web.ledger import open_ledger

# Of storage keys: a new layout of keys or states gets a new one.
_VERSION = 1
# Where an app's state holds the runtime of its throttle, or else of none.
STATE = "fastapi_throttle_runtime"
_DEFAULT = "fastapi_throttle_default_runtime"
_ADDRESS = client_ip()


class Runtime:
    """Decides, names buckets, makes storage keys.

    Args:
        settings: Everything that can be configured.
        backend: Where counters live.
        app: The app whose routes name unnamed limits; outside of any app one without routes.
        default_key: Who pays where a limit does not say; needs only the connection.
    """

    def __init__(
        self,
        settings: ThrottleSettings,
        backend: Backend,
        app: Starlette,
        default_key: ConnectionResolver | None = None,
    ) -> None:
        secret = settings.secret
        self.settings = settings
        self.backend = backend
        self._decider = self.make_decider(backend, enabled=settings.enabled)
        self.buckets = Buckets(app)
        self.default_key = default_key or first_of(principal(), client_ip())
        self.address_rules = AddressRules(
            trusted_proxies=settings.trusted_proxies,
            trusted_hops=settings.trusted_hops,
            proxy_header=settings.proxy_header,
            trust_unix_peer=settings.trust_unix_peer,
            ipv4_prefix=settings.ipv4_prefix,
            ipv6_prefix=settings.ipv6_prefix,
            unsafe_trust_any_proxy=settings.unsafe_trust_any_proxy,
        )
        self.fields = Fields(settings.fields, settings.legacy_reset)
        self._digest = Digest(secret.get_secret_value().encode() if secret else None)
        # In a Cluster the braces put all keys of one caller into one slot, and callers apart.
        self._start_of_keys = f"{settings.key_prefix}:{_VERSION}:{{"
        self._startup = settings.startup
        # Digests take a tenth of a check's time.
        self._known = lru_cache(maxsize=REMEMBERED)(self._make_hit)
        self._ends = lru_cache(maxsize=REMEMBERED)(self._make_ends)

    @property
    def decider(self) -> Decider:
        """What decides; a test may have put another in its place."""
        if overrides.active is None:
            return self._decider
        decider: Decider = overrides.active.decider(self)
        return decider

    def make_decider(
        self, backend: Backend, *, enabled: bool, make: Callable[..., Decider] = Decider
    ) -> Decider:
        """Return what decides on *backend* as the settings say."""
        return make(
            backend,
            enabled=enabled,
            budget=self.settings.budget_ms / 1000,
            failure_mode=self.settings.failure_mode,
            workers=self.settings.workers,
            denial_cache=self.settings.denial_cache,
        )

    def hit(
        self,
        bucket: Bucket,
        policy: Policy,
        identity: Identity,
        cost: int,
        *,
        remember: bool = True,
    ) -> Hit:
        """Return the claim of *cost* units that *identity* makes.

        Args:
            bucket: What is limited.
            policy: The rule.
            identity: Who pays.
            cost: Quota units.
            remember: Keep it for the next time, if the id of *identity* is not too long; whoever
                keeps it themselves needs not.
        """
        remember = remember and len(identity.value) <= LONGEST_REMEMBERED
        hit = (self._known if remember else self._make_hit)(bucket, policy, identity, cost)
        if overrides.active is not None:
            overrides.active.claimed(self, bucket, identity, hit)
        return hit

    async def start(self) -> None:
        """Look at the store, as the settings say.

        Raises:
            BackendError: A store that works is required, and it does not.
        """
        hit = self.hit(("startup",), STARTUP_POLICY, Identity("all", b""), 1)
        await self.decider.start(hit, self._startup)

    async def decide_before_body(self, scope: Scope) -> bool:
        """Decide the limits of a request's route that ask for it; return whether all admit."""
        if "route" not in scope:
            self._warn_of_hidden_route(scope)
            return True
        connection = HTTPConnection(scope)
        root_path = ledger_for(connection).root_path
        try:
            for early in self.buckets.before_body(scope, root_path):
                if not await early.decide_before_body(connection):
                    return False
        except ThrottleError:
            # FastAPI would take it for a broken body. The dependency raises it again.
            return False
        return True

    def parse(self, key: str) -> Identity:
        """Read who pays from text: ``"user:42"``."""
        return parse_identity(key, self.address_rules)

    def identify(self, connection: HTTPConnection) -> Identity:
        """Return who pays where a limit names no resolver: never nobody."""
        return self.default_key.identify(connection) or self.address(connection)

    def address(self, connection: HTTPConnection) -> Identity:
        """Return the identity of the client's address: where every chain of resolvers ends."""
        return _ADDRESS.identify(connection)

    def _warn_of_hidden_route(self, scope: Scope) -> None:
        # What an app routed to is known by now, also where it is no route of FastAPI.
        is_routed = scope.get("endpoint") not in (None, scope.get("app"))
        if not is_routed and self.buckets.any_before_body:
            warn_once(
                "before_body",
                "A middleware reads bodies before the route is known, or hands on a copy of the "
                "scope: limits with before_body are decided after the body was read.",
            )

    def _make_hit(self, bucket: Bucket, policy: Policy, identity: Identity, cost: int) -> Hit:
        start = f"{self._start_of_keys}{self._digest.identity(identity)}}}:"
        ends = self._ends(bucket, policy)
        # Nearly all policies have one window.
        keys = (start + ends[0],) if len(ends) == 1 else tuple([start + end for end in ends])
        return new_tuple(Hit, (policy, keys, cost))

    def _make_ends(self, bucket: Bucket, policy: Policy) -> list[str]:
        # The limit is no part of it: a changed limit applies to what was already used.
        code = ALGORITHMS[policy.algorithm].CODE
        return [
            self._digest.bucket((*bucket, code, str(quota.window_us))) for quota in policy.quotas
        ]


def ledger_for(connection: HTTPConnection) -> RequestLedger:
    """Return the request's ledger; for an app without a `Throttle`, one with a default runtime."""
    return ledger_of(connection) or open_ledger(connection.scope, _default(connection.scope))


def _default(scope: Scope) -> Runtime:
    """Return the in-process runtime of an app that has no throttle: one per app."""
    app = scope["app"]
    runtime: Runtime | None = getattr(app.state, STATE, None) or getattr(app.state, _DEFAULT, None)
    if runtime is None:
        logger.warning(
            "No Throttle is installed: limits are counted in this process alone, responses other "
            "than refusals carry no RateLimit fields, and before_body has no effect. "
            "Throttle(app) changes that."
        )
        runtime = Runtime(ThrottleSettings(backend="memory://"), MemoryBackend(), app)
        setattr(app.state, _DEFAULT, runtime)
    return runtime
