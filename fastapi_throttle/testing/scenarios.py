"""What `BackendConformance` does to a backend, and what must come of it."""

import asyncio
from collections.abc import Sequence
from random import Random

from fastapi_throttle.backends import Backend
from fastapi_throttle.decision import Decision
from fastapi_throttle.model import SECOND_US, AlgorithmName, Hit, Policy
from fastapi_throttle.testing.clock import START
from fastapi_throttle.testing.oracle import Oracle, hit_of, policy_of

MINUTE_US = 60 * SECOND_US
_HISTORIES = 20
_CALLS = 60
# Hits of one unit each at once, of a limit that admits fewer.
_AT_ONCE, _LIMIT = 200, 50


class Clock:
    """Shows what it is told, in microseconds.

    Attributes:
        now: What it shows.
    """

    def __init__(self) -> None:
        self.now = START * SECOND_US

    def __call__(self) -> int:
        """Return microseconds since the Unix epoch."""
        return self.now


async def compare_with_the_oracle(backend: Backend, clock: Clock, algorithm: AlgorithmName) -> None:
    """Make random calls on both; what is decided must be equal."""
    for seed in range(_HISTORIES):
        random = Random(seed)  # noqa: S311 - the same histories in every run
        oracle = Oracle(clock)
        windows = random.sample((MINUTE_US, 7 * MINUTE_US + 3, 60 * MINUTE_US), seed % 3 + 1)
        limit = random.choice((1, 2, 5, 20, 129, 1_000, 1_000_000))
        burst = random.choice((None, 1, 3, 2 * limit)) if algorithm == "gcra" else None
        wait = 0
        for number in range(_CALLS):
            clock.now += random.choice((0, 0, 0, 1, 1_000, MINUTE_US // 60, MINUTE_US, wait, wait))
            if number == _CALLS // 2:
                limit = random.choice((1, 5, 20, 200))
            rules = [(limit, window) for window in windows]
            policy = policy_of(*rules, algorithm=algorithm, burst=burst)
            most = burst or limit
            costs = (1, 1, 1, 2, 0, most // 2 + 1, most, most + 1)
            hits = tuple(
                hit_of(policy, random.choice(costs), f"{seed} {who}")
                for who in ("a", "b")[: random.choice((1, 1, 2))]
            )
            verb = random.choice(("hit",) * 8 + ("peek", "peek", "reset"))
            expected = await getattr(oracle, verb)(hits)
            got = await getattr(backend, verb)(hits)
            check(
                got == expected,
                f"{algorithm}, history {seed}, call {number}, {verb} of {hits} at {clock.now}: "
                f"the decision must be {expected}, got {got}",
            )
            waits = [each.retry_after or 0.0 for each in expected or ()]
            wait = round(max(waits, default=0) * SECOND_US)


async def mix(backend: Backend, clock: Clock, algorithms: Sequence[AlgorithmName]) -> None:
    """Decide together what is counted in different ways."""
    oracle = Oracle(clock)
    policies = [policy_of((5, MINUTE_US), algorithm=algorithm) for algorithm in algorithms]
    for number in range(_CALLS):
        clock.now += number % 7 * SECOND_US
        turn = number % len(policies)
        hits = tuple(
            hit_of(policy, (number + place) % 3)
            for place, policy in enumerate(policies[turn:] + policies[:turn])
        )
        expected, got = await oracle.hit(hits), await backend.hit(hits)
        check(got == expected, f"call {number}, hit of {hits}: must be {expected}, got {got}")


async def refuse(backend: Backend, clock: Clock, algorithm: AlgorithmName) -> None:
    """Refuse one of three hits."""
    tight, loose = _policy(algorithm, 2), policy_of((9, MINUTE_US), algorithm=algorithm)
    mine, other, new = hit_of(tight), hit_of(loose, 3, "other"), hit_of(loose, 1, "new")
    for _ in range(2):
        await backend.hit((mine, other))
    before = await backend.peek((hit_of(tight, 0), hit_of(loose, 0, "other")))
    clock.now += 1_000

    refused = await backend.hit((mine, other, new))

    check(
        not any(each.allowed for each in refused),
        f"{algorithm}: all that is decided together must be refused together, got {refused}",
    )
    clock.now -= 1_000
    after = await backend.peek((hit_of(tight, 0), hit_of(loose, 0, "other")))
    (unused,) = await backend.peek((new,))
    check(
        after == before and unused.remaining == loose.quotas[0].limit,
        f"{algorithm}: what is refused must consume nothing, got {after} after {before}",
    )


async def peek(backend: Backend, clock: Clock, algorithm: AlgorithmName) -> None:
    """Peek at all that is left, then take it."""
    policy = _policy(algorithm, 2)
    for _ in range(3):
        await backend.peek((hit_of(policy, 2),))
        (decision,) = await backend.hit((hit_of(policy, 0),))
        check(decision.allowed, f"{algorithm}: a cost of 0 must be admitted, got {decision}")
    (first,) = await backend.hit((hit_of(policy, 2),))
    check(first.allowed, f"{algorithm}: peek and a cost of 0 must consume nothing, got {first}")
    clock.now += 1
    foretold = await backend.peek((hit_of(policy),))
    told = await backend.hit((hit_of(policy),))
    check(foretold == told, f"{algorithm}: peek must tell {told}, got {foretold}")


async def wait(backend: Backend, clock: Clock, algorithm: AlgorithmName) -> None:
    """Be refused, and wait as told."""
    policy = _policy(algorithm, 5)
    for number in range(30):
        refused = await _hit_until_refused(backend, hit_of(policy, number % 3 + 1))
        wait_us = round((refused.retry_after or 0.0) * SECOND_US)
        for moment, is_admitted in ((wait_us - 1, False), (wait_us, True)):
            clock.now += moment
            (decision,) = await backend.peek((hit_of(policy, number % 3 + 1),))
            clock.now -= moment
            check(
                decision.allowed == is_admitted,
                f"{algorithm}: told to wait {wait_us} us, a caller who waits {moment} us must "
                f"{'be admitted' if is_admitted else 'be refused'}, got {decision}",
            )
        clock.now += wait_us


async def ask_too_much(backend: Backend, _: Clock, algorithm: AlgorithmName) -> None:
    """Ask for more than there ever is."""
    limit = 5
    (decision,) = await backend.hit((hit_of(_policy(algorithm, limit), limit + 1),))
    check(
        not decision.allowed and decision.retry_after is None and decision.remaining == limit,
        f"{algorithm}: a cost above the limit must be refused for ever, got {decision}",
    )


async def change_the_limit(backend: Backend, _: Clock, algorithm: AlgorithmName) -> None:
    """Go on with a lower limit, then a higher one."""
    if algorithm == "gcra":
        return  # It keeps a debt, which another limit pays back at another pace.
    for limit, left in ((10, 9), (5, 3), (20, 17)):
        (decision,) = await backend.hit((hit_of(_policy(algorithm, limit)),))
        check(
            decision.remaining == left,
            f"{algorithm}: {left} must be left of a limit that is now {limit}, got {decision}",
        )


async def reset(backend: Backend, _: Clock, algorithm: AlgorithmName) -> None:
    """Reset one of two callers, and one who never came."""
    policy = _policy(algorithm, 3)
    for partition in ("a", "b"):
        await backend.hit((hit_of(policy, 2, partition),))
    await backend.reset((hit_of(policy, 1, "a"), hit_of(policy, 1, "nobody")))
    left = [
        [quota.remaining for quota in decision.quotas]
        for decision in await backend.peek((hit_of(policy, 1, "a"), hit_of(policy, 1, "b")))
    ]
    check(
        left == [[3, 30], [1, 28]],
        f"{algorithm}: reset must forget a and keep b: [[3, 30], [1, 28]] left, got {left}",
    )


async def hit_at_once(backend: Backend, _: Clock, algorithm: AlgorithmName) -> None:
    """Hit in many tasks at once."""
    shared, loose = (
        policy_of((_LIMIT, MINUTE_US), algorithm=algorithm),
        _policy(algorithm, 10 * _LIMIT),
    )
    both = hit_of(shared), hit_of(loose, 2, "all")
    decisions = await asyncio.gather(*(backend.hit(both) for _ in range(_AT_ONCE)))
    admitted = sum(mine.allowed and other.allowed for mine, other in decisions)
    (left,) = await backend.peek((hit_of(loose, 0, "all"),))
    check(
        admitted == _LIMIT and left.remaining == 8 * _LIMIT,
        f"{algorithm}: of {_AT_ONCE} hits at once {_LIMIT} must be admitted, and leave "
        f"{8 * _LIMIT} elsewhere, got "
        f"{admitted} and {left.remaining}",
    )


async def _hit_until_refused(backend: Backend, hit: Hit) -> Decision:
    while True:
        (decision,) = await backend.hit((hit,))
        if not decision.allowed:
            return decision


def _policy(algorithm: AlgorithmName, limit: int) -> Policy:
    """Return a policy of two windows, of which the second never refuses first."""
    return policy_of((limit, MINUTE_US), (10 * limit, 60 * MINUTE_US), algorithm=algorithm)


def check(holds: bool, message: str) -> None:  # noqa: FBT001 - as in assert
    """Fail with *message* unless it holds."""
    if not holds:
        raise AssertionError(message)
