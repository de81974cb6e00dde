"""How limits, windows and names are written: ``"10/second; 1000/hour"``, ``"1h30m"``."""

import math
import re
from datetime import timedelta

from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.model import MAX_LIMIT, MAX_WINDOW_US, SECOND_US, Quota

MIN_WINDOW_US = 1_000
_LONGEST_NAME = 128

_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3_600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}
_UNITS = "second, minute, hour or day (s, m, h, d)"
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.ASCII)
_RULE = re.compile(r"\s*(\d{1,15})\s*(?:/|per\s)\s*(.+?)\s*", re.ASCII | re.IGNORECASE)

Window = int | float | str | timedelta


def check_limit(limit: object, argument: str = "limit") -> int:
    """Return *limit* if it is a number of quota units that can be counted.

    Raises:
        TypeError: It is not an int (a bool is not).
        ConfigurationError: It is out of range.
    """
    if isinstance(limit, bool) or not isinstance(limit, int):
        message = f"{argument} must be an int of quota units, got {limit!r}"
        raise TypeError(message)
    if not 1 <= limit <= MAX_LIMIT:
        message = f"{argument} must be from 1 to {MAX_LIMIT} quota units, got {shown(limit)}"
        raise ConfigurationError(message)
    return limit


def parse_window(window: Window, argument: str = "window") -> int:
    """Return a window, or another duration, in microseconds.

    Args:
        window: Seconds, a timedelta, or text such as ``"90s"``, ``"1m"``, ``"1h30m"``, ``"1d"``.
        argument: What it was given as, for messages.

    Raises:
        TypeError: It is none of these (a bool is not a number of seconds).
        ConfigurationError: It is unreadable, or not from 1 ms to 366 days.
    """
    if isinstance(window, timedelta):
        window_us = round(window / timedelta(microseconds=1))
    elif isinstance(window, str):
        window_us = _parse_duration(window, argument)
    elif isinstance(window, bool) or not isinstance(window, int | float):
        message = f"{argument} must be seconds, a timedelta or text such as '1m', got {window!r}"
        raise TypeError(message)
    else:
        # Neither infinite nor not a number, and not too large to multiply.
        window_us = round(window * SECOND_US) if abs(window) <= MAX_WINDOW_US else -1
    if not MIN_WINDOW_US <= window_us <= MAX_WINDOW_US:
        message = f"{argument} must be from 0.001 seconds to 366 days, got {shown(window)}"
        raise ConfigurationError(message)
    return window_us


def parse_rules(text: str, argument: str = "limit") -> tuple[tuple[int, int], ...]:
    """Return (limit, window in microseconds) for each rule of ``"10/second; 1000/hour"``.

    Args:
        text: The rules.
        argument: What they were given as, for messages.

    Raises:
        TypeError: It is no text.
        ConfigurationError: A rule is unreadable or out of range, or two have the same window.
    """
    if not isinstance(text, str):
        message = f"{argument} must be text such as '100/minute', got {text!r}"
        raise TypeError(message)
    rules = tuple(_parse_rule(rule, argument) for rule in text.split(";"))
    windows = [window_us for _, window_us in rules]
    if len(set(windows)) < len(windows):
        message = f"{argument} must name each window once, got {text!r}"
        raise ConfigurationError(message)
    return rules


def check_name(name: str) -> str:
    """Return *name* if it can stand in a structured field and a log line.

    Raises:
        TypeError: It is not a string.
        ConfigurationError: It is empty, longer than 128, or not printable ASCII without quotes.
    """
    if not isinstance(name, str):
        message = f"name must be a string, got {name!r}"
        raise TypeError(message)
    plain = all(" " <= char <= "~" and char not in '"\\' for char in name)
    if not plain or not 1 <= len(name) <= _LONGEST_NAME:
        message = (
            f"name must be 1 to {_LONGEST_NAME} characters of printable ASCII without quotes or "
            f"backslash, got {name!r}"
        )
        raise ConfigurationError(message)
    return name


def shown(value: object) -> str:
    """Write a value into a message; Python refuses to write very long integers."""
    try:
        return repr(value)
    except ValueError:
        return f"a number of {type(value).__name__} with thousands of digits"


def quota(limit: int, window_us: int, burst: int | None = None) -> Quota:
    """Make a quota; *burst* defaults to *limit*."""
    return Quota(limit, window_us, limit if burst is None else burst)


def _parse_rule(rule: str, argument: str) -> tuple[int, int]:
    match = _RULE.fullmatch(rule)
    if match is None:
        message = f"{argument} must look like '100/minute' or '10/second; 1000/hour', got {rule!r}"
        raise ConfigurationError(message)
    window = match[2].lower()
    try:
        window_us = parse_window(f"1{window}" if window in _SECONDS else window)
    except ConfigurationError as error:
        message = f"{argument} must name a window it can have, got {rule!r}: {error}"
        raise ConfigurationError(message) from None
    return check_limit(int(match[1]), argument), window_us


def _parse_duration(text: str, argument: str) -> int:
    total = 0.0
    position = 0
    stripped = text.strip().lower()
    while match := _PART.match(stripped, position):
        if match[2] not in _SECONDS:
            message = f"{argument} must be in {_UNITS}, got {text!r}"
            raise ConfigurationError(message)
        total += float(match[1]) * _SECONDS[match[2]] * SECOND_US
        position = match.end()
    if position != len(stripped) or not stripped:
        message = f"{argument} must look like '90s', '1m' or '1h30m', in {_UNITS}, got {text!r}"
        raise ConfigurationError(message)
    return round(total) if math.isfinite(total) else -1
