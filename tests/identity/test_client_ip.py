"""The client's address: who pays for a request, whatever was sent and whoever relayed it."""

import sys
import tracemalloc
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from fastapi import Depends, FastAPI, WebSocket
from hypothesis import example, given
from hypothesis import strategies as st
from identity.address_vectors import (
    A4,
    ANY,
    CASES,
    CLIENT,
    FORWARDED,
    FROM_CLIENT,
    FROM_PROXY,
    LOOPBACK,
    PROXY,
    REAL_IP,
    TRUSTED,
    UNIX,
    chain,
    xff,
)
from pydantic import ValidationError
from starlette.requests import HTTPConnection
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from fastapi_throttle import (
    ConfigurationError,
    MemoryBackend,
    RateLimit,
    Throttle,
    ThrottleSettings,
    client_ip,
)
from fastapi_throttle.identity import AddressRules, Identity
from fastapi_throttle.identity.address import parse_address

PLENTY = 1_000_000


class Recorder:
    """A backend that keeps the storage keys of every call."""

    def __init__(self):
        self._counters = MemoryBackend()
        self.keys = []

    async def hit(self, hits):
        self.keys += [hit.keys for hit in hits]
        return await self._counters.hit(hits)

    async def peek(self, hits):
        self.keys += [hit.keys for hit in hits]
        return await self._counters.peek(hits)

    async def reset(self, hits):
        await self._counters.reset(hits)

    async def aclose(self):
        await self._counters.aclose()


class App:
    """An app as a server sees it: scopes with exact peers and raw header lines.

    Args:
        limit: Requests per client.
        key: Who pays; by default what the settings make of the address.
        wrap: Middleware in front of it.
        settings: Of the throttle.
    """

    def __init__(self, *, limit=PLENTY, key=None, wrap=lambda app: app, **settings):
        async def literal(text: str):
            kind, _, value = text.partition(":")
            return Identity(kind, value.encode())

        async def nothing():
            return {}

        async def accept(websocket: WebSocket):
            await websocket.accept()

        def limited(key):
            return [Depends(RateLimit(limit, "1h", name="client", key=key))]

        self._recorder = Recorder()
        app = FastAPI()
        self._throttle = Throttle(
            app,
            backend=self._recorder,
            settings=ThrottleSettings(secret="of these tests", **settings),
        )
        app.add_api_route("/", nothing, dependencies=limited(key))
        app.add_api_route("/literal", nothing, dependencies=limited(literal))
        app.add_api_websocket_route("/ws", accept, dependencies=limited(key))
        self._app = wrap(app)

    async def get(self, peer, *lines, path="/", query=b"", kind="http"):
        """Send one request and return its status; for a WebSocket, the type of the answer."""
        headers = []
        for line in lines:
            name, _, value = line.partition(b":")
            headers.append((name.lower(), value.removeprefix(b" ")))
        client = (peer, 4711) if isinstance(peer, str) else peer
        scope = {
            "type": kind,
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": client,
            "server": ("testserver", 80),
            "extensions": {"websocket.http.response": {}},
        }
        sent = []

        async def receive():
            return {"type": "websocket.connect"} if kind == "websocket" else {
                "type": "http.request", "body": b"", "more_body": False,
            }  # fmt: skip

        async def send(message):
            sent.append(message)

        await self._app(scope, receive, send)
        return sent[0].get("status", sent[0]["type"])

    async def keys(self, peer, *lines, **options):
        """Return the storage keys that one request is counted under."""
        self._recorder.keys.clear()
        assert await self.get(peer, *lines, **options) == 200
        [keys] = self._recorder.keys
        return keys

    async def keys_of(self, text):
        """Return the storage keys of exactly this identity: nothing is parsed or masked."""
        return await self.keys(
            None, path="/literal", query=b"text=" + text.encode().replace(b"%", b"%25")
        )

    async def peeked_keys(self, text):
        """Return the storage keys that operators reach under this text."""
        self._recorder.keys.clear()
        await self._throttle.peek("client", text)
        [keys] = self._recorder.keys
        return keys

    async def statuses(self, *requests):
        """Send requests, each a peer and header lines, and return their statuses."""
        return [await self.get(*request) for request in requests]


# --- the table ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_who_pays(case):
    app = App(**case.settings)

    paid = await app.keys(case.peer, *case.lines)

    assert paid == await app.keys_of(case.expected)
    assert paid == await app.peeked_keys(case.expected)


def test_the_table_covers_every_row_and_its_ids_are_distinct():
    names = [case.name for case in CASES]
    rows = {name.split()[0] for name in names}

    assert len(names) >= 120
    assert len(set(names)) == len(names)
    assert {f"A{row}" for row in range(1, 21)} | {"C5", "C6"} <= rows


async def test_rules_of_a_resolver_replace_those_of_the_settings():
    app = App(key=client_ip(**TRUSTED), trusted_hops=3)
    lines = [xff("6.6.6.6", CLIENT)]

    assert await app.keys(PROXY, *lines) == await app.keys_of(FROM_CLIENT)


