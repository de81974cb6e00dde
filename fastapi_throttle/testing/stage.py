"""What stands in front of all throttles of the process while a test runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

from fastapi_throttle.backends import Backend, MemoryBackend
from fastapi_throttle.decider import Decider
from fastapi_throttle.decision import Decision
from fastapi_throttle.dependency import RateLimit, Runtime
from fastapi_throttle.dependency.buckets import Bucket
from fastapi_throttle.dependency.rules import Rules
from fastapi_throttle.identity import Identity
from fastapi_throttle.model import FailureMode, Hit, Policy
from fastapi_throttle.notation import parse_rules
from fastapi_throttle.override import Override
from fastapi_throttle.resilience import Budget
from fastapi_throttle.testing.claims import Claimed, Claims, check_limit
from fastapi_throttle.testing.failing import FailingBackend, Failure
from fastapi_throttle.testing.used_up import UsedUpBackend


class Recorder(Decider):
    """Decides, and keeps what it decided."""

    def __init__(self, *arguments: Any, kept: list[Decision], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._kept = kept

    async def hit(
        self,
        hits: Sequence[Hit],
        failure_modes: Sequence[FailureMode | None] = (),
        budget: Budget | None = None,
    ) -> tuple[Decision, ...]:
        """See `Decider.hit`."""
        decisions = await super().hit(hits, failure_modes, budget)
        self._kept.extend(decisions)
        return decisions


class Stage:
    """An `Override`: gives every throttle other counters, rules, and a store that may fail.

    Args:
        backend: Where all of them count. None for their own if they count in this process, and
            for one that does if they do not.
        isolation: Start with empty counters. False leaves the throttles' own backends in place,
            wherever they are.
        enabled: Whether limits are on; None for what the settings say.
        limits: Rates in place of those that are written, by limit or name.
        within: What it stands in front of while another test, or another part of one, is under
            way: what that counted is left to it.

    Attributes:
        decisions: What was decided.
        failure: How the store fails, if it does.
    """

    def __init__(
        self,
        *,
        backend: Backend | None,
        isolation: bool,
        enabled: bool | None,
        limits: Mapping[RateLimit | str, str],
        within: Override | None = None,
    ) -> None:
        self.decisions: list[Decision] = []
        self.failure: Failure | None = None
        self._backend = backend
        self._isolation = isolation
        self._enabled = enabled
        self._rates: dict[str | Rules, str] = {}
        self._rewritten: dict[tuple[Rules, str], Policy] = {}
        self._in_process = MemoryBackend()
        self._is_inner = isinstance(within, Stage)
        self._emptied: set[MemoryBackend] = set()
        self._undo = ExitStack()
        self._stores: dict[Runtime, UsedUpBackend] = {}
        self._deciders: dict[Runtime, Decider] = {}
        self._claims: dict[Runtime, dict[tuple[str, ...], Claimed]] = {}
        # Since when claims are used up; None for those that are not, whatever was said before.
        self._used_up: list[tuple[Claims, int | None]] = []
        for limit, rate in limits.items():
            check_limit(limit)
            called = limit if isinstance(limit, str) else limit.name or limit.rule
            parse_rules(rate, f"limits[{called!r}]")
            self.rewrite(limit, rate)

    def decider(self, runtime: Runtime) -> Decider:
        """See `Override.decider`: a new one for this test, which remembers no other."""
        decider = self._deciders.get(runtime)
        if decider is None:
            is_on = runtime.settings.enabled if self._enabled is None else self._enabled
            own_budget: float = getattr(runtime.backend, "budget", math.inf)
            store = FailingBackend(
                self._store(runtime),
                lasts=runtime.settings.budget_ms / 1000,
                failure=lambda: self.failure,
                # The machine may be busy with many tests: what stands in for a store is not
                # watched.
                budget=0.0 if self._isolation else own_budget,
            )
            make = partial(Recorder, kept=self.decisions) if is_on else Decider
            decider = runtime.make_decider(store, enabled=is_on, make=make)
            decider = self._deciders.setdefault(runtime, decider)
        return decider

    def policy(self, rules: Rules) -> Policy | None:
        """See `Override.policy`."""
        rate = self._rates.get(rules.name or rules)
        if rate is None:
            return None
        policy = self._rewritten.get((rules, rate))
        if policy is None:
            policy = self._rewritten[rules, rate] = rules.rewritten(rate)
        return policy

    def claimed(self, runtime: Runtime, bucket: Bucket, identity: Identity, hit: Hit) -> None:
        """See `Override.claimed`."""
        claims = self._claims.setdefault(runtime, {})
        claims[hit.keys] = Claimed(runtime, bucket, identity, hit)

    def made(self, wanted: Claims) -> list[Claimed]:
        """Return the claims among *wanted* that were made in this test."""
        claims = [claimed for each in list(self._claims.values()) for claimed in each.values()]
        return [claimed for claimed in claims if claimed in wanted]

    def count_in(self, backend: Backend) -> None:
        """Let all apps count there from now on."""
        self._backend = backend
        self._stores.clear()
        self._deciders.clear()

    def rewrite(self, limit: RateLimit | str, rate: str) -> AbstractContextManager[object]:
        """Let *limit* mean *rate* from now on, until the context that is returned ends."""
        name = limit.name or limit.rules if isinstance(limit, RateLimit) else limit
        before = self._rates.get(name)
        self._rates[name] = rate
        undo = ExitStack()
        if before is None:
            undo.callback(self._rates.pop, name, None)
        else:
            undo.callback(self._rates.__setitem__, name, before)
        return undo

    def mark(self, claims: Claims, since: int | None) -> None:
        """Let *claims* be used up since then; with None, not be."""
        self._used_up.append((claims, since))
        # They remember whom they refused.
        self._deciders.clear()

    def used_up_since(self, is_meant: Callable[[Claims], bool]) -> int | None:
        """Return since when, by what was said last about it."""
        said = (since for claims, since in reversed(self._used_up) if is_meant(claims))
        return next(said, None)

    async def remaining(self, claimed: Claimed, limit: RateLimit) -> int:
        """Return what is left of *limit* for whoever claimed, also while the store fails."""
        # Another app may have a limit of this name and another rule.
        own = claimed.runtime.buckets.named(limit.name) if limit.name else limit
        policy = own.rules.static or claimed.hit.policy
        hit = claimed.runtime.hit(claimed.bucket, policy, claimed.identity, 1)
        return (await self._store(claimed.runtime).peek((hit,)))[0].remaining

    async def reset(self) -> None:
        """Forget what was counted and decided in this test, and what was marked as used up."""
        for runtime, claims in list(self._claims.items()):
            await self._store(runtime).reset([claimed.hit for claimed in claims.values()])
        self._used_up.clear()
        self._deciders.clear()
        self.decisions.clear()

    def close(self) -> None:
        """Leave nothing in counters that others go on with."""
        self._undo.close()

    def _store(self, runtime: Runtime) -> UsedUpBackend:
        store = self._stores.get(runtime)
        if store is None:
            store = UsedUpBackend(
                self._inner(runtime.backend),
                since=partial(self._since, runtime),
                on_reset=partial(self._reset, runtime),
            )
            store = self._stores.setdefault(runtime, store)
        return store

    def _inner(self, own: Backend) -> Backend:
        if self._backend is not None:
            return self._backend
        if not self._isolation:
            return own
        if not isinstance(own, MemoryBackend):
            return self._in_process
        if own not in self._emptied:
            self._emptied.add(own)
            if self._is_inner:
                self._undo.enter_context(own.emptied())
            else:
                own.clear()
                self._undo.callback(own.clear)
        return own

    def _since(self, runtime: Runtime, hit: Hit) -> int | None:
        claimed = self._claims.get(runtime, {}).get(hit.keys)
        return self.used_up_since(lambda claims: claimed is not None and claimed in claims)

    def _reset(self, runtime: Runtime, hits: Sequence[Hit]) -> None:
        for hit in hits:
            claimed = self._claims.get(runtime, {}).get(hit.keys)
            if claimed is not None:
                self._used_up.append((Claims(claimed.bucket, claimed.identity), None))
