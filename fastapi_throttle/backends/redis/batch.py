"""Several checks as one call of the script."""

import asyncio
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends.redis import script
from fastapi_throttle.decision import Decision, Verdict, decisions_of
from fastapi_throttle.errors import BackendError
from fastapi_throttle.model import Hit

Decisions = tuple[Decision, ...]


class Check:
    """One group of hits that somebody waits for.

    Attributes:
        hits: What is decided together.
        keys: The storage keys of all of them.
        rule: What the script needs to know besides.
        outcome: Where the answer goes, if it comes with those of others.
        deadline: When it must be there, in the event loop's time.
        left_at: When it left with others; infinite: it waits.
    """

    __slots__ = ("deadline", "hits", "keys", "left_at", "outcome", "rule")

    def __init__(self, hits: Sequence[Hit], rule: bytes) -> None:
        self.hits = hits
        self.keys = hits[0].keys if len(hits) == 1 else tuple(k for hit in hits for k in hit.keys)
        self.rule = rule
        self.outcome: asyncio.Future[Decisions | BackendError] | None = None
        self.deadline = 0.0
        self.left_at = math.inf

    @property
    def is_answered(self) -> bool:
        """Whether nobody waits any more."""
        return self.outcome is not None and self.outcome.done()


class Batch:
    """Checks that ride in one call, equal ones as one that is asked for several times.

    They arrived while the same calls were under way, so which is decided first is open: equal
    rules go together, equal checks in the order of their arrival.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = checks
        self._runs: dict[bytes, dict[tuple[str, ...], list[Check]]] = {}
        for check in checks:
            self._runs.setdefault(check.rule, {}).setdefault(check.keys, []).append(check)

    def arguments(self, now: int | None) -> list[str | bytes | int]:
        """Return what follows the script in EVALSHA.

        Args:
            now: Microseconds since the Unix epoch; None for the server's clock.
        """
        keys = [key for run in self._runs.values() for group in run for key in group]
        wire: list[str | bytes | int] = [len(keys), *keys, "" if now is None else now]
        for rule, run in self._runs.items():
            # However often somebody peeks, nothing changes in between.
            peek = script.is_peek(rule)
            asked = [1 if peek else len(checks) for checks in run.values()]
            wire += (rule, script.times(asked))
        return wire

    def answers(self, reply: bytes) -> Iterator[tuple[Check, Decisions]]:
        """Tell what the script's reply means for each check."""
        integers = script.integers(reply)
        for rule, run in self._runs.items():
            for checks in run.values():
                if len(checks) == 1 or script.is_peek(rule):
                    verdicts = _verdicts(len(checks[0].keys), integers)
                    told: Iterable[list[Verdict]] = repeat(verdicts, len(checks))
                else:
                    told = _one_by_one(checks[0].hits, len(checks), integers)
                for check, verdicts in zip(checks, told, strict=True):
                    yield check, decisions_of(check.hits, verdicts)


def _verdicts(claims: int, integers: Iterator[int]) -> list[Verdict]:
    return [
        Verdict(next(integers), next(integers), next(integers), next(integers))
        for _ in range(claims)
    ]


def _one_by_one(
    hits: Sequence[Hit], times: int, integers: Iterator[int]
) -> Iterator[list[Verdict]]:
    """Take apart what the script did at once."""
    claims = [
        (ALGORITHMS[hit.policy.algorithm], quota, hit.cost)
        for hit in hits
        for quota in hit.policy.quotas
    ]
    fits, last, refused = 0, [], []
    for _ in claims:
        fits = next(integers)
        last += _verdicts(1, integers)
        refused += _verdicts(1, integers)
    for later in reversed(range(fits)):
        yield [
            algorithm.before(verdict, quota, cost * later)
            for verdict, (algorithm, quota, cost) in zip(last, claims, strict=True)
        ]
    yield from repeat(refused, times - fits)
