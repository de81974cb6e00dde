"""Mistakes fail where they are made, and say what to write instead."""

import inspect
import math
from datetime import timedelta
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import APIKeyHeader

from fastapi_throttle import (
    UNLIMITED,
    ConfigurationError,
    MemoryBackend,
    RateLimit,
    Throttle,
    client_ip,
    everyone,
    first_of,
    principal,
    tiers,
)

SCHEME = APIKeyHeader(name="X-API-Key")


def tier() -> str:
    return "free"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((0, "1m"), ConfigurationError, "limit must be from 1 to 4294967295 quota units, got 0"),
        ((-5, "1m"), ConfigurationError, "got -5"),
        ((2**32, "1m"), ConfigurationError, "got 4294967296"),
        ((True, "1m"), TypeError, "limit must be an int of quota units, got True"),
        ((1.5, "1m"), TypeError, "got 1.5"),
        ((math.nan, "1m"), TypeError, "got nan"),
        ((None, "1m"), TypeError, "limit must be an int, text .* got None"),
        ((["5/minute"],), TypeError, "got \\['5/minute'\\]"),
        ((5,), ConfigurationError, "window must be given with an int limit, got limit 5 alone"),
        ((10**5000, "1m"), ConfigurationError, "thousands of digits"),
        ((5, 10**5000), ConfigurationError, "window must be .* thousands of digits"),
        ((5, 1e308), ConfigurationError, "got 1e.308"),
        (("9" * 5000 + "/minute",), ConfigurationError, "limit must look like"),
        (("5/fortnight",), ConfigurationError, "^limit must name a window .* '5/fortnight'"),
        ((5, 0), ConfigurationError, "window must be from 0.001 seconds to 366 days, got 0"),
        ((5, -1), ConfigurationError, "got -1"),
        ((5, math.nan), ConfigurationError, "got nan"),
        ((5, math.inf), ConfigurationError, "got inf"),
        ((5, True), TypeError, "window must be seconds, .* got True"),
        ((5, b"1m"), TypeError, "got b'1m'"),
        ((5, timedelta(days=367)), ConfigurationError, "366 days, got datetime.timedelta"),
        ((5, "1fortnight"), ConfigurationError, "in second, minute, hour or day .* '1fortnight'"),
        ((5, "1month"), ConfigurationError, "got '1month'"),
        ((5, ""), ConfigurationError, "got ''"),
        ((5, "m"), ConfigurationError, "got 'm'"),
        ((5, "1m30"), ConfigurationError, "got '1m30'"),
        ((5, "-1m"), ConfigurationError, "got '-1m'"),
        (("5/minute", "1m"), ConfigurationError, "window must be left out .* got '5/minute'"),
        (("five/minute",), ConfigurationError, "limit must look like '100/minute'.*'five/minute'"),
        (("5",), ConfigurationError, "limit must look like '100/minute'.*got '5'"),
        (("",), ConfigurationError, "got ''"),
        (("5/minute;",), ConfigurationError, "got ''"),
        (("0/minute",), ConfigurationError, "got 0"),
        (("5/minute; 9/60s",), ConfigurationError, "limit must name each window once, got"),
    ],
)
def test_a_bad_limit_or_window_is_named(arguments, error, says):
    with pytest.raises(error, match=says):
        RateLimit(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"name": 'a"b'}, ConfigurationError, "name must be 1 to 128 .* got 'a\"b'"),
        ({"name": "a\r\nSet-Cookie: x"}, ConfigurationError, "name must be .* got 'a.r.nSet"),
        ({"name": "ünicode"}, ConfigurationError, "printable ASCII"),
        ({"name": "back\\slash"}, ConfigurationError, "backslash"),
        ({"name": ""}, ConfigurationError, "got ''"),
        ({"name": "x" * 129}, ConfigurationError, "1 to 128"),
        ({"name": 5}, TypeError, "name must be a string, got 5"),
        ({"cost": 6}, ConfigurationError, "cost must be at most 5, .* 5-per-1m .* got 6"),
        ({"cost": -1}, ConfigurationError, "cost must be an int of at least 0 .* got -1"),
        ({"cost": True}, TypeError, "cost must be an int of quota units, got True"),
        (
            {"cost": 1.5},
            TypeError,
            "cost must be an int of at least 0 or a FastAPI dependency, got 1.5",
        ),
        ({"cost": math.nan}, TypeError, "got nan"),
        ({"scope": "global"}, ConfigurationError, "scope must be .* got 'global'"),
        ({"algorithm": "leaky"}, ConfigurationError, "algorithm must be one of .* got 'leaky'"),
        ({"burst": 5}, ConfigurationError, "burst must be left out .* 'sliding-window', got 5"),
        ({"algorithm": "gcra", "burst": 0}, ConfigurationError, "burst must be from 1 .* got 0"),
        ({"algorithm": "gcra", "burst": True}, TypeError, "burst must be an int .* got True"),
        ({"algorithm": "gcra", "burst": 2**32 - 1}, ConfigurationError, "burst must be at most"),
        ({"algorithm": "gcra", "burst": 9, "cost": 10}, ConfigurationError, "at most 9"),
        ({"key": "user"}, TypeError, "key must be a FastAPI dependency, got 'user'"),
        ({"key": SCHEME}, TypeError, "verified identity, got the bare scheme APIKeyHeader"),
        ({"key": Depends(SCHEME)}, TypeError, "bare scheme APIKeyHeader"),
        ({"key": Depends()}, TypeError, "key must name its dependency"),
        ({"key": lambda request, header="x": ""}, TypeError, "request: Request; FastAPI would"),
        ({"cost": 10**5000}, ConfigurationError, "cost must be at most 5, .* thousands of digits"),
        ({"key": everyone}, TypeError, r"with parentheses: everyone\(\.\.\.\)"),
        ({"key": client_ip}, TypeError, r"with parentheses: client_ip\(\.\.\.\)"),
    ],
)
def test_a_bad_option_is_named(options, error, says):
    with pytest.raises(error, match=says):
        RateLimit(5, "1m", **options)


