"""A store is asked within a budget, given up when it fails, and asked again."""

import asyncio
import contextlib
import logging
import time

import pytest
from clock import Seconds
from oracle import hit_of, policy_of

from fastapi_throttle.backends import MemoryBackend
from fastapi_throttle.errors import BackendError, ConfigurationError
from fastapi_throttle.resilience import Budget, Store
from fastapi_throttle.resilience.breaker import Breaker
from fastapi_throttle.resilience.breakers import MOST_PARTS

HIT = hit_of(policy_of((1_000_000, 60_000_000)))
BUDGET = 0.25


class Faulty(MemoryBackend):
    """A backend that fails as it is told.

    Attributes:
        error: What it raises instead of answering.
        seconds: How long that takes, on the clock of the test.
        asked: How often it was.
    """

    budget = BUDGET

    def __init__(self, clock):
        super().__init__()
        self._seconds = clock
        self.error = None
        self.seconds = 0.0
        self.asked = 0

    async def hit(self, hits):
        self.asked += 1
        self._seconds.now += self.seconds
        if self.error is not None:
            raise self.error
        return await super().hit(hits)


@pytest.fixture
def clock():
    return Seconds()


@pytest.fixture
def backend(clock):
    return Faulty(clock)


def store_of(backend, clock):
    def make_breaker():
        return Breaker(clock=clock, uniform=lambda low, high: 1.0)

    return Store(backend, BUDGET, make_breaker=make_breaker, clock=clock)


@pytest.fixture
def store(backend, clock):
    return store_of(backend, clock)


def failing(store, budget=None):
    with pytest.raises(BackendError) as raised:
        asyncio.run(store.hit((HIT,), budget))
    return raised.value


def answer(store, budget=None):
    return asyncio.run(store.hit((HIT,), budget))[0]


def give_up(store, backend, fault="infrastructure"):
    backend.error = BackendError("down", fault=fault)
    for _ in range(3):
        failing(store)


def test_it_is_given_up_at_the_third_failure(store, backend):
    give_up(store, backend)

    assert failing(store).fault == "infrastructure"
    assert backend.asked == 3


def test_it_is_asked_again_after_a_second_by_one_request_whose_own_check_that_is(
    store, backend, clock
):
    give_up(store, backend)
    clock.now += 1
    failing(store)
    failing(store)
    assert backend.asked == 4

    clock.now += 1
    backend.error = None
    assert answer(store).remaining == 999_999
    assert answer(store).remaining == 999_998


def test_checks_that_failed_in_one_call_are_one_failure(store, backend):
    lost = ConnectionResetError()
    for _ in range(20):
        backend.error = BackendError("down")
        backend.error.__cause__ = lost
        failing(store)
    assert backend.asked == 20

    for _ in range(2):
        backend.error = BackendError("down")
        backend.error.__cause__ = ConnectionResetError()
        failing(store)
    assert str(failing(store)) == "The store is given up for the moment"


@pytest.mark.parametrize("fault", ["key", "overload"])
def test_what_is_not_the_stores_fault_never_gives_it_up(store, backend, fault):
    backend.error = BackendError("busy", fault=fault)

    for _ in range(20):
        assert failing(store).fault == fault

    assert backend.asked == 20
    assert store.health.report().state == "ok"


def test_the_error_of_a_key_shows_that_the_store_is_back(store, backend, clock):
    give_up(store, backend)
    clock.now += 1
    backend.error = BackendError("unreadable", fault="key")
    failing(store)

    backend.error = None
    assert answer(store).allowed
    assert store.health.report().state == "ok"


def test_overload_shows_nothing_so_the_next_request_asks(store, backend, clock):
    give_up(store, backend)
    clock.now += 1
    backend.error = BackendError("busy", fault="overload")
    failing(store)

    backend.error = None
    assert answer(store).allowed


@pytest.mark.parametrize(("seconds", "fault"), [(0.5, "infrastructure"), (0.51, "overload")])
def test_a_stalled_loop_is_not_the_stores_fault(store, backend, seconds, fault):
    backend.error = BackendError("late")
    backend.error.__cause__ = TimeoutError()
    backend.seconds = seconds

    error = failing(store)

    assert error.fault == fault
    assert error.__cause__ is backend.error.__cause__


