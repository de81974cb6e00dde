"""Waits are exact: refused one microsecond before the promised instant, admitted at it."""

import pytest
from clock import START_US
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import Partition

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.decision import Verdict
from fastapi_throttle.model import NEVER, AlgorithmName, Quota

WINDOWS = (1_000, 1_000_003, 60_000_000)
LIMITS = (1, 2, 10, 128, 129, 1_000, 100_000)


def quotas(algorithm: AlgorithmName) -> st.SearchStrategy[Quota]:
    """Generate quotas; those of gcra with bursts of their own."""

    def quota(limit: int, window_us: int, quarters: int) -> Quota:
        burst = max(limit * quarters // 4, 1) if algorithm == "gcra" else limit
        return Quota(limit, window_us, burst)

    return st.builds(
        quota, st.sampled_from(LIMITS), st.sampled_from(WINDOWS), st.sampled_from((4, 4, 1, 2, 8))
    )


# How the clock moves, in windows and microseconds; what is claimed, as a share of the limit.
MOVES = st.lists(
    st.tuples(
        st.sampled_from((0, 0, 0, 1 / 60, 0.3, 1, 2)) | st.floats(0, 1),
        st.sampled_from((-1, 0, 0, 1)),
        st.sampled_from((0, 0, 0, 0.01, 0.3, 0.9, 1, 1.1)) | st.floats(0, 1),
    ),
    max_size=30,
)
# The clock steps back, or ahead and back.
STEPS = st.sampled_from((0, 0, 0, 0, -1, -17, -500, -1_000_003, -70_000_000, 70_000_000))


def longest_wait(quota: Quota) -> int:
    """Return how long a caller may have to wait at most."""
    paid_back_in = quota.burst * -(-quota.window_us // quota.limit)
    return max(quota.window_us, paid_back_in)


def check_promises(partition: Partition, cost: int, verdict: Verdict, now: int) -> None:
    """Check what *verdict* said at *now* against what is said at the instants it named."""
    capacity = partition.quota.burst
    wait, remaining, more, reset = verdict

    def remaining_after(microseconds: int) -> int:
        return partition.peek(0, now + microseconds).remaining

    if cost > capacity:
        assert wait == NEVER
    elif wait:
        assert partition.peek(cost, now + wait - 1).wait_us == 1
        assert partition.peek(cost, now + wait).wait_us == 0
        assert 0 < wait <= longest_wait(partition.quota)
    assert 0 <= remaining <= capacity
    assert partition.peek(remaining, now).wait_us == 0
    if remaining == capacity:
        assert more == reset == 0
    else:
        assert 0 < more <= reset <= longest_wait(partition.quota)
        assert partition.peek(remaining + 1, now).wait_us == more
        assert remaining_after(more - 1) == remaining < remaining_after(more)
        assert remaining_after(reset - 1) < capacity == remaining_after(reset)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=500)
@given(data=st.data(), moves=MOVES)
def test_every_promise_is_kept_to_the_microsecond(
    algorithm: AlgorithmName, data: st.DataObject, moves: list[tuple[float, int, float]]
):
    quota = data.draw(quotas(algorithm))
    partition, now = Partition(quota, algorithm), START_US
    for windows, offset, share in moves:
        now = max(now + round(windows * quota.window_us) + offset, now)
        cost = int(quota.burst * share) or 1
        verdict = partition.hit(cost, now)

        check_promises(partition, cost, verdict, now)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=500)
@given(data=st.data(), moves=MOVES)
def test_every_promise_is_kept_after_clock_steps_and_changes_of_the_limit(
    algorithm: AlgorithmName, data: st.DataObject, moves: list[tuple[float, int, float]]
):
    quota = data.draw(quotas(algorithm))
    partition, now = Partition(quota, algorithm), START_US
    for windows, offset, share in moves:
        now += round(windows * quota.window_us) + offset + data.draw(STEPS)
        changed = data.draw(quotas(algorithm))
        partition.quota = Quota(changed.limit, quota.window_us, changed.burst)
        cost = int(changed.burst * share) or 1
        verdict = partition.hit(cost, now)

        check_promises(partition, cost, verdict, now)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("limit", [1, 10, 129, 1_000])
def test_whoever_waits_as_told_is_admitted_every_time(algorithm: AlgorithmName, limit: int):
    partition, now = Partition(Quota(limit, 60_000_000, limit), algorithm), START_US
    for number in range(300):
        cost = 1 + number % limit
        if wait := partition.hit(cost, now).wait_us:
            assert partition.hit(cost, now + wait - 1).wait_us == 1
            now += wait
            assert partition.hit(cost, now).wait_us == 0
