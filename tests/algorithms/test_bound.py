"""Whatever is tried, a trailing window never holds more than the limit (sliding window).

The count over all trailing windows is brute force, from what was admitted and when.
"""

from collections.abc import Iterator
from random import Random

import pytest
from clock import START_US
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import Partition, most_in_a_window

from fastapi_throttle.model import Quota

LIMITS = (1, 5, 100, 128, 129, 1_000, 100_000)
WINDOW = 60_000_000
SPAN = WINDOW // 60


def moments(partition: Partition, now: int, random: Random) -> Iterator[int]:
    """Yield the moments after *now* at which something may leave or close, and their neighbours."""
    opened, oldest = partition.state.opened, partition.state.entries[0][0]
    for moment in (
        now,
        opened + SPAN,
        oldest + WINDOW,
        oldest + WINDOW + SPAN,
        now - now % WINDOW + WINDOW,
        now - now % SPAN + SPAN,
        now + partition.peek(partition.quota.limit, now).wait_us,
        now + random.randrange(WINDOW),
    ):
        yield from (at for at in (moment - 1, moment, moment + 1) if at >= now)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("limit", LIMITS)
def test_an_adversary_at_every_edge_never_gets_more_than_the_limit(limit: int, seed: int):
    """Bursts of single hits, of full entries and of all that is left, whenever it could help."""
    random, share = Random(seed), -(-limit // 128)
    partition = Partition(Quota(limit, WINDOW, limit))
    now = START_US + random.randrange(WINDOW)
    partition.hit(1, now)
    for _ in range(250):
        now = random.choice(list(moments(partition, now, random)))
        left = partition.peek(0, now).remaining
        cost = random.choice((1, 1, 2, share - 1, share, share + 1, limit // 2, left, limit))
        for _ in range(random.choice((1, 1, 2, 130))):
            if partition.hit(cost, now).wait_us:
                break

    assert most_in_a_window(partition.admitted, WINDOW) == limit


@pytest.mark.parametrize("limit", LIMITS)
def test_taking_all_that_is_left_at_every_edge_never_gets_more_than_the_limit(limit: int):
    """The whole limit at the last moment of one window and the first of the next, again and again.

    Then everything that leaves is taken at the very microsecond it does, and one before.
    """
    partition = Partition(Quota(limit, WINDOW, limit))
    for edge in range(START_US + WINDOW, START_US + 6 * WINDOW, WINDOW):
        for now in (edge - SPAN, edge - 1, edge, edge + 1, edge + SPAN - 1, edge + SPAN):
            partition.hits_of_one(max(limit // 3, 1), now)
            partition.hit(partition.peek(0, now).remaining, now)
            assert partition.peek(1, now).wait_us > 0
    for _ in range(400):
        more = partition.peek(0, now).more_us
        partition.hit(partition.peek(0, now + more - 1).remaining, now + more - 1)
        now += more
        partition.hit(partition.peek(0, now).remaining, now)

    assert most_in_a_window(partition.admitted, WINDOW) == limit


@pytest.mark.parametrize("limit", LIMITS)
@settings(max_examples=300)
@given(
    moves=st.lists(
        st.tuples(
            st.sampled_from((0, 0, 1, SPAN - 1, SPAN, SPAN + 1, WINDOW - SPAN, WINDOW - 1, WINDOW))
            | st.integers(0, WINDOW),
            st.sampled_from((0.0, 0.0, 1 / 256, 1 / 128, 1 / 60, 0.1, 0.5, 1.0))
            | st.floats(0, 1, allow_subnormal=False),
            st.integers(1, 140),
        ),
        min_size=5,
        max_size=40,
    )
)
def test_no_generated_traffic_gets_more_than_the_limit(
    limit: int, moves: list[tuple[int, float, int]]
):
    partition, now = Partition(Quota(limit, WINDOW, limit)), START_US
    for step, share, times in moves:
        now += step
        for _ in range(times):
            if partition.hit(int(limit * share) or 1, now).wait_us:
                break

    assert most_in_a_window(partition.admitted, WINDOW) <= limit


@settings(max_examples=300)
@given(
    moves=st.lists(
        st.tuples(st.integers(0, WINDOW), st.sampled_from(LIMITS), st.integers(1, 100_000)),
        min_size=5,
        max_size=60,
    )
)
def test_after_a_change_of_the_limit_the_new_one_bounds_what_is_admitted(
    moves: list[tuple[int, int, int]],
):
    partition, now = Partition(Quota(1, WINDOW, 1)), START_US
    for step, limit, cost in moves:
        now += step
        partition.quota = Quota(limit, WINDOW, limit)
        verdict = partition.hit(cost, now)

        within = sum(units for at, units in partition.admitted if at > now - WINDOW)
        assert verdict.remaining >= 0
        assert verdict.wait_us != 0 or within <= limit
