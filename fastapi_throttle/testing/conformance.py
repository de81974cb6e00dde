"""What every backend must do, as tests for whoever writes one.

::

    from fastapi_throttle.testing.conformance import BackendConformance

    class TestMyBackend(BackendConformance):
        def make_backend(self, clock):
            return MyBackend(clock=clock)

For pytest, or for unittest with `unittest.TestCase` as a second base. No plugin is needed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from fastapi_throttle.backends import Backend
from fastapi_throttle.model import AlgorithmName, Hit
from fastapi_throttle.testing import scenarios
from fastapi_throttle.testing.oracle import hit_of, policy_of
from fastapi_throttle.testing.scenarios import MINUTE_US, Clock, check

Scenario = Callable[[Backend, Clock, AlgorithmName], Awaitable[None]]


class BackendConformance:
    """Tests of a backend.

    Attributes:
        algorithms: What the backend knows; name fewer if it knows fewer.
    """

    algorithms: tuple[AlgorithmName, ...] = ("sliding-window", "gcra", "fixed-window")

    def make_backend(self, clock: Callable[[], int]) -> Backend:
        """Return a backend without counters that goes by *clock*.

        Args:
            clock: Microseconds since the Unix epoch. It is ahead by minutes now and then; what
                a store forgets by a clock of its own must still be there.
        """
        raise NotImplementedError

    def test_it_decides_as_the_algorithms_do(self) -> None:
        """The same decision, to the microsecond, for hits, peeks and resets of all kinds."""
        self._each(scenarios.compare_with_the_oracle)

    def test_a_call_may_ask_for_several_algorithms(self) -> None:
        """Each hit is counted by its own, and all stand or fall together."""
        self._run(lambda backend, clock: scenarios.mix(backend, clock, self.algorithms))

    def test_what_is_refused_consumes_nothing(self) -> None:
        """In none of the quotas that are decided together, of this caller or another."""
        self._each(scenarios.refuse)

    def test_peek_and_a_cost_of_zero_consume_nothing(self) -> None:
        """And tell what a hit would be told."""
        self._each(scenarios.peek)

    def test_who_waits_as_told_is_admitted(self) -> None:
        """And a microsecond earlier is not."""
        self._each(scenarios.wait)

    def test_a_cost_that_never_fits_has_no_wait(self) -> None:
        """Whatever is left."""
        self._each(scenarios.ask_too_much)

    def test_a_changed_limit_applies_to_what_was_used(self) -> None:
        """The limit is no part of a key."""
        self._each(scenarios.change_the_limit)

    def test_reset_forgets_one_partition_and_no_other(self) -> None:
        """With all of its windows."""
        self._each(scenarios.reset)

    def test_of_many_at_once_exactly_the_limit_is_admitted(self) -> None:
        """A call is one step for everybody."""
        self._each(scenarios.hit_at_once)

    def test_it_may_be_used_again_after_it_was_closed(self) -> None:
        """And by another event loop."""
        for algorithm in self.algorithms:
            clock = Clock()
            backend = self.make_backend(clock)
            hit = hit_of(policy_of((3, MINUTE_US), algorithm=algorithm))
            left = [asyncio.run(_used_and_closed(backend, hit)) for _ in range(2)]
            check(left == [2, 1], f"{algorithm}: {left} were left, not [2, 1]")

    def _each(self, scenario: Scenario) -> None:
        for algorithm in self.algorithms:
            self._run(partial(_of_algorithm, scenario, algorithm))

    def _run(self, scenario: Callable[[Backend, Clock], Awaitable[None]]) -> None:
        async def run() -> None:
            clock = Clock()
            backend = self.make_backend(clock)
            try:
                await scenario(backend, clock)
            finally:
                await backend.aclose()

        asyncio.run(run())


async def _of_algorithm(
    scenario: Scenario, algorithm: AlgorithmName, backend: Backend, clock: Clock
) -> None:
    await scenario(backend, clock, algorithm)


async def _used_and_closed(backend: Backend, hit: Hit) -> int:
    (decision,) = await backend.hit((hit,))
    await backend.aclose()
    return decision.remaining