async def test_rules_about_trust_replace_all_about_trust_and_keep_the_prefixes():
    app = App(key=client_ip(**TRUSTED), ipv4_prefix=24, ipv6_prefix=48, trust_unix_peer=True)

    assert await app.keys("2001:db8:1:2::3") == await app.keys_of("ip:2001:db8:1::/48")
    assert await app.keys(CLIENT, b"Forwarded: for=6.6.6.6") == await app.peeked_keys(FROM_CLIENT)
    assert await app.keys(None, xff("6.6.6.6")) == await app.keys_of("peer:unix")


async def test_a_prefix_of_a_resolver_keeps_the_trust_of_the_settings():
    app = App(key=client_ip(ipv4_prefix=24), **TRUSTED)
    lines = [xff("6.6.6.6", CLIENT)]
    neighbour = CLIENT.rpartition(".")[0] + ".200"

    assert await app.keys(PROXY, *lines) == await app.keys(PROXY, xff(neighbour))
    assert await app.keys(PROXY, *lines) != await app.keys(PROXY)


async def test_a_resolver_without_rules_goes_by_the_settings():
    app = App(key=client_ip(), **TRUSTED)

    assert await app.keys(PROXY, xff("6.6.6.6", CLIENT)) == await app.keys_of(FROM_CLIENT)


async def test_an_app_without_a_throttle_believes_nobody():
    app = FastAPI()
    limit = RateLimit(1, "1m")

    @app.get("/", dependencies=[Depends(limit)])
    async def paid():
        return {}

    served = App(wrap=lambda _: app)

    assert await served.statuses(
        (PROXY, xff("6.6.6.6")), (PROXY, xff("7.7.7.7")), (CLIENT, xff("6.6.6.6"))
    ) == [200, 429, 200]


async def test_websockets_are_counted_by_the_same_address():
    app = App(limit=1, **TRUSTED)
    options = {"path": "/ws", "kind": "websocket"}

    answers = [
        await app.get(PROXY, xff("1.1.1.1", CLIENT), **options),
        await app.get(PROXY, xff("1.1.1.2", CLIENT), **options),
        await app.get(PROXY, xff("1.1.1.2", "203.0.113.10"), **options),
    ]

    assert answers == ["websocket.accept", 429, "websocket.accept"]


# --- what attackers try: shared buckets ---------------------------------------------------------


async def test_a1_new_headers_buy_no_new_quota():
    app = App(limit=3)

    statuses = await app.statuses(*((CLIENT, xff(f"1.1.1.{i}")) for i in range(10)))

    assert statuses == [200] * 3 + [429] * 7


async def test_a2_new_entries_in_front_buy_no_new_quota():
    app = App(limit=3, **TRUSTED)

    statuses = await app.statuses(*((PROXY, xff(f"1.1.1.{i}", CLIENT)) for i in range(10)))

    assert statuses == [200] * 3 + [429] * 7


async def test_a7_all_unreadable_peers_are_one():
    app = App(limit=3)

    statuses = await app.statuses(*(((f"garbage{i}", i),) for i in range(6)))

    assert statuses == [200] * 3 + [429] * 3


async def test_a8_unix_peers_are_limited():
    app = App(limit=3)

    statuses = await app.statuses((None,), (("", "0"),), (["", 0],), (None,), (("", 0),))

    assert statuses == [200] * 3 + [429] * 2


async def test_a9_two_mapped_clients_are_two():
    app = App(limit=1)

    statuses = await app.statuses(
        ("::ffff:1.2.3.4",), ("::FFFF:102:304",), ("1.2.3.4",), ("::ffff:1.2.3.5",)
    )

    assert statuses == [200, 429, 429, 200]


async def test_a11_a_thousand_addresses_of_one_64_are_one():
    app = App(limit=1)
    start = int(IPv6Address("2001:db8:1:2::"))
    rotated = [(str(IPv6Address(start + index * 0x1234_5678_9ABC)),) for index in range(1_000)]

    assert await app.statuses(*rotated) == [200] + [429] * 999
    assert await app.statuses(("2001:db8:1:3::",)) == [200]


async def test_a12_a_hundred_zones_are_one():
    app = App(limit=1)

    assert await app.statuses(*((f"fe80::1%eth{i}",) for i in range(100))) == [200] + [429] * 99


async def test_a13_rotated_ports_are_one():
    app = App(limit=1, **TRUSTED)

    statuses = await app.statuses(
        *((PROXY, xff(f"{CLIENT}:{port}")) for port in range(1, 40)), (PROXY, xff(CLIENT))
    )

    assert statuses == [200] + [429] * 39


async def test_a6_garbage_shares_what_the_proxy_pays():
    app = App(limit=1, **TRUSTED)

    statuses = await app.statuses(
        (PROXY, xff("garbage1")), (PROXY, xff("garbage2")), (PROXY, xff(CLIENT))
    )

    assert statuses == [200, 429, 200]


# --- construction -------------------------------------------------------------------------------

