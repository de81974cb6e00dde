"""A refusal is remembered for as long as the store would repeat it, and never longer."""

import asyncio
from itertools import count

import pytest
from clock import Clock
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import hit_of, policy_of

from fastapi_throttle import BackendError
from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.backends import MemoryBackend
from fastapi_throttle.clock import stand_in
from fastapi_throttle.decider import Decider
from fastapi_throttle.resilience import DenialCache

SECOND = 1_000_000
ONE_A_MINUTE = policy_of((1, 60 * SECOND))


class Distant(MemoryBackend):
    """A store that has to be waited for, and counts how often it is asked.

    Attributes:
        way: Seconds to it, and again as long back.
        meanwhile: Called while it is asked.
    """

    budget = 0.25

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.clock = clock
        self.asked = 0
        self.is_down = False
        self.way = 0.0
        self.meanwhile = None

    async def hit(self, hits):
        self.asked += 1
        if self.is_down:
            message = "down"
            raise BackendError(message)
        self.travel()
        decisions = await super().hit(hits)
        if self.meanwhile:
            await self.meanwhile()
        self.travel()
        return decisions

    def travel(self):
        if self.way:
            self.clock.advance(self.way)


@pytest.fixture
def clock(monkeypatch):
    # A small number: seconds that are floats then tell microseconds apart.
    clock = Clock(1000 * SECOND)
    monkeypatch.setattr(stand_in, "clock", clock)
    return clock


@pytest.fixture
def store(clock):
    return Distant(clock)


@pytest.fixture
def decider(store):
    return Decider(store)


def ask(decider, *hits):
    return asyncio.run(decider.hit(hits))[0]


def use_up(decider, hit):
    assert ask(decider, hit).allowed
    decision = ask(decider, hit)
    assert (decision.allowed, decision.cached) == (False, False)


def test_who_was_refused_is_refused_again_without_the_store(decider, store, clock):
    hit = hit_of(ONE_A_MINUTE)
    use_up(decider, hit)
    clock.advance(0.5)

    again = ask(decider, hit)

    assert (again.allowed, again.cached, store.asked) == (False, True, 2)
    assert (again.retry_after, again.reset_after, again.remaining) == (59.5, 59.5, 0)
    assert again.policy is hit.policy
    assert not again.degraded


def test_the_store_is_asked_again_after_a_second(decider, store, clock):
    hit = hit_of(ONE_A_MINUTE)
    use_up(decider, hit)

    for _ in range(99):
        clock.advance(0.01)
        assert ask(decider, hit).cached
    clock.advance(0.01)

    assert not ask(decider, hit).cached
    assert store.asked == 3
    assert ask(decider, hit).cached