def test_cancellation_is_passed_on_and_counts_for_nothing(store, backend, clock):
    backend.error = asyncio.CancelledError()
    for _ in range(10):
        with pytest.raises(asyncio.CancelledError):
            answer(store)
    assert backend.asked == 10
    assert sum(store.health.report().failures.values()) == 0

    give_up(store, backend)
    clock.now += 1
    backend.error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        answer(store)
    backend.error = None
    assert answer(store).allowed


def test_whatever_a_backend_raises_is_an_outage_with_the_original_as_its_cause(store, backend):
    backend.error = AttributeError("'NoneType' object has no attribute 'writelines'")

    error = failing(store)

    assert error.__cause__ is backend.error
    assert str(error) == "The store failed: AttributeError"
    assert error.fault == "infrastructure"


def test_a_bug_of_the_application_is_seen(store, backend):
    backend.error = ConfigurationError("two rules")

    with pytest.raises(ConfigurationError):
        answer(store)


def test_answers_and_failures_take_from_the_budget_of_a_request(store, backend):
    budget = Budget(BUDGET)
    backend.seconds = 0.1
    answer(store, budget)
    backend.error = BackendError("down", fault="configuration")
    failing(store, budget)

    assert budget.left == pytest.approx(0.05)
    assert budget.fault == "configuration"


def test_a_request_without_time_left_does_not_ask(store, backend):
    budget = Budget(BUDGET)
    backend.seconds = 0.3
    backend.error = BackendError("down", fault="configuration")
    failing(store, budget)

    assert failing(store, budget).fault == "configuration"
    assert backend.asked == 1


class Unlimited:
    """A backend that never answers and does not say within what time it would."""

    async def hit(self, hits):
        await asyncio.Event().wait()


class Generous(Unlimited):
    """A backend that takes its time."""

    budget = 5.0


@pytest.mark.parametrize("backend", [Unlimited(), Generous()])
def test_a_backend_that_takes_too_long_is_cut_short(backend):
    store = Store(backend, 0.2)
    started = time.monotonic()

    errors = [failing(store) for _ in range(3)]

    assert time.monotonic() - started < 1.2
    assert [type(error.__cause__) for error in errors] == [TimeoutError] * 3
    assert str(errors[0]) == "The store did not answer within 0.20 s"
    assert str(failing(store)) == "The store is given up for the moment"


def test_what_had_hardly_any_time_proves_nothing():
    store = Store(Unlimited(), 5)
    for _ in range(5):
        budget = Budget(5)
        budget.left = 0.1
        failing(store, budget)

    assert store.health.report().state == "ok"
    assert sum(store.health.report().failures.values()) == 5


async def test_what_was_asked_before_it_was_given_up_changes_nothing(clock):
    class Slow(MemoryBackend):
        budget = BUDGET

        def __init__(self):
            super().__init__()
            self.asked = []

        async def hit(self, hits):
            self.asked.append(asyncio.get_running_loop().create_future())
            return await self.asked[-1]

    backend = Slow()
    store = store_of(backend, clock)
    calls = [asyncio.ensure_future(store.hit((HIT,), None)) for _ in range(5)]
    await asyncio.sleep(0)
    for asked in backend.asked[:3]:
        asked.set_exception(BackendError("down"))
    await asyncio.wait(calls[:3])
    clock.now += 0.9
    backend.asked[3].set_result(())
    backend.asked[4].set_exception(BackendError("late"))
    await asyncio.wait(calls)

    with pytest.raises(BackendError, match="given up"):
        await store.hit((HIT,), None)
    clock.now += 0.1
    probe = asyncio.ensure_future(store.hit((HIT,), None))
    await asyncio.sleep(0)
    assert len(backend.asked) == 6
    backend.asked[5].set_result(())
    await probe
    assert all(call.exception() for call in calls[:3])
    assert calls[4].exception()


def test_health_tells_state_error_and_failures(store, backend, clock):
    fresh = store.health.report()
    assert (fresh.state, fresh.error) == ("ok", None)
    assert dict(fresh.failures) == dict.fromkeys(
        ["infrastructure", "configuration", "key", "overload"], 0
    )

    backend.error = BackendError("unreadable", fault="key")
    failing(store)
    give_up(store, backend)
    failing(store)
    down = store.health.report()
    assert (down.state, down.error) == ("degraded", "down")
    assert down.since > fresh.since
    assert (down.failures["key"], down.failures["infrastructure"]) == (1, 4)

    clock.now += 1
    backend.error = None
    answer(store)
    well = store.health.report()
    assert (well.state, well.error) == ("ok", "down")
    assert well.since > down.since
    assert fresh.failures["key"] == 0