WRONG = [
    ("trusted_proxies", "10.0.0.0/33", {}),
    ("trusted_proxies", "10.0.0.1/8", {}),
    ("trusted_proxies", "2001:db8::1/32", {}),
    ("trusted_proxies", "::ffff:10.0.0.1/104", {}),
    ("trusted_proxies", "10.0.0/8", {}),
    ("trusted_proxies", "10.0.0.0/", {}),
    ("trusted_proxies", "10.0.0.0/8/8", {}),
    ("trusted_proxies", "010.0.0.0/8", {}),
    ("trusted_proxies", "10.0.0.0/-1", {}),
    ("trusted_proxies", "10.0.0.0-10.255.255.255", {}),
    ("trusted_proxies", "proxy.example", {}),
    ("trusted_proxies", "localhost", {}),
    ("trusted_proxies", "unix", {}),
    ("trusted_proxies", "*", {}),
    ("trusted_proxies", "", {}),
    ("trusted_proxies", "0.0.0.0/0", {}),
    ("trusted_proxies", "0.0.0.0/0.0.0.0", {}),
    ("trusted_proxies", "::/0", {}),
    ("trusted_proxies", "::ffff:0:0/96", {}),
    ("trusted_proxies", "::ffff:0.0.0.0/96", {}),
    ("trusted_hops", -1, {}),
    ("trusted_hops", 65, {}),
    ("trusted_hops", 1, {"proxy_header": "x-real-ip"}),
    ("trusted_hops", 2, {"proxy_header": "CF-Connecting-IP"}),
    ("ipv4_prefix", 0, {}),
    ("ipv4_prefix", 33, {}),
    ("ipv4_prefix", -1, {}),
    ("ipv6_prefix", 31, {}),
    ("ipv6_prefix", 0, {}),
    ("ipv6_prefix", 129, {}),
    ("proxy_header", "", {}),
    ("proxy_header", "x-real-ip\r\nx-evil: 1", {}),
    ("proxy_header", "x-real-ip\n", {}),
    ("proxy_header", "x-real-ip\r", {}),
    ("proxy_header", " x-real-ip", {}),
    ("proxy_header", "x-real-ip:", {}),
    ("proxy_header", "x real ip", {}),
    ("proxy_header", "x-réal-ip", {}),
    ("proxy_header", "x" * 65, {}),
    ("proxy_header", "x-forwarded-for, x-real-ip", {}),
]
# Values that pydantic refuses, or turns into what it wants, before the library sees them.
WRONG_TYPES = [
    ("trusted_proxies", 1, {}),
    ("trusted_proxies", None, {}),
    ("trusted_proxies", b"\x0a\x00\x00\x01", {}),
    ("trusted_hops", True, {}),
    ("trusted_hops", 1.0, {}),
    ("trusted_hops", "1", {}),
    ("trusted_hops", None, {}),
    ("ipv4_prefix", True, {}),
    ("ipv6_prefix", 64.0, {}),
    ("proxy_header", None, {}),
    ("proxy_header", 1, {}),
    ("proxy_header", b"x-real-ip", {}),
]


def as_argument(name, value):
    return [value] if name == "trusted_proxies" else value


@pytest.mark.parametrize(("name", "value", "others"), WRONG + WRONG_TYPES)
def test_a19_mistakes_are_refused_by_name_and_value(name, value, others):
    with pytest.raises(ConfigurationError) as refused:
        client_ip(**{name: as_argument(name, value)}, **others)

    assert name in str(refused.value)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(("name", "value", "others"), WRONG)
def test_a19_the_same_mistakes_in_settings(name, value, others):
    settings = ThrottleSettings(**{name: as_argument(name, value)}, **others)

    with pytest.raises(ConfigurationError) as refused:
        Throttle(FastAPI(), settings=settings)

    assert name in str(refused.value)
    assert repr(value) in str(refused.value)


def environment(monkeypatch, **settings):
    for name, value in settings.items():
        monkeypatch.setenv(f"FASTAPI_THROTTLE_{name.upper()}", str(value))


@pytest.mark.parametrize(
    ("name", "value", "others"), [each for each in WRONG if each[1] not in ("", "10.0.0.0/")]
)
def test_a19_the_same_mistakes_in_the_environment(name, value, others, monkeypatch):
    environment(monkeypatch, **{name: value}, **others)

    with pytest.raises(ConfigurationError) as refused:
        Throttle(FastAPI())

    assert name in str(refused.value)