def test_who_waited_as_told_is_admitted(decider, clock):
    hit = hit_of(policy_of((1, SECOND // 2)))
    use_up(decider, hit)
    clock.advance(0.2)
    told = ask(decider, hit)
    assert (told.cached, told.retry_after) == (True, 0.3)

    clock.advance(told.retry_after - 0.001)
    assert ask(decider, hit).cached
    clock.advance(0.001)

    assert ask(decider, hit).allowed


def test_it_refuses_no_longer_than_the_store_and_tells_no_shorter_wait(decider, store, clock):
    hit = hit_of(policy_of((1, SECOND // 2)))
    assert ask(decider, hit).allowed
    store.way = 0.1
    refused = ask(decider, hit)  # asked at 0, decided at 0.1, answered at 0.2

    assert (refused.cached, refused.retry_after) == (False, 0.4)
    told = ask(decider, hit)
    assert (told.cached, told.retry_after) == (True, 0.4)
    clock.advance(0.199)
    assert ask(decider, hit).cached
    clock.advance(0.001)
    assert not ask(decider, hit).cached


@pytest.mark.parametrize(
    "other",
    [
        hit_of(ONE_A_MINUTE, partition="another caller"),
        hit_of(policy_of((2, 60 * SECOND))),
        hit_of(ONE_A_MINUTE, cost=0),
    ],
    ids=["caller", "limit", "cost"],
)
def test_somebody_or_something_else_asks_the_store(decider, store, other):
    use_up(decider, hit_of(ONE_A_MINUTE))

    decision = ask(decider, other)

    assert (decision.allowed, decision.cached, store.asked) == (True, False, 3)


def test_a_larger_cost_is_told_its_own_wait(decider, clock):
    """Of a smaller one nobody knows here how long the larger one has to wait."""
    policy = policy_of((2, SECOND))
    one, two = hit_of(policy), hit_of(policy, cost=2)
    ask(decider, one)
    clock.advance(0.5)
    ask(decider, one)
    assert ask(decider, one).retry_after == 0.5

    assert ask(decider, two).retry_after == 1.0
    clock.advance(0.1)
    decisions = [ask(decider, one), ask(decider, two)]

    assert [(each.cached, each.retry_after) for each in decisions] == [(True, 0.4), (True, 0.9)]


def test_what_is_left_for_smaller_costs_may_be_used_meanwhile(decider, clock):
    policy = policy_of((2, SECOND))
    one, two = hit_of(policy), hit_of(policy, cost=2)
    ask(decider, one)
    assert not ask(decider, two).allowed
    clock.advance(0.5)
    ask(decider, one)

    assert (ask(decider, two).retry_after, ask(decider, one).retry_after) == (1.0, 0.5)


def test_what_never_fits_is_remembered_for_a_second(decider, clock, store):
    hit = hit_of(ONE_A_MINUTE, cost=2)
    assert ask(decider, hit).retry_after is None

    clock.advance(0.999)
    assert (ask(decider, hit).cached, ask(decider, hit).retry_after) == (True, None)
    clock.advance(0.001)
    assert not ask(decider, hit).cached
    assert store.asked == 2


def test_what_is_decided_together_is_remembered_together(decider, store, clock):
    used_up, free = hit_of(ONE_A_MINUTE), hit_of(policy_of((9, 60 * SECOND)), partition="another")
    use_up(decider, used_up)
    first = asyncio.run(decider.hit((used_up, free)))
    clock.advance(0.5)

    again = asyncio.run(decider.hit((used_up, free)))

    assert [each.cached for each in (*first, *again)] == [False, False, True, True]
    assert [each.retry_after for each in again] == [59.5, 0.0]
    assert [each.remaining for each in again] == [0, 9]
    assert ask(decider, free).allowed
    assert store.asked == 4


def test_a_reset_here_forgets_it(decider):
    hit = hit_of(ONE_A_MINUTE)
    use_up(decider, hit)

    asyncio.run(decider.reset((hit,)))

    assert ask(decider, hit).allowed


def test_a_refusal_that_a_reset_overtook_is_not_remembered(decider, store):
    hit = hit_of(ONE_A_MINUTE)
    assert ask(decider, hit).allowed
    store.meanwhile = lambda: decider.reset((hit,))

    assert not ask(decider, hit).allowed
    store.meanwhile = None

    assert ask(decider, hit).allowed


def test_peek_asks_the_store(decider, store):
    hit = hit_of(ONE_A_MINUTE)
    use_up(decider, hit)
    asyncio.run(store.reset((hit,)))  # by another worker

    assert asyncio.run(decider.peek((hit,)))[0].allowed
    assert ask(decider, hit).cached


def test_refusals_outlive_the_store_that_refused(decider, store):
    hit = hit_of(ONE_A_MINUTE)
    use_up(decider, hit)
    store.is_down = True

    known, new = ask(decider, hit), ask(decider, hit_of(ONE_A_MINUTE, partition="new"))

    assert (known.allowed, known.degraded, known.cached) == (False, False, True)
    assert (new.allowed, new.degraded, new.cached) == (True, True, False)


def test_what_was_decided_without_the_store_is_not_remembered(decider, store):
    hit = hit_of(ONE_A_MINUTE)
    store.is_down = True
    ask(decider, hit)
    assert not ask(decider, hit).allowed

    store.is_down = False

    assert ask(decider, hit).allowed


def test_it_can_be_switched_off(store):
    decider = Decider(store, denial_cache=False)
    hit = hit_of(ONE_A_MINUTE)
    use_up(decider, hit)

    assert not ask(decider, hit).cached


def test_a_backend_that_is_never_waited_for_is_asked_every_time(clock):
    decider = Decider(MemoryBackend(clock=clock))
    hit = hit_of(ONE_A_MINUTE)
    use_up(decider, hit)

    assert not ask(decider, hit).cached


def test_of_too_many_the_oldest_is_forgotten(clock):
    cache = DenialCache(2, clock=lambda: clock() / SECOND)
    backend = MemoryBackend(clock=clock)
    hits = [(hit_of(ONE_A_MINUTE, partition=str(number)),) for number in range(3)]
    for hit in (hits[0], hits[1], hits[0], hits[2]):
        asyncio.run(backend.hit(hit))
        cache.keep(hit, asyncio.run(backend.hit(hit)), *cache.asking())

    assert [cache.find(hit) is not None for hit in hits] == [True, False, True]


steps = st.lists(
    st.tuples(
        st.integers(0, 700_000),  # microseconds since the step before
        st.sampled_from(["here", "elsewhere"]),
        st.integers(1, 3),
        st.integers(0, 40_000),  # microseconds to the store
    ),
    min_size=2,
    max_size=30,
)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@settings(max_examples=150, deadline=None)
@given(steps=steps, limit=st.integers(1, 4), window=st.integers(1_000, 3 * SECOND))
def test_it_never_refuses_what_the_store_would_admit(algorithm, steps, limit, window):
    clock = Clock(1000 * SECOND)
    store = Distant(clock)
    policy = policy_of((limit, window), (limit * 2, window * 3), algorithm=algorithm)
    stand_in.clock = clock
    try:
        for said in play(Decider(store), store, clock, policy, steps):
            assert said is None
    finally:
        stand_in.clock = None


def play(decider, store, clock, policy, steps):
    """Yield what is wrong with refusals that the store was not asked about."""
    for number, (pause, where, cost, way) in zip(count(), steps, strict=False):
        clock.advance((pause + 1_000) / SECOND)
        hit = hit_of(policy, cost=cost)
        if where == "elsewhere":
            store.way = 0
            asyncio.run(MemoryBackend.hit(store, (hit,)))
            continue
        store.way = (way + 1_000) / SECOND if way else 0
        decision = ask(decider, hit)
        if not decision.cached:
            continue
        [now] = asyncio.run(MemoryBackend.peek(store, (hit,)))
        if now.retry_after == 0.0:
            yield f"refused at step {number}, which the store admits"
        if decision.retry_after != now.retry_after and not (
            now.retry_after <= decision.retry_after <= now.retry_after + store.way + 0.05
        ):
            yield f"step {number}: told {decision.retry_after}, the store says {now.retry_after}"
