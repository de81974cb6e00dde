"""Whose claims a test speaks of: of a limit or of its name, of one caller or of all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi_throttle.dependency import RateLimit, Runtime
from fastapi_throttle.dependency.buckets import Bucket
from fastapi_throttle.errors import ThrottleError
from fastapi_throttle.identity import Identity
from fastapi_throttle.identity.client_ip import INVALID
from fastapi_throttle.identity.identity import identity_of
from fastapi_throttle.model import Hit
from fastapi_throttle.override import overrides


@dataclass(frozen=True)
class Claimed:
    """A claim that was made in a test.

    Attributes:
        runtime: What serves the app that it was made in.
        bucket: What it counts for.
        identity: Who pays.
        hit: The claim as backends take it.
    """

    runtime: Runtime
    bucket: Bucket
    identity: Identity
    hit: Hit


@dataclass(frozen=True)
class Claims:
    """Claims on one limit.

    Attributes:
        limit: The limit, or the bucket.
        key: Who pays: text as for `Throttle.hit`, or what a resolver of the application returns.
            None for everybody.
    """

    limit: RateLimit | Bucket
    key: Any = None

    def overlaps(self, other: "Claims") -> bool:
        """Tell whether somebody may be meant by both."""
        limit, others = (
            (each.limit.name or each.limit) if isinstance(each.limit, RateLimit) else each.limit
            for each in (self, other)
        )
        return limit == others and (
            self.key is None or other.key is None or identity_of(self.key) == identity_of(other.key)
        )

    def __contains__(self, claimed: Claimed) -> bool:
        if isinstance(self.limit, RateLimit):
            is_here = claimed.runtime.buckets.holds(self.limit, claimed.bucket)
        else:
            is_here = self.limit == claimed.bucket
        return is_here and (self.key is None or claimed.identity in self._identities(claimed))

    def _identities(self, claimed: Claimed) -> Iterator[Identity | None]:
        # Text that reads like a kind and an id may also be what a plain resolver returned.
        yield identity_of(self.key)
        if isinstance(self.key, str):
            yield claimed.runtime.parse(self.key)
        if self.key == "ip:testclient":
            # The host that Starlette's TestClient gives is no address.
            yield claimed.runtime.address_rules.label(INVALID)


def check_key(key: object) -> None:
    """Check that somebody may have this key.

    Raises:
        TypeError: Whatever a resolver returned, it was not this.
    """
    is_id = isinstance(key, str | bytes | int | UUID | tuple) and not isinstance(key, bool)
    if key is not None and not (is_id and identity_of(key)):
        message = (
            "key must be text such as 'user:42' or what a resolver returns: not blank, a str, "
            f"bytes, int, UUID or a tuple of these, got {key!r}"
        )
        raise TypeError(message)


def known_names() -> list[str]:
    """Return the names that limits of this process have."""
    return sorted({limit.name for limit in overrides.limits() if limit.name})


def check_limit(limit: object) -> None:
    """Check that it can mean a limit.

    Raises:
        TypeError: It is neither a limit nor text.
    """
    if not isinstance(limit, RateLimit | str):
        message = f"limit must be a RateLimit or the name of one, got {limit!r}"
        raise TypeError(message)


def limit_called(name_or_limit: RateLimit | str) -> RateLimit:
    """Return a limit, or the newest one of a name.

    Raises:
        ThrottleError: No limit has the name.
        TypeError: It is neither.
    """
    check_limit(name_or_limit)
    if isinstance(name_or_limit, RateLimit):
        return name_or_limit
    for limit in overrides.limits():
        if limit.name == name_or_limit:
            found: RateLimit = limit
            return found
    message = f"no limit is named {name_or_limit!r}; known are {known_names()}"
    raise ThrottleError(message)