@pytest.mark.parametrize("text", ["10.0.0.0/8,*", "10.0.0.0/8 , 0.0.0.0/0", '["10.0.0.1/8"]'])
def test_a19_one_wrong_network_in_a_list_is_enough(text, monkeypatch):
    environment(monkeypatch, trusted_proxies=text)

    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        Throttle(FastAPI())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("trusted_hops", "one"),
        ("trusted_hops", "true"),
        ("trusted_hops", ""),
        ("trusted_proxies", '["10.0.0.0/8"'),
        ("trusted_proxies", "[10]"),
        ("trust_unix_peer", "perhaps"),
        ("ipv6_prefix", "/64"),
    ],
)
def test_a19_what_has_the_wrong_type_in_the_environment_is_named(name, text, monkeypatch):
    environment(monkeypatch, **{name: text})

    with pytest.raises(ValidationError, match=name):
        Throttle(FastAPI())


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "::ffff:0:0/96"])
def test_a19_networks_of_everybody_need_the_unsafe_flag(network, monkeypatch):
    client_ip(trusted_proxies=[network], unsafe_trust_any_proxy=True)
    Throttle(
        FastAPI(),
        settings=ThrottleSettings(trusted_proxies=(network,), unsafe_trust_any_proxy=True),
    )
    environment(monkeypatch, trusted_proxies=network, unsafe_trust_any_proxy="true")
    Throttle(FastAPI())


@pytest.mark.parametrize("network", ["*", "10.0.0.1/8", "::ffff:10.0.0.1/104", "proxy.example"])
def test_a19_the_unsafe_flag_excuses_nothing_else(network):
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        client_ip(trusted_proxies=[network], unsafe_trust_any_proxy=True)


@pytest.mark.parametrize(
    "rules",
    [
        {"trusted_hops": 0},
        {"trusted_hops": 64},
        {"trusted_hops": 1, "proxy_header": "Forwarded"},
        {"trusted_hops": 0, "proxy_header": "x-real-ip"},
        {"ipv4_prefix": 1, "ipv6_prefix": 32},
        {"ipv4_prefix": 32, "ipv6_prefix": 128},
        {"trusted_proxies": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1", "::1"]},
        {"trusted_proxies": ["0.0.0.0/1", "128.0.0.0/1"]},
        {"proxy_header": "x" * 64},
    ],
)
def test_a19_bounds_are_accepted(rules):
    client_ip(**rules)
    Throttle(FastAPI(), settings=ThrottleSettings(**rules))


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.0/8",
        "192.0.2.0/24,10.0.0.0/8",
        " 192.0.2.0/24 , 10.0.0.0/8 ,",
        '["192.0.2.0/24", "10.0.0.0/8"]',
        ' ["10.0.0.0/8"]',
        "::ffff:10.0.0.0/104",
    ],
)
async def test_networks_come_from_the_environment(text, monkeypatch):
    environment(monkeypatch, trusted_proxies=text)
    app = App()

    assert await app.keys(PROXY, xff("6.6.6.6", CLIENT)) == await app.keys_of(FROM_CLIENT)


@pytest.mark.parametrize("text", ["", " ", ",", "[]"])
async def test_no_network_in_the_environment_is_no_trust(text, monkeypatch):
    environment(monkeypatch, trusted_proxies=text)
    app = App()

    assert await app.keys(PROXY, xff("6.6.6.6", CLIENT)) == await app.keys_of(FROM_PROXY)


async def test_everything_else_comes_from_the_environment(monkeypatch):
    environment(
        monkeypatch, trusted_hops=2, proxy_header="Forwarded", trust_unix_peer="true",
        ipv4_prefix=24, ipv6_prefix=48,
    )  # fmt: skip
    app = App()
    line = b"Forwarded: for=6.6.6.6, for=%s, for=10.0.0.2"

    assert await app.keys(None, line % b"203.0.113.9") == await app.keys_of("ip:203.0.113.0/24")
    assert await app.keys(None, line % b'"[2001:db8:1:2::3]"') == await app.keys_of(
        "ip:2001:db8:1::/48"
    )


async def test_arguments_win_over_the_environment(monkeypatch):
    environment(monkeypatch, trusted_proxies="10.0.0.0/8")
    app = App(trusted_proxies=())

    assert await app.keys(PROXY, xff("6.6.6.6")) == await app.keys_of(FROM_PROXY)


# --- whatever is sent ---------------------------------------------------------------------------

ALL_SETTINGS = [
    {},
    TRUSTED,
    FORWARDED,
    REAL_IP,
    UNIX,
    ANY,
    {**ANY, "proxy_header": "forwarded", "trust_unix_peer": True},
    {"trusted_hops": 1},
    {"trusted_hops": 2, "trust_unix_peer": True},
    {"trusted_hops": 64, "proxy_header": "forwarded", "trust_unix_peer": True},
    {**TRUSTED, "trusted_hops": 1, "ipv4_prefix": 1, "ipv6_prefix": 128},
]
PIECES = [
    b"for=", b"For=", b"by=", b'"', b"\\", b'\\"', b",", b";", b"=", b" ", b"\t", b"[", b"]", b":",
    b":80", b"%", b"%eth0", b"203.0.113.9", b"10.0.0.2", b"2001:db8::1", b"::ffff:", b"64:ff9b::",
    b"unknown", b"_x", b"\x00", b"\xff", b"\r\n", b"/8", b"1" * 70, b"\xd9\xa2", b".", b"-", b"(",
]  # fmt: skip
NAMES = [b"X-Forwarded-For", b"Forwarded", b"X-Real-IP", b"X_Forwarded_For", b"Via", b"\xff", b""]

