"""What the fixed window promises: the limit per aligned window, twice the limit in any."""

from collections import Counter

from clock import START_US
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import Partition, most_in_a_window

from fastapi_throttle.model import Quota

WINDOW = 60_000_000

MOVES = st.lists(
    st.tuples(
        st.sampled_from((0, 0, 1, WINDOW // 2, WINDOW - 1, WINDOW)) | st.integers(0, WINDOW),
        st.integers(1, 12),
    ),
    max_size=50,
)


@settings(max_examples=500)
@given(limit=st.integers(1, 20), start=st.integers(0, WINDOW), moves=MOVES)
def test_an_aligned_window_holds_the_limit_and_a_trailing_one_twice_that(
    limit: int, start: int, moves: list[tuple[int, int]]
):
    partition, now = Partition(Quota(limit, WINDOW, limit), "fixed-window"), START_US + start
    for step, cost in moves:
        now += step
        partition.hit(cost, now)

    per_window: Counter[int] = Counter()
    for at, units in partition.admitted:
        per_window[at // WINDOW] += units
    assert all(units <= limit for units in per_window.values())
    assert most_in_a_window(partition.admitted, WINDOW) <= 2 * limit


def test_twice_the_limit_fits_around_an_edge():
    partition = Partition(Quota(10, WINDOW, 10), "fixed-window")
    edge = START_US - START_US % WINDOW + WINDOW

    assert partition.hit(10, edge - 1).wait_us == 0
    assert partition.hit(1, edge - 1).wait_us == 1
    assert partition.hit(10, edge).wait_us == 0
    assert partition.hit(1, edge).wait_us == WINDOW


def test_windows_start_at_whole_multiples_since_the_epoch():
    """An hour starts on the hour, UTC."""
    hour = 3_600_000_000
    partition = Partition(Quota(1, hour, 1), "fixed-window")
    partition.hit(1, START_US + 7)

    assert (START_US + 7 + partition.hit(1, START_US + 7).wait_us) % hour == 0