def levels(caplog):
    return [record.levelname for record in caplog.records]


LEVELS = {"infrastructure": "WARNING", "configuration": "ERROR"}


@pytest.mark.parametrize("fault", LEVELS)
def test_each_outage_is_told_once_with_the_original_error(store, backend, clock, caplog, fault):
    caplog.set_level(logging.INFO)
    for _ in range(3):
        give_up(store, backend, fault)
        failing(store)
        clock.now += 1
        backend.error = None
        for _ in range(3):
            answer(store)

    assert levels(caplog) == [LEVELS[fault], "INFO"] * 3
    assert isinstance(caplog.records[0].exc_info[1], BackendError)


def test_single_failures_are_told_once_a_minute(store, backend, clock, caplog):
    caplog.set_level(logging.INFO)
    for _ in range(60):
        clock.now += 2
        backend.error = BackendError("hiccup")
        failing(store)
        backend.error = None
        answer(store)

    assert levels(caplog) == ["WARNING", "INFO"] * 2


def test_checks_decided_for_local_reasons_are_told_once_a_minute(store, backend, clock, caplog):
    backend.error = BackendError("busy", fault="overload")
    for _ in range(60):
        clock.now += 2
        failing(store)

    assert levels(caplog) == ["WARNING"] * 2


class Nodes(Faulty):
    """A store of which each partition is a part, and some do not answer."""

    def __init__(self, clock):
        super().__init__(clock)
        self.down = set()
        self.places = {}

    def part_of(self, hits):
        return self.places.get(hits[0].keys[0], hits[0].keys[0])

    async def hit(self, hits):
        self.error = BackendError("down") if self.part_of(hits) in self.down else None
        return await super().hit(hits)


def of(name):
    return (hit_of(HIT.policy, 1, name),)


@pytest.fixture
def nodes(clock):
    nodes = Nodes(clock)
    nodes.down = {of("dead")[0].keys[0]}
    return nodes


@pytest.fixture
def of_nodes(nodes, clock):
    return store_of(nodes, clock)


def ask(store, *names):
    """Return who is told a decision."""
    told = []
    for name in names:
        with contextlib.suppress(BackendError):
            asyncio.run(store.hit(of(name), None))
            told.append(name)
    return told


def test_a_part_that_fails_is_given_up_alone(of_nodes, nodes, clock):
    assert ask(of_nodes, *["dead", "well"] * 3) == ["well"] * 3
    assert nodes.asked == 6

    assert ask(of_nodes, *["dead", "well"] * 10) == ["well"] * 10
    assert nodes.asked == 16
    assert of_nodes.health.report().state == "degraded"

    clock.now += 1
    ask(of_nodes, "dead", "dead", "well")
    assert nodes.asked == 18
    clock.now += 1
    nodes.down.clear()
    assert ask(of_nodes, "dead", "dead") == ["dead", "dead"]
    assert of_nodes.health.report().state == "ok"


def test_who_is_decided_by_another_part_now_is_decided_at_once(of_nodes, nodes, clock):
    dead, well = (of(name)[0].keys[0] for name in ("dead", "well"))
    assert ask(of_nodes, *["dead"] * 4) == []

    nodes.places[dead] = well
    assert ask(of_nodes, "dead", "well") == ["dead", "well"]
    assert of_nodes.health.report().state == "degraded"
    # Nobody asks the dead one any more, so nobody is told that it is back.
    clock.now += 7
    assert ask(of_nodes, "well") == ["well"]
    assert of_nodes.health.report().state == "ok"


def test_parts_that_do_well_take_no_memory_for_ever(of_nodes):
    ask(of_nodes, *["dead"] * 3, *(str(number) for number in range(MOST_PARTS + 5)))

    assert len(of_nodes._breakers._parts) < MOST_PARTS
    assert ask(of_nodes, "dead") == []
    assert of_nodes.health.report().failures["infrastructure"] == 4
