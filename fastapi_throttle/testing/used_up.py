"""A backend whose limits are used up when a test wants them to be."""

from collections.abc import Callable, Sequence

from fastapi_throttle.backends import Backend
from fastapi_throttle.clock import wall_clock
from fastapi_throttle.decision import Decision, QuotaState, Verdict, decisions_of
from fastapi_throttle.model import NEVER, SECOND_US, Hit


class UsedUpBackend:
    """Decides on another backend, except for limits that are used up.

    Args:
        inner: The other backend.
        since: Tells since when, in microseconds, a claim's limit is used up, if it is. Each
            quota is for one window.
        on_reset: Told what was reset.
    """

    def __init__(
        self,
        inner: Backend,
        *,
        since: Callable[[Hit], int | None],
        on_reset: Callable[[Sequence[Hit]], None],
    ) -> None:
        self._inner = inner
        self._since = since
        self._on_reset = on_reset

    async def hit(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.hit`."""
        if any(hit.cost and any(self._waits(hit)) for hit in hits):
            return await self.peek(hits)
        return self._shown(hits, await self._inner.hit(hits))

    async def peek(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """See `Backend.peek`."""
        return self._shown(hits, await self._inner.peek(hits))

    async def reset(self, hits: Sequence[Hit]) -> None:
        """See `Backend.reset`."""
        await self._inner.reset(hits)
        self._on_reset(hits)

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        await self._inner.aclose()

    def _waits(self, hit: Hit) -> list[int]:
        """Return, per quota, for how many microseconds it is used up."""
        since = self._since(hit)
        if since is None:
            return [0] * len(hit.keys)
        now = wall_clock()
        return [max(since + quota.window_us - now, 0) for quota in hit.policy.quotas]

    def _shown(self, hits: Sequence[Hit], decisions: Sequence[Decision]) -> tuple[Decision, ...]:
        verdicts = [
            _used_up(state, wait_us, hit.cost) if wait_us else _verdict(state)
            for hit, decision in zip(hits, decisions, strict=True)
            for state, wait_us in zip(decision.quotas, self._waits(hit), strict=True)
        ]
        return decisions_of(hits, verdicts)


def _used_up(state: QuotaState, wait_us: int, cost: int) -> Verdict:
    refusal = NEVER if state.retry_after is None else wait_us
    return Verdict(refusal if cost else 0, 0, wait_us, wait_us)


def _verdict(state: QuotaState) -> Verdict:
    wait_us = NEVER if state.retry_after is None else round(state.retry_after * SECOND_US)
    more_us, reset_us = (round(s * SECOND_US) for s in (state.more_after, state.reset_after))
    return Verdict(wait_us, state.remaining, more_us, reset_us)
