"""What a process decides by itself: its share of every limit, exactly."""

import asyncio
import math

import pytest
from clock import Clock
from oracle import hit_of, policy_of

from fastapi_throttle.model import Policy, Quota
from fastapi_throttle.resilience.fallback import Fallback, SteadyClock, unavailable, unchecked

MINUTE = 60_000_000


def decided(fallback, *hits):
    return asyncio.run(fallback.hit(hits))


def admitted(fallback, hit, tries=300):
    return sum(decided(fallback, hit)[0].allowed for _ in range(tries))


@pytest.mark.parametrize("algorithm", ["sliding-window", "gcra", "fixed-window"])
@pytest.mark.parametrize(("limit", "workers"), [(10, 1), (10, 4), (3, 8), (1, 100_000), (200, 7)])
def test_it_admits_its_share_of_a_limit_rounded_up(algorithm, limit, workers):
    fallback = Fallback(workers, clock=Clock())
    hit = hit_of(policy_of((limit, MINUTE), algorithm=algorithm))

    assert admitted(fallback, hit) == math.ceil(limit / workers)


def test_a_burst_is_shared_too():
    policy = Policy.of((Quota(60, MINUTE, 10),), "gcra")
    clock = Clock()
    fallback = Fallback(4, clock=clock)

    assert admitted(fallback, hit_of(policy)) == 3
    clock.advance(60)
    assert admitted(fallback, hit_of(policy)) == 3


def test_windows_are_decided_together_and_each_has_its_share():
    fallback = Fallback(2, clock=Clock())
    policy = policy_of((4, 1_000_000), (6, MINUTE))

    assert admitted(fallback, hit_of(policy)) == 2


def test_a_refusal_tells_when_to_come_back_and_nothing_about_what_is_left():
    clock = Clock()
    fallback = Fallback(2, clock=clock)
    hit = hit_of(policy_of((4, MINUTE)))
    first = decided(fallback, hit)[0]
    decided(fallback, hit)
    clock.advance(10)

    refused = decided(fallback, hit)[0]

    assert (first.allowed, first.degraded, first.failure_mode) == (True, True, "local")
    assert (refused.allowed, refused.degraded, refused.failure_mode) == (False, True, "local")
    assert (refused.limit, refused.window, refused.policy) == (4, 60.0, hit.policy)
    assert (refused.retry_after, refused.remaining, refused.quotas) == (50.0, 0, ())
    clock.advance(50)
    assert decided(fallback, hit)[0].allowed


def test_the_window_that_refuses_is_named():
    fallback = Fallback(2, clock=Clock())
    hit = hit_of(policy_of((100, 1_000_000), (2, MINUTE)))
    decided(fallback, hit)

    refused = decided(fallback, hit)[0]

    assert (refused.limit, refused.window) == (2, 60.0)


def test_hits_stand_or_fall_together():
    fallback = Fallback(1, clock=Clock())
    tight, wide = hit_of(policy_of((1, MINUTE))), hit_of(policy_of((2, 2 * MINUTE)))
    decided(fallback, tight)

    refused = decided(fallback, tight, wide)

    assert [decision.allowed for decision in refused] == [False, False]
    assert [decision.retry_after for decision in refused] == [60.0, 0.0]
    assert admitted(fallback, wide) == 2


def test_a_cost_above_the_share_is_for_the_store_to_decide():
    fallback = Fallback(4, clock=Clock())
    policy = policy_of((10, MINUTE))

    both = decided(fallback, hit_of(policy, 4), hit_of(policy_of((99, MINUTE)), 1, "other"))

    assert [decision.failure_mode for decision in both] == ["closed", "closed"]
    assert [decision.retry_after for decision in both] == [1.0, 1.0]
    assert decided(fallback, hit_of(policy, 3))[0].allowed


def test_a_cost_above_the_limit_never_fits():
    (decision,) = decided(Fallback(4), hit_of(policy_of((10, MINUTE)), 11))

    assert (decision.failure_mode, decision.retry_after) == ("local", None)


def test_a_peek_consumes_nothing():
    fallback = Fallback(1, clock=Clock())
    hit = hit_of(policy_of((1, MINUTE)))

    assert all(asyncio.run(fallback.peek((hit,)))[0].allowed for _ in range(3))
    assert admitted(fallback, hit) == 1
    assert not asyncio.run(fallback.peek((hit,)))[0].allowed


def test_the_wall_clock_may_jump(monkeypatch):
    clock = SteadyClock()
    before = clock()
    monkeypatch.setattr("time.time_ns", lambda: 0)

    assert 0 <= clock() - before < 1_000_000


def test_what_nothing_was_counted_for_claims_nothing():
    hit = hit_of(policy_of((100, 1_000_000), (10, MINUTE)))

    refused, passed = unavailable(hit), unchecked(hit)

    assert (refused.allowed, refused.failure_mode, refused.retry_after) == (False, "closed", 1.0)
    assert (passed.allowed, passed.failure_mode, passed.retry_after) == (True, "open", 0.0)
    for decision in (refused, passed):
        assert decision.degraded
        assert (decision.limit, decision.remaining, decision.quotas) == (10, 0, ())