def test_a_cost_above_the_smallest_of_several_limits_is_an_error():
    with pytest.raises(ConfigurationError, match=r"cost must be at most 5, .* 5-per-1s"):
        RateLimit("5/second; 1000/hour", cost=6)


def test_a_cost_above_the_limit_of_a_tier_is_an_error():
    with pytest.raises(ConfigurationError, match="cost must be at most 2"):
        RateLimit(tiers({"free": "2/minute", "pro": "9/minute"}, by=tier, default="free"), cost=3)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: tiers({}, by=tier, default="free"), ConfigurationError, "at least one tier"),
        (
            lambda: tiers({"free": "1/s"}, by=tier, default="pro"),
            ConfigurationError,
            r"default must be one of the tiers \['free'\], got 'pro'",
        ),
        (lambda: tiers({1: "1/s"}, by=tier, default=1), TypeError, r"named by text, got \[1\]"),
        (lambda: Throttle(5), TypeError, "app must be a FastAPI, got 5"),
        (lambda: Throttle(settings={}), TypeError, "settings must be ThrottleSettings, got a dict"),
        (lambda: Throttle(backend=MemoryBackend), TypeError, "got the class MemoryBackend"),
        (
            lambda: RateLimit("700000/second", algorithm="gcra"),
            ConfigurationError,
            "limit must be lower with algorithm 'gcra', .* got 700000-per-1s",
        ),
        (lambda: tiers({"free": "1/s"}, by="tier", default="free"), TypeError, "by must be"),
        (
            lambda: RateLimit(tiers({"free": 5}, by=tier, default="free")),
            ConfigurationError,
            "window must be given",
        ),
        (first_of, TypeError, "first_of needs at least one resolver"),
        (lambda: first_of(SCHEME), TypeError, "bare scheme"),
        (lambda: principal("user"), TypeError, "dependency must be a FastAPI dependency"),
        (lambda: principal(SCHEME), TypeError, "bare scheme"),
        (lambda: MemoryBackend(0), ConfigurationError, "max_partitions .* got 0"),
        (
            lambda: Throttle(backend="redis://:secret@x"),
            TypeError,
            r"RedisBackend\(url\), got .*str",
        ),
        (lambda: Throttle(default_key=principal(tier)), ConfigurationError, "default_key must be"),
    ],
)
def test_a_bad_part_is_named(make, error, says):
    with pytest.raises(error, match=says) as raised:
        make()

    assert "secret" not in str(raised.value)


def test_a_password_never_shows_in_an_error():
    with pytest.raises(TypeError) as raised:
        Throttle(backend="redis://:hunter2@host")

    assert "hunter2" not in str(raised.value)


@pytest.mark.matrix
@pytest.mark.parametrize(
    "declare",
    [
        lambda app: app.get("/x", dependencies=[Depends(RateLimit)]),
        lambda app: APIRouter(dependencies=[Depends(RateLimit)]).get("/x"),
        lambda app: FastAPI(dependencies=[Depends(RateLimit)]).get("/x"),
    ],
)
def test_a_limit_without_parentheses_fails_when_the_route_is_declared(declare):
    def endpoint(): ...

    with pytest.raises(ConfigurationError, match=r'Depends\(RateLimit\(100, "1m"\)\)'):
        declare(FastAPI())(endpoint)


@pytest.mark.matrix
def test_a_parameter_without_parentheses_fails_when_the_route_is_declared():
    def endpoint(limit: Annotated[object, Depends(RateLimit)]): ...

    with pytest.raises(ConfigurationError, match="with parentheses"):
        FastAPI().get("/x")(endpoint)


def test_the_signature_of_the_class_can_be_read():
    assert list(inspect.signature(RateLimit).parameters)[:3] == ["limit", "window", "key"]


@pytest.mark.parametrize(
    ("window", "seconds"),
    [(1, 1), (0.5, 0.5), ("90s", 90), ("1m", 60), ("1h30m", 5400), ("1d", 86400), ("1.5s", 1.5),
     (timedelta(hours=1), 3600), (" 2 minutes ", 120), ("0.001s", 0.001)],
)  # fmt: skip
def test_a_window_is_read(window, seconds):
    assert RateLimit(5, window).policy_outside_requests().quotas[0].window == seconds


@pytest.mark.parametrize(
    ("text", "quotas"),
    [
        ("100/minute", [(100, 60)]),
        ("10/second; 1000/hour", [(10, 1), (1000, 3600)]),
        ("5 per minute", [(5, 60)]),
        ("5/30s", [(5, 30)]),
        ("5 / 1h30m", [(5, 5400)]),
        ("7/D", [(7, 86400)]),
    ],
)
def test_a_limit_is_read(text, quotas):
    policy = RateLimit(text).policy_outside_requests()

    assert [(quota.limit, quota.window) for quota in policy.quotas] == quotas


def test_unlimited_is_a_rate_of_a_tier():
    limits = tiers({"free": "1/s", "staff": UNLIMITED}, by=tier, default="free")

    assert limits.rate("staff") is UNLIMITED
