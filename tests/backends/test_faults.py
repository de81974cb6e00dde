"""Whose fault an error is, told from what a real server says."""

import asyncio

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError, TryAgainError
from redis_server import RedisServer, free_port

from fastapi_throttle.backends.redis.faults import is_demoted, outage

SET = ("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "new")
ACL = ("ACL", "SETUSER", "default")


@pytest.fixture(scope="module")
def server():
    with RedisServer() as server:
        yield server


def error_of(port, command, **options):
    async def ask():
        async with Redis(port=port, protocol=2, **options) as client:
            await client.execute_command(*command)

    with pytest.raises(RedisError) as raised:
        asyncio.run(ask())
    return raised.value


@pytest.mark.parametrize(
    "command",
    [
        ("EVAL", "return nil + 1", 0),
        ("EVAL", "return redis.call('GET', KEYS[1])", 1, "list"),
        ("EVAL", "return redis.call('INCR', KEYS[1])", 1, "text"),
        ("GET", "list"),
        ("INCR", "text"),
    ],
)
def test_what_is_wrong_with_one_key(server, command):
    server.client.flushall()
    server.client.lpush("list", 1)
    server.client.set("text", "x")

    assert outage(error_of(server.port, command), 1).fault == "key"


@pytest.mark.parametrize(
    ("command", "denied", "allowed"),
    [
        (SET, ("-set",), ("+set",)),
        (SET, ("-eval",), ("+eval",)),
        (SET, ("resetkeys", "~other"), ("resetkeys", "~*")),
        (("EVAL", "return redis.call('SET', 'new', 1)", 0), ("resetkeys", "~other"), ("~*",)),
        (("EVAL", "return redis.call('NEVER')", 0), (), ()),
        (("NEVER",), (), ()),
    ],
)
def test_what_only_a_person_can_mend(server, command, denied, allowed):
    server.client.execute_command(*ACL, *denied)
    try:
        assert outage(error_of(server.port, command), 1).fault == "configuration"
    finally:
        server.client.execute_command(*ACL, *allowed)


@pytest.mark.parametrize("command", [("SELECT", 99), ("CLUSTER", "SLOTS")])
def test_a_wrong_part_of_an_address(server, command):
    assert outage(error_of(server.port, command), 1).fault == "configuration"


def test_a_service_that_sentinels_do_not_know(tmp_path):
    config = tmp_path / "sentinel.conf"
    config.touch()
    with RedisServer(str(config), "--sentinel") as sentinel:
        error = error_of(sentinel.port, ("SENTINEL", "MASTER", "limits"))
    assert outage(error, 1).fault == "configuration"


def test_a_wrong_password_and_none():
    with RedisServer(password="swordfish") as server:
        for options in ({"password": "sturgeon"}, {}):
            assert outage(error_of(server.port, SET, **options), 1).fault == "configuration"


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")],
)
def test_what_is_wrong_with_the_server(server, name, wrong, right):
    server.client.config_set(name, wrong)
    try:
        assert outage(error_of(server.port, SET), 1).fault == "infrastructure"
    finally:
        server.client.config_set(name, right)


PLAIN = ("SET", "new", 1)


@pytest.mark.parametrize("command", [SET, PLAIN], ids=["script", "command"])
@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (
            ("CONFIG", "SET", "min-replicas-to-write", 1),
            ("CONFIG", "SET", "min-replicas-to-write", 0),
        ),
        (("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["NOREPLICAS", "READONLY"],
)
def test_a_server_that_is_no_master_any_more(server, command, wrong, right):
    server.client.execute_command(*wrong)
    try:
        error = error_of(server.port, command)
    finally:
        server.client.execute_command(*right)

    assert is_demoted(error)
    assert outage(error, 1).fault == "infrastructure"


@pytest.mark.parametrize(
    "text",
    [
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "Error running script (call to f_1): @user_script:1: -READONLY You can't write against a",
    ],
)
def test_a_server_that_is_no_master_in_the_words_of_others(text):
    assert is_demoted(ResponseError(text))


def test_a_full_server_may_be_the_master(server):
    server.client.config_set("maxmemory", "1")
    try:
        assert not is_demoted(error_of(server.port, SET))
    finally:
        server.client.config_set("maxmemory", "0")


def test_what_is_wrong_with_the_way_to_it():
    assert outage(error_of(free_port(), SET, retry=None), 1).fault == "infrastructure"


def test_a_missing_permission_is_known_whatever_it_says():
    assert outage(NoPermissionError("anything"), 1).fault == "configuration"


def test_keys_that_are_apart_while_their_slot_moves_are_nobody_elses_matter():
    assert outage(TryAgainError("Multiple keys request during rehashing of slot"), 1).fault == "key"


def test_what_nobody_foresaw_is_an_outage():
    error = AttributeError("'NoneType' object has no attribute 'writelines'")
    told = outage(error, 1)

    assert (told.fault, told.__cause__) == ("infrastructure", error)
