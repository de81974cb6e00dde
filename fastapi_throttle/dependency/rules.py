"""What a limit may be written as, and the policy it means."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, get_args

from fastapi import params

from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.identity.identity import name_of
from fastapi_throttle.identity.injection import as_dependency
from fastapi_throttle.model import AlgorithmName, Policy, Quota, format_window
from fastapi_throttle.notation import Window, check_limit, parse_rules, parse_window, quota
from fastapi_throttle.override import overrides

# Debts are kept in microseconds, which a script counts exactly up to here.
_LONGEST_DEBT_US = 2**52
# How much lower than written the rate of gcra may come out.
_ROUNDING = 1.01


class Unlimited(Enum):
    """The type of `UNLIMITED`."""

    UNLIMITED = "unlimited"


UNLIMITED: Final = Unlimited.UNLIMITED
"""What a limit dependency returns for a caller who is not limited."""

Rate = int | str | Unlimited


class Tiers:
    """See `tiers`."""

    def __init__(
        self,
        rates: Mapping[str, Rate],
        by: "Callable[..., Any] | params.Depends",
        default: str,
    ) -> None:
        if not all(isinstance(tier, str) for tier in rates):
            message = f"tiers must be named by text, got {list(rates)!r}"
            raise TypeError(message)
        if not rates:
            message = "tiers needs at least one tier, got none"
            raise ConfigurationError(message)
        if default not in rates:
            message = f"default must be one of the tiers {sorted(rates)}, got {default!r}"
            raise ConfigurationError(message)
        self.rates = dict(rates)
        self.by = as_dependency("by", by)
        self.default = default

    def rate(self, tier: object) -> Rate:
        """Return the rate of *tier*; of the default tier for None."""
        rate = self.rates.get(self.default if tier is None else tier)  # type: ignore[call-overload]
        if rate is None:
            message = (
                f"{name_of(self.by)} returned the tier {tier!r}; "
                f"it must be None or one of {sorted(self.rates)}"
            )
            raise ConfigurationError(message)
        return rate  # type: ignore[no-any-return]


def tiers(
    rates: Mapping[str, Rate],
    *,
    by: "Callable[..., Any] | params.Depends",
    default: str,
) -> Tiers:
    """Limit each caller by the tier they are in.

    Args:
        rates: A rate per tier: ``{"free": "10/minute", "pro": "600/minute; 20/second"}``, also
            `UNLIMITED`, or ints when the `RateLimit` has a window.
        by: A FastAPI dependency that returns the caller's tier, or None.
        default: The tier of callers for whom *by* returns None.

    Raises:
        ConfigurationError: There is no tier, or *default* is not one of them. At the request:
            *by* returned something else; an unknown tier is never an unlimited caller.
    """
    return Tiers(rates, by, default)


class Rules:
    """Turns what a limit is written as, or a dependency returned, into policies.

    Args:
        limit: As for `RateLimit`.
        window: As for `RateLimit`.
        algorithm: As for `RateLimit`.
        burst: As for `RateLimit`.
        name: As for `RateLimit`.

    Attributes:
        dependency: What FastAPI has to resolve before the policy is known, if anything.
        source: The callable behind it.
        name: What the limit is called, if anything.
        text: The rule, to tell unnamed limits and equal names apart.
    """

    def __init__(
        self,
        limit: object,
        window: Window | None,
        algorithm: AlgorithmName,
        burst: int | None,
        name: str | None,
    ) -> None:
        if algorithm not in get_args(AlgorithmName):
            known = ", ".join(get_args(AlgorithmName))
            message = f"algorithm must be one of {known}, got {algorithm!r}"
            raise ConfigurationError(message)
        if burst is not None and algorithm != "gcra":
            message = f"burst must be left out with algorithm {algorithm!r}, got {burst!r}"
            raise ConfigurationError(message)
        self._window_us = None if window is None else parse_window(window)
        self._algorithm = algorithm
        self._burst = None if burst is None else check_limit(burst, "burst")
        self.name = name
        self._policies: dict[Rate, Policy] = {}
        self._tiers: Tiers | None = None
        self.source: object = None
        self.dependency: Callable[..., Any] | params.Depends | None = None
        burst_text = "" if burst is None else f" burst {self._burst}"
        self.text = f"{self._read(limit)} {algorithm}{burst_text}"
        self._static = self.known[0] if isinstance(limit, int | str) else None

    def _read(self, limit: object) -> str:
        """Take *limit* in, and return it as text that every worker writes alike."""
        if isinstance(limit, Tiers):
            self._tiers = limit
            self.dependency = self.source = limit.by
            rates = {tier: self._rule(rate) for tier, rate in limit.rates.items()}
            return f"tiers {rates} default {limit.default}"
        if isinstance(limit, int | str):
            return self._rule(limit)
        if callable(limit) or isinstance(limit, params.Depends):
            self.dependency = as_dependency("limit", limit)
            self.source = getattr(limit, "dependency", limit)
            window = "" if self._window_us is None else f" per {format_window(self._window_us)}"
            return f"{name_of(limit)}(){window}"
        message = (
            "limit must be an int, text such as '100/minute', tiers(...) or a dependency, "
            f"got {limit!r}"
        )
        raise TypeError(message)

    def is_same(self, other: "Rules") -> bool:
        """Tell whether two limits of one name mean the same."""
        return self.text == other.text and self.source is other.source

    @property
    def static(self) -> Policy | None:
        """The policy, where no dependency decides about it."""
        if overrides.active is not None and (policy := overrides.active.policy(self)) is not None:
            return policy
        return self._static

    @property
    def typical(self) -> Policy | None:
        """The policy of callers that nothing is known about; None where a dependency decides."""
        return self._policies[self._tiers.rate(None)] if self._tiers else self.static

    @property
    def known(self) -> tuple[Policy, ...]:
        """The policies that are known without a request."""
        return tuple(self._policies.values())

    def policy(self, resolved: object) -> Policy:
        """Return the policy that a dependency's value means.

        Raises:
            ConfigurationError: The value is not a limit; the message names the dependency.
        """
        if self._tiers:
            return self._policies[self._tiers.rate(resolved)]
        is_rate = isinstance(resolved, int | str | Unlimited) and not isinstance(resolved, bool)
        if not is_rate:
            message = (
                f"{name_of(self.dependency)} returned {resolved!r} as a limit; it must return an "
                "int, text such as '100/minute', or UNLIMITED"
            )
            raise ConfigurationError(message)
        known = self._policies.get(resolved)  # type: ignore[call-overload]
        if known is not None:
            return known  # type: ignore[no-any-return]
        try:
            return self._make(resolved)
        except ConfigurationError as error:
            message = f"{name_of(self.dependency)} returned {resolved!r} as a limit: {error}"
            raise ConfigurationError(message) from None

    def rewritten(self, rate: str) -> Policy:
        """Return the policy this would mean, if it were written as *rate* for everybody."""
        return Rules(rate, None, self._algorithm, None, self.name).known[0]

    def _rule(self, rate: Rate) -> str:
        policy = self._policies[rate] = self._make(rate)
        return "; ".join(map(str, policy.quotas)) or "unlimited"

    def _make(self, rate: object) -> Policy:
        return Policy.of(self._quotas(rate), self._algorithm, self.name)

    def _quotas(self, rate: object) -> tuple[Quota, ...]:
        if rate is UNLIMITED:
            return ()
        if isinstance(rate, str):
            if self._window_us is not None:
                message = f"window must be left out where the limit brings its own, got {rate!r}"
                raise ConfigurationError(message)
            rules = parse_rules(rate)
        else:
            limit = check_limit(rate)
            if self._window_us is None:
                message = f"window must be given with an int limit, got limit {limit} alone"
                raise ConfigurationError(message)
            rules = ((limit, self._window_us),)
        return tuple(self._checked(quota(*rule, self._burst)) for rule in rules)

    def _checked(self, candidate: Quota) -> Quota:
        if self._algorithm != "gcra":
            return candidate
        interval = -(-candidate.window_us // candidate.limit)
        if interval * candidate.limit > candidate.window_us * _ROUNDING:
            message = (
                f"limit must be lower with algorithm 'gcra', which counts whole microseconds, got "
                f"{candidate}: a unit every {interval} microseconds is more than 1 % off"
            )
            raise ConfigurationError(message)
        if candidate.burst * interval > _LONGEST_DEBT_US:
            most = _LONGEST_DEBT_US // interval
            message = f"burst must be at most {most} at {candidate}, got {candidate.burst}"
            raise ConfigurationError(message)
        return candidate