values = st.one_of(
    st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)
)
lines = st.builds(lambda name, value: name + b": " + value, st.sampled_from(NAMES), values)
hosts = st.one_of(
    st.text(max_size=80),
    st.ip_addresses().map(str),
    st.lists(st.sampled_from(PIECES), max_size=6).map(lambda parts: b"".join(parts).decode("l1")),
    st.sampled_from([PROXY, "testclient", "", None, 0, 7, b"10.0.0.1", ["10.0.0.1"]]),
)
ports = st.one_of(st.integers(), st.text(max_size=5), st.none(), st.sampled_from([0, "0", -1, 1.5]))
peers = st.one_of(
    st.none(),
    st.just(()),
    st.tuples(hosts),
    st.tuples(hosts, ports),
    st.lists(ports, max_size=1).flatmap(lambda rest: hosts.map(lambda host: [host, *rest])),
)
APPS = [App(**settings) for settings in ALL_SETTINGS]


@given(app=st.sampled_from(APPS), peer=peers, lines=st.lists(lines, max_size=5))
@example(app=APPS[0], peer=("10.0.0.1",), lines=[xff("6.6.6.6")])
@example(app=APPS[0], peer=(b"10.0.0.1", 1), lines=[])
@example(app=APPS[0], peer=(7, 1), lines=[])
async def test_nothing_that_is_sent_raises_or_escapes_the_limit(app, peer, lines):
    assert len(await app.keys(peer, *lines)) == 1


@given(peer=peers, lines=st.lists(lines, max_size=5))
async def test_without_trust_no_header_changes_who_pays(peer, lines):
    app = APPS[0]

    assert await app.keys(peer, *lines) == await app.keys(peer)


@given(
    peer=st.sampled_from([CLIENT, "2001:db8::1", None, "testclient", ("", "0")]),
    lines=st.lists(lines, max_size=5),
    settings=st.sampled_from([TRUSTED, FORWARDED, REAL_IP, {**TRUSTED, "trusted_hops": 1}]),
)
async def test_from_an_untrusted_peer_no_header_changes_who_pays(peer, lines, settings):
    app = APPS[0]
    believer = APPS[ALL_SETTINGS.index(settings)] if settings in ALL_SETTINGS else App(**settings)

    assert await believer.keys(peer, *lines) == await app.keys(peer)


@given(
    left=values,
    earlier=st.lists(values, max_size=3),
    proxies=st.integers(0, 3),
    app=st.sampled_from([APPS[1], APPS[4]]),
)
@example(left=b'"', earlier=[], proxies=0, app=APPS[1])
async def test_what_stands_left_of_the_client_never_matters(left, earlier, proxies, app):
    lines = [xff(line) for line in earlier]

    paid = await app.keys(PROXY, *lines, xff(left, CLIENT, *chain(proxies)))

    assert paid == await app.keys_of(FROM_CLIENT)


@given(left=values, earlier=st.lists(values, max_size=3), hops=st.integers(1, 5))
async def test_what_stands_left_of_the_counted_hop_never_matters(left, earlier, hops):
    app = App(trusted_hops=hops)
    lines = [xff(line) for line in earlier]

    paid = await app.keys(PROXY, *lines, xff(left, CLIENT, *["garbage"] * (hops - 1)))

    assert paid == await app.keys_of(FROM_CLIENT)


@given(left=values, earlier=st.lists(values, max_size=3))
@example(left=b'for="', earlier=[])
async def test_a_forged_forwarded_names_nobody_but_the_client_or_the_proxy(left, earlier):
    app = APPS[2]
    before = [b"Forwarded: " + line for line in earlier]

    one_line = await app.keys(PROXY, *before, b"Forwarded: " + left + b", for=203.0.113.9")
    own_line = await app.keys(PROXY, *before, b"Forwarded: " + left, b"Forwarded: for=203.0.113.9")

    assert one_line in {await app.keys_of(FROM_CLIENT), await app.keys_of(FROM_PROXY)}
    assert own_line == await app.keys_of(FROM_CLIENT)


ENTRIES = st.one_of(
    st.tuples(st.just("trusted"), st.integers(0, 65_535).map(lambda n: chain(n + 1)[-1])),
    st.tuples(st.just("other"), st.ip_addresses(v=4).map(str).filter(lambda a: a[:3] != "10.")),
    st.tuples(st.just("garbage"), st.sampled_from(["unknown", "x", "1.2.3", '"', "10.0.0.1/8"])),
    st.tuples(st.just("empty"), st.sampled_from(["", " ", "\t "])),
)
CHAINS = st.lists(
    st.lists(ENTRIES, min_size=1, max_size=30), min_size=1, max_size=4
)  # One list per line: an empty line would be an empty entry.


def joined(chains):
    return [entry for line in chains for entry in line]


