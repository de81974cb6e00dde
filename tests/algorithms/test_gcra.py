"""What gcra promises: a burst, and one unit per interval, in any span of time."""

import pytest
from clock import START_US
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import Partition, most_in_a_window

from fastapi_throttle.model import Quota

WINDOW = 1_000_000

MOVES = st.lists(
    st.tuples(
        st.sampled_from((0, 0, 1, 33_333, 33_334, 99_999, 100_000, WINDOW))
        | st.integers(0, WINDOW),
        st.integers(1, 12),
    ),
    max_size=50,
)


@settings(max_examples=500)
@given(limit=st.sampled_from((1, 3, 10, 30, 700_000)), burst=st.integers(1, 40), moves=MOVES)
def test_no_span_holds_more_than_the_burst_and_a_unit_per_interval(
    limit: int, burst: int, moves: list[tuple[int, int]]
):
    partition, now = Partition(Quota(limit, WINDOW, burst), "gcra"), START_US
    for step, cost in moves:
        now += step
        partition.hit(cost, now)

    interval = -(-WINDOW // limit)
    for index, (start, _) in enumerate(partition.admitted):
        units = 0
        for end, cost in partition.admitted[index:]:
            units += cost
            assert units <= burst + (end - start) // interval


@pytest.mark.parametrize(("limit", "burst"), [(10, 1), (10, 10), (10, 25), (3, 3)])
def test_a_trailing_window_holds_the_burst_and_the_limit_at_most(limit: int, burst: int):
    partition = Partition(Quota(limit, WINDOW, burst), "gcra")
    for now in range(START_US, START_US + 4 * WINDOW, 1_000):
        while not partition.hit(1, now).wait_us:
            pass

    most = most_in_a_window(partition.admitted, WINDOW)
    assert burst + limit - 1 <= most <= burst + limit


def test_the_burst_is_admitted_at_once_and_then_one_unit_per_interval():
    partition = Partition(Quota(10, WINDOW, 4), "gcra")

    at_once = [partition.hit(1, START_US).wait_us for _ in range(5)]
    one_by_one = [partition.hit(1, START_US + number * 100_000).wait_us for number in (1, 2, 3)]

    assert at_once == [0, 0, 0, 0, 100_000]
    assert one_by_one == [0, 0, 0]
    assert partition.hit(1, START_US + 399_999).wait_us == 1


def test_the_interval_is_rounded_up_so_the_rate_is_never_exceeded():
    """Three per second: 333,333.3 us become 333,334."""
    partition = Partition(Quota(3, WINDOW, 1), "gcra")
    partition.hit(1, START_US)

    assert partition.hit(1, START_US).wait_us == 333_334
