"""Who pays: the values that resolvers give."""

from enum import IntEnum
from types import SimpleNamespace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.authentication import SimpleUser, UnauthenticatedUser
from starlette.requests import HTTPConnection

from fastapi_throttle import client_ip, everyone, first_of, principal
from fastapi_throttle.identity import AddressRules, Identity, identity_of, parse_identity
from fastapi_throttle.identity.principal import user_id

IDS = st.text(st.characters(), min_size=1).filter(str.strip) | st.integers()
TUPLES = st.lists(IDS, min_size=1, max_size=3).map(tuple)


def connection(client=("203.0.113.9", 1), user=None):
    return HTTPConnection({"type": "http", "headers": [], "client": client, "user": user})


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("203.0.113.9", 1), "ip:203.0.113.9"),
        (["203.0.113.9", "1"], "ip:203.0.113.9"),
        (("::ffff:203.0.113.9", 1), "ip:203.0.113.9"),
        (("::FFFF:203.0.113.9", 1), "ip:203.0.113.9"),
        (("::ffff:cb00:7109", 1), "ip:203.0.113.9"),
        (("0:0:0:0:0:ffff:cb00:7109", 1), "ip:203.0.113.9"),
        (("::ffff:203.0.113.9%eth0", 1), "ip:203.0.113.9"),
        (("64:ff9b::203.0.113.9", 1), "ip:203.0.113.9"),
        (("2001:db8:1:2:3:4:5:6", 1), "ip:2001:db8:1:2::/64"),
        (("2001:0DB8:0001:0002::1", 1), "ip:2001:db8:1:2::/64"),
        (("2001:db8:1234:5678::1.2.3.4", 1), "ip:2001:db8:1234:5678::/64"),
        (("::1.2.3.4", 1), "ip:::/64"),
        (("2002:cb00:7109::1", 1), "ip:2002:cb00:7109::/64"),
        (("fe80::1%eth0", 1), "ip:fe80::/64"),
        (("fe80::1%anything at all", 1), "ip:fe80::/64"),
        ((" 203.0.113.9\t", 1), "ip:203.0.113.9"),
        (None, "peer:unix"),
        (("", "0"), "peer:unix"),
        (("testclient", 50000), "peer:invalid"),
        (("203.0.113.09", 1), "peer:invalid"),
        (("0xcb007109", 1), "peer:invalid"),
        (("203.0.113.9:80", 1), "peer:invalid"),
        (("203.0.113.9/32", 1), "peer:invalid"),
        (("203.0.113.9%eth0", 1), "peer:invalid"),
        (("fe80::1%", 1), "peer:invalid"),
        (("203.0.113.9\x00", 1), "peer:invalid"),
        (("\u0662\u0660\u0663.0.113.9", 1), "peer:invalid"),
        (("unknown", 1), "peer:invalid"),
        (("1" * 65, 1), "peer:invalid"),
        (("garbage<script>", 1), "peer:invalid"),
    ],
)
def test_the_peer_is_known_by_the_bits_of_its_address(client, expected):
    identity = client_ip().identify(connection(client))

    assert f"{identity.kind}:{identity.value.decode()}" == expected


def test_forwarding_headers_are_not_believed():
    scope = {
        "type": "http",
        "client": ("203.0.113.9", 1),
        "headers": [(b"x-forwarded-for", b"6.6.6.6"), (b"forwarded", b"for=6.6.6.6")],
    }

    assert client_ip().identify(HTTPConnection(scope)) == Identity("ip", b"203.0.113.9")


class Broken:
    """A user whose properties raise."""

    @property
    def id(self):
        message = "secret"
        raise RuntimeError(message)

    username = "ada"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (SimpleNamespace(id=1, sub="s", username="u"), 1),
        (SimpleNamespace(id=None, sub="s"), "s"),
        (SimpleNamespace(username="u", identity="i"), "u"),
        (SimpleNamespace(identity="i"), "i"),
        (SimpleNamespace(id=None), None),
        (("tenant", "ada"), ("tenant", "ada")),
        ({"id": 7}, 7),
        ({"sub": "s"}, "s"),
        ({}, None),
        ("ada", "ada"),
        (b"ada", b"ada"),
        (42, 42),
        (UUID(int=5), UUID(int=5)),
        (Broken(), "ada"),
    ],
)
def test_a_user_is_known_by_its_id(user, expected):
    assert user_id(user) == expected


@pytest.mark.parametrize("user", [SimpleNamespace(email="a@x"), {"email": "a@x"}])
def test_the_id_can_be_named(user):
    assert user_id(user, "email") == "a@x"
    assert user_id(user, "absent") is None


