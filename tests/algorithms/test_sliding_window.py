"""The sliding window against a log that remembers every hit, and what it keeps of it."""

from random import Random

import pytest
from clock import START_US
from hypothesis import given
from hypothesis import strategies as st
from traffic import ExactLog, Partition

from fastapi_throttle.model import Quota

WINDOW = 60_000_000
SPAN = WINDOW // 60

STEPS = (0, 0, 1, 1, 2, 999, SPAN - 1, SPAN, SPAN + 1, WINDOW // 3, WINDOW - 1, WINDOW, WINDOW + 1)
MOVES = st.lists(
    st.tuples(st.sampled_from(STEPS) | st.integers(0, WINDOW), st.integers(0, 140)), max_size=60
)


@given(limit=st.integers(1, 128), moves=MOVES)
def test_up_to_128_it_decides_as_the_exact_log(limit: int, moves: list[tuple[int, int]]):
    partition, log, now = Partition(Quota(limit, WINDOW, limit)), ExactLog(limit, WINDOW), START_US
    for step, cost in moves:
        now += step
        expected = log.answer(cost, now)
        if expected.wait_us == 0:
            log.hit(cost, now)

        verdict = partition.hit(cost, now)

        assert verdict == (expected.wait_us, *log.answer(cost, now)[1:])


@pytest.mark.parametrize("limit", [1, 2, 7, 127, 128])
def test_up_to_128_it_decides_as_the_exact_log_under_steady_pressure(limit: int):
    random = Random(limit)
    partition, log, now = Partition(Quota(limit, WINDOW, limit)), ExactLog(limit, WINDOW), START_US
    for _ in range(600):
        now += random.choice((0, 1, random.randrange(2 * WINDOW // limit)))
        cost = random.choice((1, 1, 1, 2, 3, random.randrange(limit + 2)))
        expected = log.answer(cost, now)
        if expected.wait_us == 0:
            log.hit(cost, now)

        verdict = partition.hit(cost, now)

        assert verdict == (expected.wait_us, *log.answer(cost, now)[1:])


@pytest.mark.parametrize("limit", [129, 1_000, 100_000])
@given(moves=MOVES, share=st.sampled_from((1, 10, 300, 1_000)))
def test_above_128_a_wait_is_never_early_and_at_most_a_sixtieth_late(
    limit: int, moves: list[tuple[int, int]], share: int
):
    """Compared with a log that remembers the same admitted hits, one by one."""
    partition, log, now = Partition(Quota(limit, WINDOW, limit)), ExactLog(limit, WINDOW), START_US
    for step, number in moves:
        now += step
        cost = number * limit // 140 // share
        exact = log.answer(cost, now)
        verdict = partition.hit(cost, now)

        if verdict.wait_us == 0:
            log.hit(cost, now)
            assert exact.wait_us == 0
            exact = log.answer(0, now)
        else:
            assert exact.wait_us <= verdict.wait_us <= exact.wait_us + SPAN
        assert exact.remaining >= verdict.remaining
        if exact.remaining == verdict.remaining:
            assert exact.more_us <= verdict.more_us <= exact.more_us + SPAN
        assert verdict.reset_us == exact.reset_us


@pytest.mark.parametrize("limit", [129, 1_000, 100_000])
def test_a_unit_may_leave_a_sixtieth_late_but_no_later(limit: int):
    partition = Partition(Quota(limit, WINDOW, limit))
    partition.hit(1, START_US)
    partition.hit(1, START_US + SPAN - 1)
    partition.hit(limit - 2, START_US + SPAN)

    asked_at = START_US + SPAN
    wait = partition.peek(1, asked_at).wait_us

    assert asked_at + wait - START_US == WINDOW + SPAN - 1


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (5, 5), (100, 100), (128, 128)])
def test_the_log_has_one_entry_per_hit_up_to_128(limit: int, most: int):
    partition = Partition(Quota(limit, WINDOW, limit))
    counts = []
    for number in range(3 * limit):
        partition.hit(1, START_US + number * WINDOW // (2 * limit))
        counts.append(len(partition.state.entries))

    assert max(counts) == most


@pytest.mark.parametrize("limit", [129, 1_000, 12_800, 100_000, 4_294_967_295])
@pytest.mark.parametrize("window_us", [1_000_000, WINDOW, 86_400_000_000])
def test_the_log_has_at_most_189_entries_whatever_the_traffic(limit: int, window_us: int):
    """Worst are entries of one unit that age closes, between entries that are full."""
    random, share, span = Random(limit), -(-limit // 128), window_us // 60
    longest = 0
    for fulls in (0, 1, 1.5, 2, 2.1, 2.2, 3, 128):
        partition, now = Partition(Quota(limit, window_us, limit)), START_US
        for number in range(150):
            for _ in range(int((number + 1) * fulls) - int(number * fulls)):
                partition.hit(share, now)
                now += 1  # what is used at one instant shares an entry
            partition.hit(random.choice((1, 1, 1, share - 1, share, share + 1)), now)
            longest = max(longest, len(partition.state.entries))
            now += span - int(fulls) + random.choice((0, 0, 0, 1, -1))

    assert longest <= 189


def test_nearly_all_of_the_189_entries_can_be_reached():
    partition, share = Partition(Quota(100_000, WINDOW, 100_000)), 782
    for number in range(60):
        now = START_US + number * (SPAN + 4)
        for _ in range(2 if number % 8 else 3):
            now += 1  # what is used at one instant shares an entry
            partition.hit(share, now)
        partition.hit(1, now + 1)

    assert len(partition.state.entries) == 187


def test_what_is_used_at_one_instant_shares_an_entry():
    partition = Partition(Quota(100, WINDOW, 100))
    for _ in range(5):
        partition.hit(2, START_US)
    partition.hit(1, START_US + 1)

    assert partition.state.entries == ((START_US, 10), (START_US + 1, 1))


@given(moves=st.lists(st.tuples(st.integers(0, SPAN), st.integers(0, 30)), max_size=40))
def test_taking_units_at_once_in_tests_is_the_same_as_one_by_one(moves: list[tuple[int, int]]):
    at_once, one_by_one = (Partition(Quota(1_000, WINDOW, 1_000)) for _ in range(2))
    now = START_US
    for step, number in moves:
        now += step
        admitted = at_once.hits_of_one(number, now)

        assert admitted == sum(not one_by_one.hit(1, now).wait_us for _ in range(number))
        assert at_once.state == one_by_one.state
