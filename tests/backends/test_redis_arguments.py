"""What cannot work is said when the backend is made, without the password of the URL."""

import math

import pytest
import redis
from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel

from fastapi_throttle.backends import RedisBackend
from fastapi_throttle.errors import ConfigurationError

URL = "redis://127.0.0.1:6379"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("", "'none'"),
        ("127.0.0.1:6379", "'none'"),
        ("redis:/127.0.0.1:6379", "'none'"),
        ("default:swordfish://@127.0.0.1", "'none'"),
        ("http://:swordfish@127.0.0.1", "'http'"),
        ("memory://", "'memory'"),
        ("Redis+TLS://:swordfish@127.0.0.1", "'Redis\\+TLS'"),
        ("redis://:swordfish@127.0.0.1:port", "'redis'"),
        ("redis://:sword/fish@127.0.0.1:6379/0", "'redis'"),
        ("redis://:swordfish@127.0.0.1/first", "'redis'"),
        ("redis://:swordfish@127.0.0.1/1/2", "'redis'"),
        ("rediss://:swordfish@127.0.0.1/-1", "'rediss'"),
        ("redis://:swordfish@127.0.0.1:70000", "'redis'"),
        ("redis://:swordfish@[::1", "'redis'"),
        ("redis://:swordfish@127.0.0.1?db=first", "'redis'"),
        ("redis://:swordfish@127.0.0.1?surprise=1", "'redis'"),
        ("rediss://:swordfish@127.0.0.1?ssl_cert_reqs=maybe", "'rediss'"),
        ("rediss+sentinel://:swordfish@h/limits?ssl_cert_reqs=maybe", "'rediss\\+sentinel'"),
        ("rediss+cluster://:swordfish@h?ssl_cert_reqs=maybe", "'rediss\\+cluster'"),
        ("redis+proxy://:swordfish@127.0.0.1", "'redis\\+proxy'"),
        ("redis+cluster://:swordfish@", "'redis\\+cluster'"),
        ("redis+cluster://:swordfish@127.0.0.1,", "'redis\\+cluster'"),
        ("redis+cluster://:swordfish@127.0.0.1,:7001", "'redis\\+cluster'"),
        ("redis+cluster://:sword/fish@127.0.0.1", "'redis\\+cluster'"),
        ("redis+cluster://:swordfish@127.0.0.1/1", "'redis\\+cluster'"),
        ("redis+cluster://:swordfish@127.0.0.1?db=1", "'redis\\+cluster'"),
        ("redis+cluster://:swordfish@127.0.0.1?surprise=1", "'redis\\+cluster'"),
        ("unix+cluster://:swordfish@127.0.0.1", "'unix\\+cluster'"),
        ("redis+sentinel://:swordfish@127.0.0.1", "'redis\\+sentinel'"),
        ("redis+sentinel://:swordfish@127.0.0.1/", "'redis\\+sentinel'"),
        ("redis+sentinel://:swordfish@127.0.0.1/limits/1", "'redis\\+sentinel'"),
        ("redis+sentinel://:swordfish@127.0.0.1:port/limits", "'redis\\+sentinel'"),
        ("redis+sentinel://:swordfish@127.0.0.1/limits?surprise=1", "'redis\\+sentinel'"),
    ],
)
def test_an_unusable_url_is_named_by_its_scheme(url: str, named: str):
    with pytest.raises(ConfigurationError, match=f"^url must be redis://.* scheme {named}") as told:
        RedisBackend(url)

    for secret in ("swordfish", "sword", "fish"):
        assert secret not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "redis://127.0.0.1/",
        "redis://127.0.0.1/0",
        "rediss://127.0.0.1/0",
        "unix://127.0.0.1/0",
        "redis+cluster://127.0.0.1",
        "rediss+cluster://user:swordfish@127.0.0.1:7001,[::1]:7002/0?ssl_cert_reqs=none",
        "redis+sentinel://127.0.0.1,sentinel.internal:26380/limits",
        "rediss+sentinel://user:swordfish@127.0.0.1/limits?db=1&sentinel_password=secret",
    ],
)
def test_these_urls_are_usable(url: str):
    RedisBackend(url)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (None, "NoneType"),
        (6379, "int"),
        (b"redis://127.0.0.1", "bytes"),
        (redis.Redis(), "redis.client.Redis"),
        (Sentinel([("127.0.0.1", 26379)]).slave_for("service"), "redis.asyncio.client.Redis"),
    ],
    ids=["nothing", "a port", "bytes", "a client that blocks", "a client of replicas"],
)
def test_what_is_no_client_that_may_write_is_named_by_its_type(source: object, kind: str):
    with pytest.raises(ConfigurationError, match=rf"^url or client must be .* got .*{kind}$"):
        RedisBackend(source)


@pytest.mark.parametrize("source", [URL, Redis.from_url(URL)], ids=["url", "client"])
@pytest.mark.parametrize("argument", ["budget", "max_connections"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_a_number_out_of_range_is_named(source: str | Redis, argument: str, value: float):
    with pytest.raises(
        ConfigurationError, match=f"^{argument} must be greater than 0, got {value}"
    ):
        RedisBackend(source, **{argument: value})