def test_what_reading_an_id_raises_is_logged_without_its_message(caplog):
    class Other(Broken):
        username = None

    assert user_id(Other()) is None
    assert "raised RuntimeError" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (SimpleUser("ada"), Identity("user", b"ada")),
        (UnauthenticatedUser(), None),
        (None, None),
    ],
)
def test_starlettes_user_counts_when_authenticated(user, expected):
    assert principal().identify(connection(user=user)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ada", b"ada"),
        (b"ada", b"ada"),
        (42, b"42"),
        (UUID(int=0), b"00000000-0000-0000-0000-000000000000"),
        ("\ud800", b"\xed\xa0\x80"),
    ],
)
def test_an_id_counts_by_its_text(value, expected):
    assert identity_of(value) == Identity("key", expected)


@pytest.mark.parametrize(
    "value", [None, "", " ", b" ", True, False, 1.0, [], (), ("a", None), ("a", [])]
)
def test_what_is_no_id_is_nobody(value):
    assert identity_of(value) is None


class Masked(str):
    __slots__ = ()

    def __str__(self):
        return "***"


class Color(IntEnum):
    RED = 1


def test_an_id_counts_by_its_own_text():
    assert identity_of(Masked("a")) != identity_of(Masked("b"))
    assert identity_of(Masked("a")) == identity_of("a")
    assert identity_of(Color.RED) == identity_of(1)
    assert identity_of(10**5000) is None


def test_parts_of_a_tuple_keep_their_kind_and_nesting():
    assert identity_of(("a", ("b",))) != identity_of(("a", b"\0" * 7 + b"\x01b"))
    assert identity_of(("t", Identity("ip", b"1.2.3.4"))) != identity_of(("t", "1.2.3.4"))


@given(st.text("ab", min_size=2, max_size=6), st.integers(1, 5), st.integers(1, 5))
def test_a_text_split_at_two_places_is_two_identities(text, here, there):
    one, other = (text[:here], text[here:]), (text[:there], text[there:])
    if "" in (*one, *other):
        return

    assert (identity_of(one) == identity_of(other)) == (one == other)


def test_an_identity_does_not_show_its_value():
    assert repr(Identity("email", b"ada@x.org")) == "Identity('email', ...)"


class Method(SimpleUser):
    def is_authenticated(self):
        return False


class Raising(SimpleUser):
    @property
    def is_authenticated(self):
        raise RuntimeError


@pytest.mark.parametrize("user", [Method("ada"), Raising("ada")])
def test_a_user_who_is_not_plainly_authenticated_is_nobody(user):
    assert principal().identify(connection(user=user)) is None


@given(TUPLES, TUPLES)
def test_tuples_of_ids_are_distinct_identities(one, other):
    identities = {identity_of(one), identity_of(other)}

    assert len(identities) == (1 if list(map(str, one)) == list(map(str, other)) else 2)


def test_a_tuple_is_never_the_identity_of_a_plain_id():
    spelled = identity_of(("a",)).value

    assert identity_of(spelled) != identity_of(("a",))
    assert identity_of(("tenant:a", "b")) != identity_of(("tenant", "a:b"))


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_nobody_awaited_is_nobody():
    async def forgotten(): ...

    assert identity_of(forgotten()) is None


def test_first_of_asks_the_next_when_one_knows_nobody():
    resolver = first_of(principal(), client_ip())

    assert resolver.connection_only
    assert resolver.identify(connection(user=SimpleUser("ada"))) == Identity("user", b"ada")
    assert resolver.identify(connection()) == Identity("ip", b"203.0.113.9")
    assert first_of(principal()).identify(connection()) is None


def test_first_of_a_dependency_needs_more_than_the_connection():
    assert not first_of(principal(lambda: None), client_ip()).connection_only


def test_everyone_is_one():
    assert everyone().identify(connection()) == parse_identity("all:", AddressRules())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user:42", Identity("user", b"42")),
        ("user:a:b", Identity("user", b"a:b")),
        ("api_key:acme", Identity("api_key", b"acme")),
        ("email:a@x", Identity("email", b"a@x")),
        ("peer:unix", Identity("peer", b"unix")),
        ("all:", Identity("all", b"")),
        ("ip:203.0.113.9", Identity("ip", b"203.0.113.9")),
        ("ip:garbage", Identity("ip", b"garbage")),
        ("nightly", Identity("key", b"nightly")),
        ("tenant:7", Identity("key", b"tenant:7")),
        ("key:x", Identity("key", b"key:x")),
        ("user", Identity("key", b"user")),
        ("", Identity("key", b"")),
    ],
)
def test_an_identity_is_read_from_text(text, expected):
    assert parse_identity(text, AddressRules()) == expected


def test_text_must_be_text():
    with pytest.raises(TypeError, match="key must be text such as 'user:42', got 42"):
        parse_identity(42, AddressRules())