def walked(entries):
    """Say who pays, as the rules are written: from the right, entry by entry."""
    payer = PROXY
    for kind, address in reversed(entries[-64:]):
        if kind == "garbage":
            break
        if kind != "empty":
            payer = address
        if kind == "other":
            break
    return payer


def hopped(entries, hops):
    """Say who pays when hops are counted."""
    entries = entries[-64:]
    kind, address = entries[-hops] if len(entries) >= hops else ("absent", "")
    return address if kind in ("trusted", "other") else PROXY


@given(chains=CHAINS)
async def test_any_list_is_walked_from_the_right(chains):
    app = APPS[1]
    lines = [xff(*(address for _, address in line)) for line in chains]

    paid = await app.keys(PROXY, *lines)

    assert paid == await app.keys_of(f"ip:{walked(joined(chains))}")


@given(chains=CHAINS, hops=st.integers(1, 64))
async def test_any_list_is_counted_from_the_right(chains, hops):
    app = App(trusted_hops=hops)
    lines = [xff(*(address for _, address in line)) for line in chains]

    paid = await app.keys(PROXY, *lines)

    assert paid == await app.keys_of(f"ip:{hopped(joined(chains), hops)}")


OUTSIDE = st.ip_addresses(v=4).filter(lambda address: address.packed[0] != 10)


@given(address=OUTSIDE, zone=st.text("abc019.", min_size=1, max_size=8))
async def test_every_notation_of_an_ipv4_client_is_one(address: IPv4Address, zone):
    app = APPS[1]
    mapped = IPv6Address(0xFFFF << 32 | int(address))
    spellings = [str(mapped), str(mapped).upper(), mapped.exploded, f"::ffff:{address}"]
    spellings += [f"{spelling}%{zone}" for spelling in spellings]
    entries = [f"{address}:4711", *(f"[{each}]:80" for each in spellings)]
    expected = await app.keys_of(f"ip:{address}")

    for spelling in (str(address), *spellings):
        assert await app.keys(spelling) == expected
    for entry in (*spellings, *entries):
        assert await app.keys(PROXY, xff("6.6.6.6", entry)) == expected


OTHER_IPV6 = st.ip_addresses(v=6).filter(
    lambda address: address.ipv4_mapped is None and int(address) >> 32 != 0x64FF9B << 64
)


@given(address=OTHER_IPV6, prefix=st.integers(32, 128))
async def test_every_notation_of_an_ipv6_client_is_its_network(address: IPv6Address, prefix):
    app = App(ipv6_prefix=prefix, **TRUSTED)
    network = IPv6Network((address, prefix), strict=False)
    expected = await app.keys_of(f"ip:{network}")

    for entry in (str(address), address.exploded, address.exploded.upper(), f"{address}%eth0"):
        assert await app.keys(entry) == expected
        assert await app.keys(PROXY, xff("6.6.6.6", f"[{entry}]:80")) == expected


@pytest.mark.parametrize("settings", [{}, TRUSTED, FORWARDED, REAL_IP, {"trusted_hops": 64}])
@pytest.mark.parametrize(
    "value",
    [b"," * 60_000, b"6.6.6.6," * 7_500, b"for=6.6.6.6," * 5_000, b'for="' * 12_000, b" " * 60_000],
    ids=["commas", "entries", "elements", "quotes", "blanks"],
)
@pytest.mark.parametrize("port", [4711, 0])
def test_a18_a_long_header_is_never_taken_apart(settings, value, port):
    resolver = client_ip(**settings) if settings else client_ip()
    header = settings.get("proxy_header", "x-forwarded-for").encode()
    headers = [(header, value), (b"x-forwarded-for", value)]
    connection = HTTPConnection({"type": "http", "client": (PROXY, port), "headers": headers})
    resolver.identify(connection)

    tracemalloc.start()
    try:
        for _ in range(3):
            resolver.identify(connection)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # A copy or two of the lines, but no list of their tens of thousands of entries.
    assert peak < 3 * 2 * len(value)


