"""Several quotas decided together, and what is stored: all of it or nothing."""

from itertools import pairwise
from typing import Any

import pytest
from clock import START_US
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import Partition

from fastapi_throttle.algorithms import ALGORITHMS, Claim, decide
from fastapi_throttle.model import NEVER, AlgorithmName, Quota

WINDOW = 60_000_000
NAMES = tuple(ALGORITHMS)


def claim(
    algorithm: AlgorithmName, state: Any, cost: int, limit: int = 10, window_us: int = WINDOW
) -> Claim:
    return Claim(ALGORITHMS[algorithm], state, Quota(limit, window_us, limit), cost)


def used(algorithm: AlgorithmName, cost: int, now: int = START_US, limit: int = 10) -> Any:
    """Return the state of a partition that used *cost* at *now*."""
    _, (state,) = decide([claim(algorithm, None, cost, limit)], now)
    return state


@settings(max_examples=500)
@given(
    calls=st.lists(
        st.tuples(
            st.integers(0, WINDOW // 2),
            st.lists(
                st.tuples(st.integers(0, 3), st.integers(0, 12)),
                min_size=1,
                max_size=4,
                unique_by=lambda one: one[0],
            ),
        ),
        max_size=30,
    )
)
def test_a_refusal_leaves_every_state_the_very_same_object(
    calls: list[tuple[int, list[tuple[int, int]]]],
):
    """Four partitions, of all algorithms and different limits; any of them may refuse."""
    states: list[Any] = [None] * 4
    now = START_US
    for step, asked in calls:
        now += step
        claims = [
            claim(NAMES[index % 3], states[index], cost, limit=5 + index) for index, cost in asked
        ]
        verdicts, stored = decide(claims, now)

        is_refused = any(verdict.wait_us for verdict in verdicts)
        for (index, cost), before, after in zip(asked, claims, stored, strict=True):
            if is_refused or cost == 0:
                assert after is before.state
            else:
                assert after != before.state
            states[index] = after


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("cost", [1, 10])
def test_a_quota_is_not_charged_for_what_another_refuses(algorithm: AlgorithmName, cost: int):
    full, free = used(algorithm, 10), used(algorithm, 0)

    claims = [claim(algorithm, free, cost), claim(algorithm, full, cost)]

    verdicts, states = decide(claims, START_US)

    assert verdicts[0].wait_us == 0
    assert verdicts[0].remaining == 10
    assert verdicts[1].wait_us > 0
    assert states[0] is free
    assert states[1] is full


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("state_cost", [0, 4, 10])
@pytest.mark.parametrize("cost", [0, 1, 6, 11])
def test_a_peek_stores_nothing(algorithm: AlgorithmName, state_cost: int, cost: int):
    state = used(algorithm, state_cost)

    (peeked,), (stored,) = decide([claim(algorithm, state, cost)], START_US, peek=True)
    (decided,), _ = decide([claim(algorithm, state, cost)], START_US)

    assert stored is state
    assert peeked.wait_us == decided.wait_us
    assert peeked.remaining == 10 - state_cost


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("state_cost", [0, 10])
def test_cost_0_is_admitted_and_stores_nothing(algorithm: AlgorithmName, state_cost: int):
    state = used(algorithm, state_cost)

    for now in (START_US, START_US + WINDOW, START_US - WINDOW):
        (verdict,), (stored,) = decide([claim(algorithm, state, 0)], now)
        assert verdict.wait_us == 0
        assert stored is state


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("cost", [11, 2**40])
def test_a_cost_over_the_limit_never_fits(algorithm: AlgorithmName, cost: int):
    state = used(algorithm, 3)

    verdicts, stored = decide([claim(algorithm, state, cost), claim(algorithm, None, 1)], START_US)

    assert [verdict.wait_us for verdict in verdicts] == [NEVER, 0]
    assert stored == (state, None)
    assert verdicts[0].remaining == 7


@pytest.mark.parametrize("algorithm", ["sliding-window", "fixed-window"])
def test_a_changed_limit_applies_at_once_to_what_was_used(algorithm: AlgorithmName):
    now = START_US
    partition = Partition(Quota(10, WINDOW, 10), algorithm)
    left = [partition.hit(5, now).remaining]
    for limit, cost in ((600, 200), (10, 1), (205, 0), (206, 1), (600, 0)):
        partition.quota = Quota(limit, WINDOW, limit)
        left.append(partition.hit(cost, now).remaining)

    assert left == [5, 395, 0, 0, 0, 394]


def test_a_changed_limit_changes_how_fast_gcra_is_paid_back():
    """Its state is a time: 30 s of debt are 5 of 10 per minute, or 300 of 600."""
    partition = Partition(Quota(10, WINDOW, 10), "gcra")
    left = [partition.hit(5, START_US).remaining]
    for limit in (600, 10, 1):
        partition.quota = Quota(limit, WINDOW, limit)
        left.append(partition.hit(0, START_US).remaining)

    assert left == [5, 300, 5, 0]


@pytest.mark.parametrize("algorithm", NAMES)
@settings(max_examples=500)
@given(
    steps=st.lists(
        st.sampled_from((-86_400_000_000, -7_200_000_000, -WINDOW, -1, 0, 1, 7_200_000_000))
        | st.integers(-2 * WINDOW, 2 * WINDOW),
        max_size=30,
    ),
    limits=st.lists(st.sampled_from((1, 10, 128, 129, 600)), min_size=1, max_size=5),
)
def test_a_clock_that_steps_back_and_forth_locks_nobody_out(
    algorithm: AlgorithmName, steps: list[int], limits: list[int]
):
    """After whatever happened, one window of the clock running on is enough."""
    now = START_US
    partition = Partition(Quota(limits[0], WINDOW, limits[0]), algorithm)
    for number, step in enumerate(steps):
        now += step
        limit = limits[number % len(limits)]
        partition.quota = Quota(limit, WINDOW, limit)
        for cost in (limit, 1):
            verdict = partition.hit(cost, now)

            # An emission interval is rounded up to whole microseconds.
            assert 0 <= verdict.wait_us <= WINDOW + limit
            assert 0 <= verdict.remaining <= limit
            assert partition.peek(limit, now + WINDOW + limit).wait_us == 0


@pytest.mark.parametrize("algorithm", NAMES)
@given(
    moves=st.lists(st.tuples(st.integers(-WINDOW, WINDOW), st.integers(0, 5)), max_size=30),
    limit=st.sampled_from((5, 200)),
)
def test_a_state_tells_when_it_is_over(
    algorithm: AlgorithmName, moves: list[tuple[int, int]], limit: int
):
    """From then on it is as none at all, and not a moment earlier."""
    now, partition = START_US, Partition(Quota(limit, WINDOW, limit), algorithm)
    for step, cost in moves:
        now += step
        verdict = partition.hit(cost, now)
        if partition.state is not None and cost:
            over_at = ALGORITHMS[algorithm].over_at(partition.state, WINDOW)
            assert over_at == now + verdict.reset_us
            assert partition.peek(limit, over_at) == (0, limit, 0, 0)
            assert partition.peek(limit, over_at - 1) != (0, limit, 0, 0)


@pytest.mark.parametrize("algorithm", NAMES)
def test_usage_survives_a_step_back_of_the_clock(algorithm: AlgorithmName):
    """What was used in the future counts as used now: a step back is no fresh budget."""
    partition = Partition(Quota(10, WINDOW, 10), algorithm)
    for _ in range(5):
        partition.hit(2, START_US)

    back = START_US - 7_200_000_000
    verdicts = [partition.hit(1, back + offset) for offset in (0, 1, WINDOW // 10 - 1)]

    assert all(verdict.wait_us > 0 for verdict in verdicts)
    assert all(later.wait_us < earlier.wait_us for earlier, later in pairwise(verdicts))
