"""When a store is given up, and when it is asked again."""

import pytest
from clock import Seconds

from fastapi_throttle.resilience.breaker import Breaker


@pytest.fixture
def clock():
    return Seconds()


@pytest.fixture
def breaker(clock):
    return Breaker(clock=clock, uniform=lambda low, high: (low + high) / 2)


def opened(breaker):
    for _ in range(3):
        breaker.failed()
    assert breaker.is_open
    return breaker


def test_it_opens_at_the_third_failure_in_a_row(breaker):
    for _ in range(2):
        breaker.failed()
        assert not breaker.is_open
        assert breaker.lets_through()
    breaker.failed()

    assert breaker.is_open
    assert not breaker.lets_through()


def test_failures_in_a_row_may_take_their_time(breaker, clock):
    for _ in range(3):
        clock.now += 3_600
        breaker.failed()

    assert breaker.is_open


def test_an_answer_ends_the_row(breaker):
    for _ in range(4):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
        breaker.succeeded()
        breaker.succeeded()

    assert not breaker.is_open


def test_it_opens_when_half_of_the_calls_fail(breaker):
    """Five failures of nine calls."""
    for _ in range(4):
        breaker.failed()
        assert not breaker.is_open
        breaker.succeeded()
    breaker.failed()

    assert breaker.is_open


def test_it_stays_closed_while_less_than_half_fail(breaker):
    for _ in range(50):
        breaker.failed()
        breaker.succeeded()
        breaker.succeeded()

    assert not breaker.is_open


def test_failures_of_another_period_do_not_add_up(breaker, clock):
    for _ in range(10):
        for _ in range(2):
            breaker.failed()
            breaker.succeeded()
        clock.now += 5

    assert not breaker.is_open


def test_it_lets_one_call_through_after_a_second(breaker, clock):
    opened(breaker)

    clock.now += 0.99
    assert not breaker.lets_through()
    clock.now += 0.01
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]


def test_one_answer_closes_it(breaker, clock):
    opened(breaker)
    clock.now += 1
    assert breaker.lets_through()
    breaker.succeeded()

    assert not breaker.is_open
    assert breaker.is_calm
    breaker.failed()
    breaker.failed()
    assert not breaker.is_open


def test_the_pause_never_grows(breaker, clock):
    opened(breaker)
    for _ in range(20):
        clock.now += 1
        assert breaker.lets_through()
        breaker.failed()
        assert not breaker.lets_through()


def test_a_pause_begins_when_the_call_fails_not_when_it_starts(breaker, clock):
    opened(breaker)
    clock.now += 1
    breaker.lets_through()
    clock.now += 0.25
    breaker.failed()

    clock.now += 0.99
    assert not breaker.lets_through()
    clock.now += 0.01
    assert breaker.lets_through()


def test_a_call_that_was_not_finished_leaves_its_place_to_the_next(breaker, clock):
    opened(breaker)
    clock.now += 1
    assert breaker.lets_through()
    breaker.abandon()

    assert breaker.is_open
    assert [breaker.lets_through() for _ in range(2)] == [True, False]


def test_a_call_that_nothing_is_heard_of_blocks_nobody(breaker, clock):
    opened(breaker)
    clock.now += 1
    assert breaker.lets_through()

    clock.now += 1
    assert breaker.lets_through()


def test_pauses_differ_by_a_fifth():
    clock = Seconds()
    drawn = []

    def uniform(low, high):
        drawn.append((low, high))
        return high

    breaker = opened(Breaker(clock=clock, uniform=uniform))

    assert drawn == [(0.8, 1.2)]
    clock.now += 1.19
    assert not breaker.lets_through()
    clock.now += 0.02
    assert breaker.lets_through()


def test_it_is_calm_until_the_first_failure_and_a_period_after_the_last(breaker, clock):
    assert breaker.is_calm
    breaker.failed()
    assert not breaker.is_calm
    clock.now += 4.9
    breaker.succeeded()
    assert not breaker.is_calm
    clock.now += 0.2
    breaker.succeeded()
    assert breaker.is_calm
