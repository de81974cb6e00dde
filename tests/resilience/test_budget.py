"""All checks of a request share one budget."""

from clock import Seconds

from fastapi_throttle.resilience import Budget


def test_calls_find_it_whole_while_the_store_answers():
    budget = Budget(0.25, Seconds())
    budget.left -= 0.2

    assert budget.for_call().left == 0.25


def test_after_a_failure_calls_share_what_is_left_for_a_second():
    clock = Seconds()
    budget = Budget(0.25, clock)
    budget.left -= 0.2
    budget.lose("configuration")

    clock.now += 0.9
    assert budget.for_call() is budget
    assert budget.fault == "configuration"
    clock.now += 0.2
    assert budget.for_call().left == 0.25
    assert budget.for_call().for_call().left == 0.25
