"""The values every layer speaks: quota, policy, hit.

Edges speak seconds, the inside integer microseconds: a name that ends in ``_us`` says so.
"""

from functools import lru_cache
from typing import Literal, NamedTuple

AlgorithmName = Literal["sliding-window", "gcra", "fixed-window"]
FailureMode = Literal["local", "closed", "open"]

SECOND_US = 1_000_000
# Units are kept in four bytes per entry of the sliding window.
MAX_LIMIT = 2**32 - 1
# Ages are told apart from clock steps by 48-bit arithmetic; a year leaves ample room.
MAX_WINDOW_US = 366 * 86_400 * SECOND_US
# Callers, claims and rules that a process keeps what it worked out about: who comes once mostly
# comes again.
REMEMBERED = 16_384
# And the longest ids of callers it does so for: a request may bring one of any size.
LONGEST_REMEMBERED = 256
# `Verdict.wait_us` of a cost that no amount of waiting makes fit.
NEVER = -1

# Makes a named tuple of its fields in half the time that calling its class takes: for those of
# which every check makes one.
new_tuple = tuple.__new__

_UNITS = ((86_400 * SECOND_US, "d"), (3_600 * SECOND_US, "h"), (60 * SECOND_US, "m"))


@lru_cache(maxsize=1024)
def format_window(window_us: int) -> str:
    """Write a window in the largest whole unit of d, h, m, s: ``"1m"``, ``"90s"``, ``"0.5s"``."""
    for unit_us, unit in _UNITS:
        if window_us % unit_us == 0:
            return f"{window_us // unit_us}{unit}"
    return f"{window_us / SECOND_US:.6f}".rstrip("0").rstrip(".") + "s"


class Quota(NamedTuple):
    """At most *limit* quota units per *window* for each partition.

    Attributes:
        limit: The quota, in quota units. 1 to 4,294,967,295.
        window_us: The time window, in microseconds. 1 ms to 366 days.
        burst: Units that may be admitted at one instant; only gcra tells it from *limit*.
    """

    limit: int
    window_us: int
    burst: int

    @property
    def window(self) -> float:
        """The time window in seconds."""
        return self.window_us / SECOND_US

    def __str__(self) -> str:
        """The rule as it appears in the names of unnamed policies: ``"100-per-1m"``."""
        return f"{self.limit}-per-{format_window(self.window_us)}"


class Policy(NamedTuple):
    """A named rule: one quota per window, decided together.

    Source: draft-ietf-httpapi-ratelimit-headers, "Quota Policy".

    Attributes:
        name: Identifies the rule in fields, metrics and commands. Printable ASCII.
        quotas: One entry per window, in the order given. Empty: the caller is not limited.
        algorithm: How the quotas are counted.
        labels: One name per quota for the response fields; equal to *name* for one window.
    """

    name: str
    quotas: tuple[Quota, ...]
    algorithm: AlgorithmName
    labels: tuple[str, ...]

    @classmethod
    def of(
        cls, quotas: tuple[Quota, ...], algorithm: AlgorithmName, name: str | None = None
    ) -> "Policy":
        """Make a policy, named after its rule when *name* is None."""
        if len(quotas) == 1:
            name = name or str(quotas[0])
            return cls(name, quotas, algorithm, (name,))
        if name is None:
            labels = tuple(str(quota) for quota in quotas)
            return cls("+".join(labels) or "unlimited", quotas, algorithm, labels)
        labels = tuple(f"{name}-{format_window(quota.window_us)}" for quota in quotas)
        return cls(name, quotas, algorithm, labels)

    def __str__(self) -> str:
        """The policy's name."""
        return self.name


class Hit(NamedTuple):
    """One claim: *cost* quota units of *policy* for the partition that *keys* name.

    Attributes:
        policy: The rule.
        keys: One storage key per quota of *policy*, made by the library: printable ASCII, the
            partition's digest in braces, then what names the bucket. Distinct within one call, and
            for ever those of one algorithm and one window; the limit may change.
        cost: Quota units claimed. 0 is admitted and writes nothing.
    """

    policy: Policy
    keys: tuple[str, ...]
    cost: int
