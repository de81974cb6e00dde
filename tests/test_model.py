"""The values every layer speaks: how policies are named, and what a decision says."""

import pytest

from fastapi_throttle.decision import Decision, Verdict, decisions_of
from fastapi_throttle.model import MAX_LIMIT, NEVER, Hit, Policy, Quota, format_window

S, M, H, D = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
PER_SECOND, PER_HOUR = Quota(10, S, 10), Quota(1_000, H, 1_000)
BOTH = Policy.of((PER_SECOND, PER_HOUR), "gcra")


@pytest.mark.parametrize(
    ("window_us", "expected"),
    [
        (1_000, "0.001s"),
        (1_001, "0.001001s"),
        (500_000, "0.5s"),
        (S, "1s"),
        (10 * S, "10s"),
        (90 * S, "90s"),
        (M + 500_000, "60.5s"),
        (M, "1m"),
        (90 * M, "90m"),
        (H, "1h"),
        (36 * H, "36h"),
        (D, "1d"),
        (100 * D, "100d"),
    ],
)
def test_a_window_is_written_in_its_largest_whole_unit(window_us: int, expected: str):
    assert format_window(window_us) == expected


@pytest.mark.parametrize(
    ("quotas", "name", "expected", "labels"),
    [
        ((PER_SECOND,), None, "10-per-1s", ("10-per-1s",)),
        ((PER_SECOND,), "search", "search", ("search",)),
        ((PER_SECOND, PER_HOUR), None, "10-per-1s+1000-per-1h", ("10-per-1s", "1000-per-1h")),
        ((PER_SECOND, PER_HOUR), "search", "search", ("search-1s", "search-1h")),
        ((), None, "unlimited", ()),
        ((), "search", "search", ()),
    ],
)
def test_a_policy_is_named_after_its_rule_unless_it_has_a_name(
    quotas: tuple[Quota, ...], name: str | None, expected: str, labels: tuple[str, ...]
):
    policy = Policy.of(quotas, "sliding-window", name)

    assert (policy.name, str(policy), policy.labels) == (expected, expected, labels)


@pytest.mark.parametrize(
    ("first", "second", "binding"),
    [
        (Verdict(0, 9, 1, 1), Verdict(0, 5, 1, 1), PER_HOUR),
        (Verdict(0, 5, 1, 1), Verdict(0, 5, 1, 1), PER_SECOND),
        (Verdict(1, 0, 1, 1), Verdict(0, 0, 1, 1), PER_SECOND),
        (Verdict(1, 0, 1, 1), Verdict(2, 0, 1, 1), PER_HOUR),
        (Verdict(NEVER, 9, 0, 0), Verdict(7, 0, 1, 1), PER_SECOND),
        (Verdict(7, 0, 1, 1), Verdict(NEVER, 9, 0, 0), PER_HOUR),
    ],
    ids=["least left", "equal", "refused", "longest", "never first", "never last"],
)
def test_a_decision_speaks_of_the_quota_that_binds(first: Verdict, second: Verdict, binding: Quota):
    decision = Decision(allowed=False, policy=BOTH, verdicts=(first, second))

    assert (decision.limit, decision.window) == (binding.limit, binding.window)


def test_a_decision_speaks_in_seconds():
    verdicts = Verdict(1_500_000, 0, 250_000, 2_000_001), Verdict(NEVER, 7, 3_600_000, 7_200_000)

    decision = Decision(allowed=False, policy=BOTH, verdicts=verdicts)

    assert decision.quotas == (
        (10, 1.0, 0, 1.5, 2.000001, 0.25),
        (1_000, 3_600.0, 7, None, 7.2, 3.6),
    )
    assert (decision.retry_after, decision.remaining, decision.reset_after) == (None, 7, 7.2)
    assert not decision.degraded


def test_hits_stand_and_fall_together():
    single = Policy.of((PER_SECOND,), "gcra")
    hits = [Hit(BOTH, ("a", "b"), 1), Hit(single, ("c",), 1)]
    fits, waits = Verdict(0, 3, 1, 1), Verdict(5, 0, 5, 5)

    for verdicts in ([fits, fits, waits], [waits, fits, fits], [fits, waits, fits]):
        decisions = decisions_of(hits, verdicts)
        assert [decision.allowed for decision in decisions] == [False, False]
        assert [len(decision.quotas) for decision in decisions] == [2, 1]
    assert all(decision.allowed for decision in decisions_of(hits, [fits] * 3))


def test_who_is_not_limited_is_told_of_the_largest_limit():
    decision = Decision.unlimited(Policy.of((), "gcra", "free"))

    assert decision.allowed
    assert decision.limit == decision.remaining == MAX_LIMIT
    assert (decision.retry_after, decision.reset_after, decision.quotas) == (0.0, 0.0, ())


def test_a_decision_cannot_be_changed():
    decision = Decision.unlimited(BOTH)

    with pytest.raises(AttributeError):
        decision.allowed = False
