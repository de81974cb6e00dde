"""Several checks as one call of the script."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice, repeat

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends.redis import script
from fastapi_throttle.decision import Decision, Verdict, decisions_of
from fastapi_throttle.errors import BackendError
from fastapi_throttle.model import Hit, new_tuple

Decisions = tuple[Decision, ...]

# What is shared out over several calls must be so much for each: a call has a price of its own.
FEWEST_CHECKS = 24
# So many decisions keep Redis from others for about half a millisecond.
MOST_CHECKS = 128


class Check:
    """One group of hits that somebody waits for.

    Attributes:
        hits: What is decided together.
        keys: The storage keys of all of them.
        rule: What the script needs to know besides.
        deadline: When the answer must be there, in the event loop's time.
        outcome: Where it goes, if it comes with those of others.
    """

    __slots__ = ("deadline", "hits", "keys", "outcome", "rule")

    deadline: float
    outcome: asyncio.Future[Decisions]

    def __init__(self, hits: Sequence[Hit], rule: bytes) -> None:
        self.hits = hits
        self.keys = hits[0].keys if len(hits) == 1 else tuple(k for hit in hits for k in hit.keys)
        self.rule = rule

    def refuse(self, fault: BackendError) -> None:
        """Tell that it is not decided, unless nobody waits any more."""
        if not self.outcome.done():
            self.outcome.set_exception(fault)


def share_of(waiting: Collection[Check], calls: int) -> int:
    """Return how many of those who wait ride in the next of *calls* calls.

    Those who are answered together ask again together, mostly. If all of them left together,
    Redis would be idle while this process is busy, and the other way around: so they are shared
    out over the calls that are free. Equal ones are not, for they are one to Redis.
    """
    if len(waiting) >= 2 * FEWEST_CHECKS and calls > 1:
        different = {check.keys for check in islice(waiting, calls * FEWEST_CHECKS)}
        calls = max(1, len(different) // FEWEST_CHECKS)
    else:
        calls = 1
    return min(MOST_CHECKS, -(-len(waiting) // calls))


class Batch:
    """Checks that ride in one call, equal ones as one that is asked for several times.

    They arrived while the same calls were under way, so which is decided first is open: equal
    rules go together, equal checks in the order of their arrival.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = checks
        self._runs: dict[bytes, dict[tuple[str, ...], list[Check]]]
        self._runs = defaultdict(lambda: defaultdict(list))
        for check in checks:
            self._runs[check.rule][check.keys].append(check)

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
        integers, at = script.integers(reply), 0
        for rule, run in self._runs.items():
            is_peek = script.is_peek(rule)
            for keys, checks in run.items():
                if len(checks) == 1 or is_peek:
                    verdicts = _verdicts(integers, at, len(keys))
                    at += 4 * len(keys)
                    for check in checks:
                        yield check, decisions_of(check.hits, verdicts)
                else:
                    told = _one_by_one(checks[0].hits, len(checks), integers, at)
                    at += 9 * len(keys)
                    for check, verdicts in zip(checks, told, strict=True):
                        yield check, decisions_of(check.hits, verdicts)


def _verdicts(integers: tuple[int, ...], at: int, claims: int) -> tuple[Verdict, ...]:
    if claims == 1:
        return (_verdict(integers, at),)
    return tuple(_verdict(integers, at + 4 * claim) for claim in range(claims))


def _verdict(integers: tuple[int, ...], at: int) -> Verdict:
    return new_tuple(Verdict, integers[at : at + 4])


def _one_by_one(
    hits: Sequence[Hit], times: int, integers: tuple[int, ...], at: int
) -> Iterator[tuple[Verdict, ...]]:
    """Take apart what the script did at once."""
    told = []
    for hit in hits:
        before = ALGORITHMS[hit.policy.algorithm].before
        for quota in hit.policy.quotas:
            fits, last, refused = (
                integers[at],
                _verdict(integers, at + 1),
                _verdict(integers, at + 5),
            )
            admitted = []
            if fits:
                # Equal hits at one instant are equal steps from the first verdict to the last.
                first = before(last, quota, hit.cost * (fits - 1))
                fields = map(_steps, first, last, repeat(fits))
                admitted = [new_tuple(Verdict, each) for each in zip(*fields, strict=True)]
            told.append(admitted + [refused] * (times - fits))
            at += 9
    return zip(*told, strict=True)


def _steps(first: int, last: int, times: int) -> Iterable[int]:
    """Go from *first* to *last* in *times* equal steps."""
    if first == last:
        return repeat(first, times)
    step = (last - first) // (times - 1)
    return range(first, last + step, step)
