"""How limits, windows and names are written, and what is said about those that are not."""

import math
from datetime import timedelta

import pytest

from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.notation import (
    check_limit,
    check_name,
    parse_rules,
    parse_window,
    quota,
)

MS, S, M, H, D = 1_000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (1, S),
        (0.5, S // 2),
        (0.001, MS),
        (0.1 + 0.2, 300_000),
        (366 * 86_400, 366 * D),
        (timedelta(minutes=1), M),
        (timedelta(milliseconds=1), MS),
        (timedelta(days=366), 366 * D),
        ("90s", 90 * S),
        ("1m", M),
        ("1h30m", H + 30 * M),
        ("1d", D),
        ("1 d 2 h", D + 2 * H),
        ("  2 minutes ", 2 * M),
        ("1.5h", H + 30 * M),
        ("0.001s", MS),
        ("0.25 seconds", S // 4),
        ("1H", H),
        ("10 sec", 10 * S),
        ("5min", 5 * M),
        ("366d", 366 * D),
    ],
    ids=repr,
)
def test_a_window_is_understood(window: object, expected: int):
    assert parse_window(window) == expected


@pytest.mark.parametrize(
    "window",
    [
        *(0, -1, 0.000_4, -0.5, 366 * 86_400 + 1, 1e300, 1e305, 10**400),
        *(math.nan, math.inf, -math.inf),
        *(timedelta(0), timedelta(microseconds=999), timedelta(days=-1), timedelta.max),
        *("0s", "0.0001s", "367d", f"{'9' * 400}d"),
    ],
    ids=lambda window: repr(window)[:30],
)
def test_a_window_out_of_range_is_named_with_its_bounds(window: object):
    with pytest.raises(ConfigurationError, match=r"^window must be from 0\.001 .* 366 days, got "):
        parse_window(window)


@pytest.mark.parametrize(
    "window",
    ["", " ", "m", "60", "1m30", "-1m", "1,5h", "m1", "1m;", "1m 1", "\u0661m", "1\u00b5s"],
)
def test_a_window_that_cannot_be_read_is_named_with_examples(window: str):
    with pytest.raises(ConfigurationError, match=r"^window must look like '90s', '1m' or ") as told:
        parse_window(window)

    assert repr(window) in str(told.value)


@pytest.mark.parametrize("window", ["1fortnight", "1w", "1ms", "1 month", "1h5y", "1e3s"])
def test_an_unknown_unit_is_answered_with_those_there_are(window: str):
    with pytest.raises(ConfigurationError, match=r"^window must be in second, minute, hour or day"):
        parse_window(window)


@pytest.mark.parametrize("window", [None, True, False, b"1m", [60], 1j])
def test_a_window_of_another_type_is_named(window: object):
    with pytest.raises(
        TypeError, match=r"^window must be seconds, a timedelta or text such as '1m'"
    ):
        parse_window(window)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100/minute", ((100, M),)),
        ("1/s", ((1, S),)),
        ("100 / minute", ((100, M),)),
        ("100 per minute", ((100, M),)),
        ("100 PER Minute", ((100, M),)),
        ("5/15m", ((5, 15 * M),)),
        ("5/1h30m", ((5, H + 30 * M),)),
        ("5/30 seconds", ((5, 30 * S),)),
        ("007/day", ((7, D),)),
        ("10/second; 1000/hour", ((10, S), (1_000, H))),
        ("1/s;2/m;3/h;4/d", ((1, S), (2, M), (3, H), (4, D))),
        ("4294967295/hour", ((2**32 - 1, H),)),
    ],
)
def test_rules_are_understood(text: str, expected: tuple[tuple[int, int], ...]):
    assert parse_rules(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "limit must look like '100/minute' .* got ''"),
        ("100", "limit must look like .* got '100'"),
        ("/minute", "limit must look like"),
        ("100/", "limit must look like"),
        ("-1/minute", "limit must look like"),
        ("1.5/minute", "limit must look like"),
        ("1_000/minute", "limit must look like"),
        ("ten/minute", "limit must look like"),
        ("100/minute;", "limit must look like .* got ''"),
        ("100/minute, 5/second", "limit must name a window .* got '100/minute, 5/second'"),
        ("\u0661/minute", "limit must look like"),
        ("100/fortnight", "limit must name a window .* got '100/fortnight'"),
        ("100/0s", "limit must name a window .* 0.001 seconds to 366 days, got '0s'"),
        ("100/-1s", "limit must name a window .* got '100/-1s'"),
        ("0/minute", "limit must be from 1 to 4294967295 quota units, got 0"),
        ("4294967296/minute", "limit must be from 1 to 4294967295 quota units, got 4294967296"),
        ("1/m; 2/60s", "limit must name each window once, got '1/m; 2/60s'"),
    ],
)
def test_rules_that_cannot_be_read_say_what_is_right(text: str, message: str):
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        parse_rules(text)


@pytest.mark.parametrize("limit", [1, 2**32 - 1])
def test_a_limit_in_range_is_returned(limit: int):
    assert check_limit(limit) == limit


@pytest.mark.parametrize("limit", [0, -1, 2**32, 10**30])
def test_a_limit_out_of_range_is_named(limit: int):
    expected = f"^burst must be from 1 to 4294967295 quota units, got {limit}$"
    with pytest.raises(ConfigurationError, match=expected):
        check_limit(limit, "burst")


def test_a_number_that_python_refuses_to_write_is_described():
    with pytest.raises(ConfigurationError, match=r"^limit must be .* thousands of digits$"):
        check_limit(10**5_000)
    with pytest.raises(ConfigurationError, match=r"^window must be .* thousands of digits$"):
        parse_window(10**5_000)


@pytest.mark.parametrize("limit", [True, False, 1.0, math.nan, "1", None, [1]])
def test_a_limit_of_another_type_is_named(limit: object):
    with pytest.raises(TypeError, match=r"^limit must be an int of quota units, got "):
        check_limit(limit)


@pytest.mark.parametrize("name", ["a", "login", "per user, per day", "x" * 128, "{}:/~!"])
def test_a_name_that_can_stand_in_a_field_is_returned(name: str):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 129,
        'a"b',
        "a\\b",
        "a\r\nb",
        "a\nb",
        "a\tb",
        "a\x00b",
        "a\x7f",
        "caf\u00e9",
        "\ud800",
    ],
)
def test_a_name_that_cannot_is_named(name: str):
    with pytest.raises(ConfigurationError, match=r"^name must be 1 to 128 characters of") as told:
        check_name(name)

    assert str(told.value).isprintable()


@pytest.mark.parametrize("name", [None, 1, b"login"])
def test_a_name_of_another_type_is_named(name: object):
    with pytest.raises(TypeError, match=r"^name must be a string, got "):
        check_name(name)


def test_the_burst_of_a_quota_is_its_limit_unless_given():
    assert quota(10, M).burst == 10
    assert quota(10, M, 3).burst == 3