@pytest.mark.parametrize("settings", [ANY, {**ANY, "proxy_header": "forwarded"}])
@pytest.mark.parametrize("split", [1, 16])
def test_a18_no_more_than_64_addresses_are_read(settings, split):
    header = settings.get("proxy_header", "x-forwarded-for")
    entry = b"for=6.6.6.6" if header == "forwarded" else b"6.6.6.6"
    lines = [b",".join([entry] * (640 // split))] * split
    headers = [(header.encode(), line) for line in lines]
    connection = HTTPConnection({"type": "http", "client": (PROXY, 1), "headers": headers})
    resolver = client_ip(**settings)
    read = 0

    def count(frame, event, _argument):
        nonlocal read
        read += event == "call" and frame.f_code is parse_address.__code__

    sys.setprofile(count)
    try:
        resolver.identify(connection)
    finally:
        sys.setprofile(None)

    assert 64 < read <= 66  # and the peer


# --- behind a server that rewrites the client -----------------------------------------------------


@pytest.mark.parametrize("server_trusts", ["127.0.0.1", "127.0.0.0/8", "127.0.0.1,10.0.0.0/8"])
@pytest.mark.parametrize("case", A4, ids=[case.name for case in A4])
async def test_a4_a_rewrite_by_uvicorn_changes_nothing(case, server_trusts):
    def wrap(app):
        return ProxyHeadersMiddleware(app, trusted_hosts=server_trusts)

    plain, rewritten = App(**case.settings), App(wrap=wrap, **case.settings)

    assert await plain.keys(case.peer, *case.lines) == await plain.keys_of(case.expected)
    assert await rewritten.keys(case.peer, *case.lines) == await plain.keys_of(case.expected)


@given(
    chains=st.lists(
        st.lists(ENTRIES.filter(lambda entry: entry[0] != "garbage"), min_size=1, max_size=8),
        min_size=1,
        max_size=4,
    )
)
async def test_a4_uvicorn_and_the_walk_agree_about_any_readable_list(chains):
    def wrap(app):
        return ProxyHeadersMiddleware(app, trusted_hosts="127.0.0.1,10.0.0.0/8")

    plain, rewritten = App(**LOOPBACK), App(wrap=wrap, **LOOPBACK)
    lines = [xff(*(address for _, address in line)) for line in chains]

    assert await plain.keys("127.0.0.1", *lines) == await rewritten.keys("127.0.0.1", *lines)


async def test_a5_hops_stay_right_where_the_server_believes_everybody():
    def wrap(app):
        return ProxyHeadersMiddleware(app, trusted_hosts="*")

    app = App(wrap=wrap, trusted_hops=1)
    spoofed = [
        await app.keys("127.0.0.1", xff(f"6.6.6.{index}"), xff(CLIENT)) for index in range(5)
    ]

    assert set(spoofed) == {await app.keys_of(FROM_CLIENT)}


async def test_a7_garbage_that_a_server_took_for_the_client_is_one_identity():
    def wrap(app):
        return ProxyHeadersMiddleware(app, trusted_hosts="*")

    app = App(limit=1, wrap=wrap)

    statuses = await app.statuses(
        ("127.0.0.1", xff("<script>")), ("127.0.0.1", xff("garbage")), ("testclient",)
    )

    assert statuses == [200, 429, 429]


# --- warnings -----------------------------------------------------------------------------------

UNTRUSTED_HEADER = "X-Forwarded-For arrives but no proxy is trusted"
UNTRUSTED_PEERS = "None of the last 100 requests came from a trusted proxy"
LEFTMOST = "The server took the leftmost entry of X-Forwarded-For for the client"


async def warnings_after(app, caplog, *requests):
    """Send requests; return the beginnings of the warnings."""
    caplog.clear()
    for peer, *lines in requests:
        await app.get(peer, *lines)
    told = [record for record in caplog.records if record.name == "fastapi_throttle"]
    assert {record.levelname for record in told} <= {"WARNING"}
    return [record.getMessage().partition(":")[0] for record in told]


@pytest.mark.parametrize("peer", [PROXY, "2001:db8::1", None, ("", "0"), ("", 0), (PROXY,)])
async def test_a_header_without_trust_is_told_once(peer, caplog):
    app = App()

    assert await warnings_after(app, caplog, *[(peer, xff(CLIENT))] * 3) == [UNTRUSTED_HEADER]
    assert await warnings_after(app, caplog, (peer, xff("a", "b")), (PROXY, xff(""))) == []


@pytest.mark.parametrize(
    ("settings", "request_"),
    [
        ({}, (PROXY,)),
        ({}, (PROXY, b"Forwarded: for=1.1.1.1")),
        ({}, (PROXY, b"X-Real-IP: 1.1.1.1")),
        ({}, ((CLIENT, 0), xff(CLIENT))),
        ({}, ((CLIENT, "0"), xff("6.6.6.6", CLIENT))),
        (TRUSTED, (PROXY, xff(CLIENT))),
        (TRUSTED, (CLIENT, xff("6.6.6.6"))),
        ({"trusted_hops": 1}, (PROXY, xff(CLIENT))),
    ],
)
async def test_no_such_warning_where_all_is_well(settings, request_, caplog):
    assert await warnings_after(App(**settings), caplog, *[request_] * 3) == []


async def test_no_warning_where_uvicorn_rewrites_as_it_should(caplog):
    def wrap(app):
        return ProxyHeadersMiddleware(app, trusted_hosts="127.0.0.1")

    requests = [("127.0.0.1", xff("6.6.6.6", CLIENT))] * 150

    assert await warnings_after(App(wrap=wrap), caplog, *requests) == []
    assert await warnings_after(App(wrap=wrap, **LOOPBACK), caplog, *requests) == []
    assert await warnings_after(App(wrap=wrap, trusted_hops=1), caplog, *requests) == []


@pytest.mark.parametrize("peer", [CLIENT, None, "testclient"])
async def test_a_hundred_untrusted_peers_in_a_row_are_told_once(peer, caplog):
    app = App(**TRUSTED)

    assert await warnings_after(app, caplog, *[(peer, xff(CLIENT))] * 99) == []
    assert await warnings_after(app, caplog, (peer,)) == [UNTRUSTED_PEERS]
    assert await warnings_after(app, caplog, *[(peer,)] * 250) == []
    assert await warnings_after(app, caplog, (PROXY,), *[(peer,)] * 250) == []


async def test_one_trusted_peer_among_a_hundred_is_enough(caplog):
    app = App(**TRUSTED)
    hundred = [(CLIENT,)] * 99 + [(PROXY, xff(CLIENT))]

    assert await warnings_after(app, caplog, *hundred * 3) == []


async def test_hops_that_no_unix_peer_may_use_are_told(caplog):
    app = App(trusted_hops=1)

    assert await warnings_after(app, caplog, *[(None, xff(CLIENT))] * 120) == [UNTRUSTED_PEERS]


async def test_where_nothing_is_configured_peers_are_not_counted(caplog):
    assert await warnings_after(App(), caplog, *[(CLIENT,)] * 250) == []


@pytest.mark.parametrize("settings", [{}, LOOPBACK])
async def test_a5_a_server_that_believes_everybody_is_told_once(settings, caplog):
    def wrap(app):
        return ProxyHeadersMiddleware(app, trusted_hosts="*")

    app = App(wrap=wrap, **settings)
    requests = [
        (("127.0.0.1", 4711), xff("6.6.6.6", CLIENT)),
        (("127.0.0.1", 4711), xff("7.7.7.7"), xff(CLIENT)),
    ]

    assert await warnings_after(app, caplog, *requests * 3) == [LEFTMOST]


@pytest.mark.parametrize(
    ("peer", "lines"),
    [
        (("6.6.6.6", "0"), [xff("6.6.6.6", CLIENT)]),
        (["6.6.6.6", 0], [xff("6.6.6.6"), xff(CLIENT)]),
        (("6.6.6.6", 0), [xff(" 6.6.6.6 ", CLIENT)]),
        (("2001:db8::1", 0), [xff("2001:db8::1", CLIENT)]),
    ],
)
async def test_a5_however_the_server_says_so(peer, lines, caplog):
    assert await warnings_after(App(), caplog, (peer, *lines)) == [LEFTMOST]


@pytest.mark.parametrize(
    ("peer", "lines"),
    [
        (("6.6.6.6", 0), [xff("6.6.6.6")]),
        ((CLIENT, 0), [xff("6.6.6.6", CLIENT)]),
        (("6.6.6.6", 0), []),
        (("6.6.6.6", 0), [b"Forwarded: for=6.6.6.6, for=1.1.1.1"]),
    ],
)
async def test_a5_only_the_leftmost_of_several_is_a_sign(peer, lines, caplog):
    assert await warnings_after(App(), caplog, (peer, *lines)) == []


@pytest.mark.parametrize("peer", [None, ("", "0"), ("", 0), [""]])
async def test_a5_an_empty_host_is_a_unix_peer_and_no_leftmost_entry(peer, caplog):
    requests = [(peer, xff("", CLIENT))] * 3

    assert await warnings_after(App(), caplog, *requests) == [UNTRUSTED_HEADER]
    assert await warnings_after(App(**UNIX), caplog, *requests) == []


async def test_a5_a_connection_whose_port_is_known_was_not_rewritten(caplog):
    requests = [(("6.6.6.6", 4711), xff("6.6.6.6", CLIENT))] * 3

    assert await warnings_after(App(**TRUSTED), caplog, *requests) == []


async def test_two_apps_are_told_apart(caplog):
    request = (PROXY, xff(CLIENT))

    assert await warnings_after(App(), caplog, request) == [UNTRUSTED_HEADER]
    assert await warnings_after(App(), caplog, request) == [UNTRUSTED_HEADER]


async def test_two_apps_that_share_a_resolver_are_told_once_each(caplog):
    key = client_ip(**TRUSTED)
    apps = [App(key=key), App(key=key)]

    told = [await warnings_after(app, caplog, *[(CLIENT,)] * 60) for app in apps * 4]

    assert told == [[], [], [UNTRUSTED_PEERS], [UNTRUSTED_PEERS], [], [], [], []]


async def test_no_warning_repeats_what_was_sent(caplog):
    sent = "sent-by-a-caller"

    app = App(**LOOPBACK)
    told = [
        *await warnings_after(App(), caplog, (PROXY, xff(sent))),
        *await warnings_after(app, caplog, ((sent, 0), xff(sent, "x"))),
    ]

    assert told == [UNTRUSTED_HEADER, LEFTMOST]
    assert sent not in caplog.text


def test_no_long_host_is_kept():
    """Servers may take the text of a header for the client: a caller sends another each time."""
    rules = AddressRules()

    def ask(number):
        scope = {"type": "http", "client": (f"{number} {'x' * 100_000}", 1), "headers": []}
        assert rules.identify(scope) == Identity("peer", b"invalid")

    ask(0)
    tracemalloc.start()
    try:
        for number in range(1, 20):
            ask(number)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 100_000
