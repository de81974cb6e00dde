"""The pure algorithms as a backend: what every other backend must agree with."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi_throttle.algorithms import ALGORITHMS, Claim, decide
from fastapi_throttle.decision import Decision, decisions_of
from fastapi_throttle.model import AlgorithmName, Hit, Policy, Quota


def policy_of(
    *rules: tuple[int, int],
    algorithm: AlgorithmName = "sliding-window",
    burst: int | None = None,
) -> Policy:
    """Make a policy of rules (limit, window in microseconds); *burst* defaults to each limit."""
    quotas = tuple(Quota(limit, window_us, burst or limit) for limit, window_us in rules)
    return Policy.of(quotas, algorithm)


def hit_of(policy: Policy, cost: int = 1, partition: str = "somebody") -> Hit:
    """Make a claim on *policy* for *partition*; the window is part of a key, the limit is not."""
    name = f"{{{partition}}}:{policy.algorithm}"
    return Hit(policy, tuple(f"{name}:{quota.window_us}" for quota in policy.quotas), cost)


class Oracle:
    """Decides as `fastapi_throttle.algorithms` says and forgets nothing.

    Attributes:
        states: What is stored, by key.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.states: dict[str, Any] = {}

    async def hit(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.hit`."""
        return self._decide(hits, peek=False)

    async def peek(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.peek`."""
        return self._decide(hits, peek=True)

    async def reset(self, hits: Sequence[Hit]) -> None:
        """See `Backend.reset`."""
        for hit in hits:
            for key in hit.keys:
                self.states.pop(key, None)

    async def aclose(self) -> None:
        """See `Backend.aclose`."""

    def _decide(self, hits: Sequence[Hit], *, peek: bool) -> tuple[Decision, ...]:
        keys = [key for hit in hits for key in hit.keys]
        claims = [
            Claim(ALGORITHMS[hit.policy.algorithm], self.states.get(key), quota, hit.cost)
            for hit in hits
            for key, quota in zip(hit.keys, hit.policy.quotas, strict=True)
        ]
        verdicts, states = decide(claims, self._clock(), peek=peek)
        if not peek:
            self.states.update(zip(keys, states, strict=True))
        return decisions_of(hits, verdicts)
