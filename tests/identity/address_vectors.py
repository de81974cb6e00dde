"""Client addresses: who connects, what they send, who is trusted, and who must pay.

Every id starts with what the case is about: a row ``A...`` of the attacks that limiters met, or a
step ``C...`` of the algorithm.
"""

from typing import Any, NamedTuple

Peer = tuple[Any, ...] | list[Any] | None


class Case(NamedTuple):
    """One request and the identity it must get.

    Attributes:
        name: What it is about.
        peer: ``scope["client"]``.
        lines: Header lines as they are on the wire, in wire order.
        settings: Of the `Throttle`.
        expected: The identity as text.
    """

    name: str
    peer: Peer
    lines: tuple[bytes, ...]
    settings: dict[str, Any]
    expected: str


PROXY = "10.0.0.1"
CLIENT = "203.0.113.9"
FROM_CLIENT, FROM_PROXY = f"ip:{CLIENT}", f"ip:{PROXY}"
TRUSTED = {"trusted_proxies": ("10.0.0.0/8",)}
FORWARDED = {**TRUSTED, "proxy_header": "forwarded"}
REAL_IP = {**TRUSTED, "proxy_header": "x-real-ip"}
UNIX = {**TRUSTED, "trust_unix_peer": True}


def _peer(peer: Peer | str) -> Peer:
    return (peer, 4711) if isinstance(peer, str) else peer


def direct(name: str, peer: Peer | str, expected: str, *lines: bytes, **settings: Any) -> Case:
    """A request to an app that trusts nobody, unless *settings* say so."""
    return Case(name, _peer(peer), lines, settings, expected)


def proxied(
    name: str, expected: str, *lines: bytes, peer: Peer | str = PROXY, **settings: Any
) -> Case:
    """A request from a trusted proxy that writes X-Forwarded-For."""
    return Case(name, _peer(peer), lines, TRUSTED | settings, expected)


def forwarded(name: str, expected: str, *values: bytes, **settings: Any) -> Case:
    """A request from a trusted proxy that writes Forwarded: one line per value."""
    lines = tuple(b"Forwarded: " + value for value in values)
    return Case(name, _peer(PROXY), lines, FORWARDED | settings, expected)


def real_ip(name: str, expected: str, *lines: bytes, **settings: Any) -> Case:
    """A request from a trusted proxy that writes X-Real-IP."""
    return Case(name, _peer(PROXY), lines, REAL_IP | settings, expected)


def counted(
    name: str, hops: int, expected: str, *lines: bytes, peer: Peer | str = PROXY, **settings: Any
) -> Case:
    """A request to an app that counts hops."""
    return Case(name, _peer(peer), lines, {"trusted_hops": hops, **settings}, expected)


def xff(*entries: str | bytes) -> bytes:
    """One line of X-Forwarded-For."""
    encoded = [entry if isinstance(entry, bytes) else entry.encode() for entry in entries]
    return b"X-Forwarded-For: " + b", ".join(encoded)


def chain(count: int) -> list[str]:
    """Distinct addresses of trusted proxies: 10.1.0.0, 10.1.0.1, ..."""
    return [f"10.1.{index // 256}.{index % 256}" for index in range(count)]


_A1 = [
    direct("A1 no trust, no header", CLIENT, FROM_CLIENT),
    direct("A1 spoofed header from anybody", CLIENT, FROM_CLIENT, xff("6.6.6.6")),
    direct("A1 spoofed list from anybody", CLIENT, FROM_CLIENT, xff("6.6.6.6", "7.7.7.7")),
    direct("A1 spoofed lines from anybody", CLIENT, FROM_CLIENT, xff("6.6.6.6"), xff("7.7.7.7")),
    direct("A1 loopback is not trusted by itself", "127.0.0.1", "ip:127.0.0.1", xff("6.6.6.6")),
    direct("A1 private networks are not", "192.168.0.1", "ip:192.168.0.1", xff("6.6.6.6")),
    direct("A1 ::1 is not", "::1", "ip:::/64", xff("6.6.6.6")),
    direct("A1 a header name alone is no trust", PROXY, FROM_PROXY, b"X-Real-IP: 6.6.6.6",
           proxy_header="x-real-ip"),
    direct("A1 forwarded alone is no trust", PROXY, FROM_PROXY, b"Forwarded: for=6.6.6.6",
           proxy_header="forwarded"),
    proxied("A1 peer outside the trusted network", FROM_CLIENT, xff("6.6.6.6"), peer=CLIENT),
    proxied("A1 peer below the network", "ip:9.255.255.255", xff("6.6.6.6"), peer="9.255.255.255"),
    proxied("A1 peer above the network", "ip:11.0.0.0", xff("6.6.6.6"), peer="11.0.0.0"),
    proxied("A1 loopback outside of the network", "ip:127.0.0.1", xff("6.6.6.6"),
            peer="127.0.0.1"),
    proxied("A1 first address of the network", FROM_CLIENT, xff(CLIENT), peer="10.0.0.0"),
    proxied("A1 last address of the network", FROM_CLIENT, xff(CLIENT), peer="10.255.255.255"),
    proxied("A1 IPv6 peer outside of an IPv4 network", "ip:2001:db8:1:2::/64", xff("6.6.6.6"),
            peer="2001:db8:1:2::1"),
    proxied("A1 untrusted peer that sends its own address", FROM_CLIENT, xff(PROXY), peer=CLIENT),
]  # fmt: skip

_A2 = [
    proxied("A2 the proxy appended to nothing", FROM_CLIENT, xff(CLIENT)),
    proxied("A2 one spoofed entry", FROM_CLIENT, xff("1.1.1.1", CLIENT)),
    proxied("A2 another spoofed entry", FROM_CLIENT, xff("1.1.1.2", CLIENT)),
    proxied("A2 many spoofed entries", FROM_CLIENT, xff("1.1.1.1", "2.2.2.2", "3.3.3.3", CLIENT)),
    proxied("A2 spoofed entry of a trusted network", FROM_CLIENT, xff("10.9.9.9", CLIENT)),
    proxied("A2 spoofed garbage", FROM_CLIENT, xff("<script>", CLIENT)),
    proxied("A2 spoofed chain of proxies", FROM_CLIENT, xff("6.6.6.6", "10.0.0.2", CLIENT)),
    proxied("A2 second proxy", FROM_CLIENT, xff("6.6.6.6", CLIENT, "10.0.0.2")),
    proxied("A2 third proxy", FROM_CLIENT, xff("6.6.6.6", CLIENT, "10.0.0.3", "10.0.0.2")),
    proxied("A2 the client's own address again, left", FROM_CLIENT, xff(CLIENT, CLIENT)),
    proxied("A2 two networks", FROM_CLIENT, xff("6.6.6.6", CLIENT, "192.0.2.7"),
            trusted_proxies=("10.0.0.0/8", "192.0.2.0/24")),
    proxied("A2 a network of one address", FROM_CLIENT, xff("6.6.6.6", CLIENT, "192.0.2.7"),
            trusted_proxies=(PROXY, "192.0.2.7")),
    proxied("A2 its neighbour is not trusted", "ip:192.0.2.8", xff(CLIENT, "192.0.2.8"),
            trusted_proxies=(PROXY, "192.0.2.7")),
    proxied("A2 IPv6 proxies", FROM_CLIENT, xff("6.6.6.6", CLIENT, "2001:db8:f::2"),
            peer="2001:db8:f::1", trusted_proxies=("2001:db8:f::/48",)),
    proxied("A2 only the address counts for trust, not its /64", "ip:2001:db8:f::/64",
            xff(CLIENT, "2001:db8:f::2"), peer="2001:db8:f::1",
            trusted_proxies=("2001:db8:f::1/128",)),
    proxied("A2 all trusted: the leftmost", "ip:10.0.0.3", xff("10.0.0.3", "10.0.0.2")),
    proxied("A2 a trusted proxy that sends no header", FROM_PROXY),
    proxied("A2 tabs and blanks around", FROM_CLIENT, xff("6.6.6.6", f" \t{CLIENT}\t ")),
    proxied("A2 no blanks at all", FROM_CLIENT, b"X-Forwarded-For:6.6.6.6," + CLIENT.encode()),
]  # fmt: skip

_A3 = [
    proxied("A3 two lines, spoofed first", FROM_CLIENT, xff("6.6.6.6"), xff(CLIENT)),
    proxied("A3 two lines, lists", FROM_CLIENT, xff("6.6.6.6", "7.7.7.7"), xff("8.8.8.8", CLIENT)),
    proxied("A3 the client in the first line", FROM_CLIENT, xff("6.6.6.6", CLIENT),
            xff("10.0.0.2")),
    proxied("A3 three lines", FROM_CLIENT, xff("6.6.6.6"), xff(CLIENT), xff("10.0.0.2")),
    proxied("A3 the last line is empty", FROM_CLIENT, xff("6.6.6.6"), xff(CLIENT), xff("")),
    proxied("A3 the first line is empty", FROM_CLIENT, xff(""), xff(CLIENT)),
    proxied("A3 names in any case", FROM_CLIENT, b"x-forwarded-for: 6.6.6.6",
            b"X-FORWARDED-FOR: " + CLIENT.encode()),
    proxied("A3 other lines in between", FROM_CLIENT, xff("6.6.6.6"), b"Accept: 1.1.1.1",
            xff(CLIENT), b"Via: 2.2.2.2"),
    proxied("A3 a line that ends with a comma", FROM_CLIENT, b"X-Forwarded-For: 6.6.6.6,",
            xff(CLIENT)),
    proxied("A3 garbage in the last line hides the first", FROM_PROXY, xff(CLIENT), xff("x")),
    counted("A3 hops over two lines", 2, FROM_CLIENT, xff("6.6.6.6", CLIENT), xff("10.0.0.2")),
]  # fmt: skip

LOOPBACK = {"trusted_proxies": ("127.0.0.0/8", "10.0.0.0/8")}

# A proxy on this machine, in front of a server that may rewrite the client by itself.
A4 = [
    proxied("A4 one entry", FROM_CLIENT, xff(CLIENT), peer="127.0.0.1", **LOOPBACK),
    proxied("A4 spoofed entry", FROM_CLIENT, xff("6.6.6.6", CLIENT), peer="127.0.0.1", **LOOPBACK),
    proxied("A4 spoofed line", FROM_CLIENT, xff("6.6.6.6"), xff(CLIENT), peer="127.0.0.1",
            **LOOPBACK),
    proxied("A4 spoofed trusted entry", FROM_CLIENT, xff("10.0.0.9", CLIENT), peer="127.0.0.1",
            **LOOPBACK),
    proxied("A4 spoofed garbage", FROM_CLIENT, xff("unknown", CLIENT), peer="127.0.0.1",
            **LOOPBACK),
    proxied("A4 a proxy in front", FROM_CLIENT, xff("6.6.6.6", CLIENT, "10.0.0.2"),
            peer="127.0.0.1", **LOOPBACK),
    proxied("A4 IPv6 client", "ip:2001:db8:1:2::/64", xff("6.6.6.6", "2001:db8:1:2::3"),
            peer="127.0.0.1", **LOOPBACK),
    proxied("A4 mapped client", FROM_CLIENT, xff("6.6.6.6", f"::ffff:{CLIENT}"),
            peer="127.0.0.1", **LOOPBACK),
    proxied("A4 client with a port", FROM_CLIENT, xff("6.6.6.6", f"{CLIENT}:4711"),
            peer="127.0.0.1", **LOOPBACK),
    proxied("A4 IPv6 client with a port", "ip:2001:db8:1:2::/64",
            xff("6.6.6.6", "[2001:db8:1:2::3]:4711"), peer="127.0.0.1", **LOOPBACK),
    proxied("A4 the proxy itself", "ip:127.0.0.9", xff("127.0.0.9"), peer="127.0.0.1",
            **LOOPBACK),
    proxied("A4 proxies only", "ip:10.0.0.3", xff("10.0.0.3", "10.0.0.2"), peer="127.0.0.1",
            **LOOPBACK),
    proxied("A4 no header", "ip:127.0.0.1", peer="127.0.0.1", **LOOPBACK),
    proxied("A4 empty header", "ip:127.0.0.1", xff(""), peer="127.0.0.1", **LOOPBACK),
    proxied("A4 a client that connects directly", FROM_CLIENT, xff("6.6.6.6"), peer=CLIENT,
            **LOOPBACK),
]  # fmt: skip

_A4_A5 = [
    proxied("A4 rewritten by the server", FROM_CLIENT, xff("6.6.6.6", CLIENT), peer=(CLIENT, 0)),
    proxied("A4 rewritten to a proxy in front", FROM_CLIENT, xff(CLIENT, "10.0.0.2"),
            peer=("10.0.0.2", 0)),
    counted("A4 hops after a rewrite", 1, FROM_CLIENT, xff("6.6.6.6", CLIENT), peer=(CLIENT, 0)),
    counted("A5 hops undo a rewrite to the leftmost", 1, FROM_CLIENT, xff("6.6.6.6", CLIENT),
            peer=("6.6.6.6", 0)),
    counted("A5 hops undo it behind two proxies", 2, FROM_CLIENT,
            xff("6.6.6.6", CLIENT, "10.0.0.2"), peer=("6.6.6.6", 0)),
    proxied("A5 networks cannot undo it", "ip:6.6.6.6", xff("6.6.6.6", CLIENT),
            peer=("6.6.6.6", 0)),
]  # fmt: skip

_GARBAGE = {
    "hostname": b"client.example",
    "localhost": b"localhost",
    "unknown": b"unknown",
    "obfuscated": b"_hidden",
    "dash": b"-",
    "script": b"<script>alert(1)</script>",
    "UTF-8": "203.0.113.9é".encode(),
    "latin-1": b"\xff\xfe203.0.113.9",
    "no-break space": b"203.0.113.9\xa0",
    "vertical tab": b"\x0b203.0.113.9",
    "control": b"203.0.113.9\x01",
    "two addresses": b"203.0.113.9 6.6.6.6",
    "semicolon": b"203.0.113.9;6.6.6.6",
    "URL": b"http://203.0.113.9",
    "for=": b"for=203.0.113.9",
    "brackets without an end": b"[2001:db8::1",
    "brackets without a start": b"2001:db8::1]",
    "empty brackets": b"[]",
    "star": b"*",
}

_A6 = [
    *(proxied(f"A6 {name}", FROM_PROXY, xff("6.6.6.6", entry)) for name, entry in _GARBAGE.items()),
    *(
        counted(f"A6 hops, {name}", 1, FROM_PROXY, xff("6.6.6.6", entry))
        for name, entry in _GARBAGE.items()
    ),
    proxied("A6 garbage before a proxy: the last hop that was understood", "ip:10.0.0.2",
            xff(CLIENT, "garbage", "10.0.0.2")),
    proxied("A6 garbage before two proxies", "ip:10.0.0.3",
            xff(CLIENT, "unknown", "10.0.0.3", "10.0.0.2")),
    proxied("A6 longest entry", "ip:fe80::/64", xff("fe80::1%" + "z" * 56)),
    proxied("A6 too long an entry", FROM_PROXY, xff("fe80::1%" + "z" * 57)),
    proxied("A6 longest entry in brackets", "ip:fe80::/64", xff("[fe80::1%" + "z" * 51 + "]:80")),
    proxied("A6 too long in brackets", FROM_PROXY, xff("[fe80::1%" + "z" * 52 + "]:80")),
    proxied("A6 blanks around are no part of the length", "ip:fe80::/64",
            xff(" " * 70 + "fe80::1%" + "z" * 56)),
]  # fmt: skip

_A7 = [
    direct("A7 testclient", ("testclient", 50000), "peer:invalid"),
    direct("A7 script", ("<script>", 0), "peer:invalid"),
    direct("A7 unknown", ("unknown", 0), "peer:invalid"),
    direct("A7 hostname", ("client.example", 1), "peer:invalid"),
    direct("A7 blanks", ("  ", 1), "peer:invalid"),
    direct("A7 address and port in one", ("203.0.113.9:80", 1), "peer:invalid"),
    direct("A7 star", ("*", 1), "peer:invalid"),
    direct("A7 leading zeros", ("203.000.113.009", 1), "peer:invalid"),
    direct("A7 lone surrogate", ("\udcff", 1), "peer:invalid"),
    direct("A7 very long", ("1" * 70_000, 1), "peer:invalid"),
    direct("A7 path of a socket", ("/run/app.sock", 0), "peer:invalid"),
    proxied("A7 never trusted", "peer:invalid", xff(CLIENT), peer="testclient"),
    counted("A7 never trusted with hops", 1, "peer:invalid", xff(CLIENT), peer="testclient"),
    proxied("A7 not even where everything is", "peer:invalid", xff(CLIENT), peer="testclient",
            trusted_proxies=("0.0.0.0/0", "::/0"), unsafe_trust_any_proxy=True,
            trust_unix_peer=True),
    counted("A7 not with unix peers either", 1, "peer:invalid", xff(CLIENT), peer="testclient",
            trust_unix_peer=True),
]  # fmt: skip

_A8 = [
    direct("A8 no peer", None, "peer:unix"),
    direct("A8 empty host", ("", 0), "peer:unix"),
    direct("A8 empty host, text port", ("", "0"), "peer:unix"),
    direct("A8 empty host in a list", ["", 0], "peer:unix"),
    direct("A8 empty host, no port", ("", None), "peer:unix"),
    direct("A8 empty list", [], "peer:unix"),
    direct("A8 no peer, spoofed header", None, "peer:unix", xff("6.6.6.6")),
    direct("A8 text port", (CLIENT, "4711"), FROM_CLIENT),
    direct("A8 list", [CLIENT, 4711], FROM_CLIENT),
    direct("A8 list, text port", [CLIENT, "4711"], FROM_CLIENT),
    direct("A8 no port", (CLIENT, None), FROM_CLIENT),
    direct("A8 host alone", (CLIENT,), FROM_CLIENT),
    proxied("A8 text port of a proxy", FROM_CLIENT, xff("6.6.6.6", CLIENT), peer=[PROXY, "1"]),
    proxied("A8 unix peers are not trusted with the network", "peer:unix", xff(CLIENT), peer=None),
    counted("A8 nor with hops", 1, "peer:unix", xff(CLIENT), peer=None),
    counted("A8 nor when the host is empty", 1, "peer:unix", xff(CLIENT), peer=("", "0")),
    proxied("A8 trusted unix peer", FROM_CLIENT, xff("6.6.6.6", CLIENT), peer=None, **UNIX),
    proxied("A8 trusted unix peer, empty host", FROM_CLIENT, xff("6.6.6.6", CLIENT),
            peer=("", "0"), **UNIX),
    proxied("A8 trusted unix peer, proxy in front", FROM_CLIENT, xff("6.6.6.6", CLIENT, PROXY),
            peer=None, **UNIX),
    proxied("A8 trusted unix peer, proxies only", FROM_PROXY, xff(PROXY, "10.0.0.2"), peer=None,
            **UNIX),
    proxied("A8 trusted unix peer, no header", "peer:unix", peer=None, **UNIX),
    proxied("A8 trusted unix peer, garbage", "peer:unix", xff(CLIENT, "unknown"), peer=None,
            **UNIX),
    counted("A8 hops of a trusted unix peer", 1, FROM_CLIENT, xff("6.6.6.6", CLIENT), peer=None,
            trust_unix_peer=True),
    counted("A8 fewer hops than a trusted unix peer needs", 2, "peer:unix", xff(CLIENT), peer=None,
            trust_unix_peer=True),
    counted("A8 hops and networks, trusted unix peer", 1, FROM_CLIENT, xff("6.6.6.6", CLIENT),
            peer=None, **UNIX),
    direct("A8 trust in unix peers alone believes no header", None, "peer:unix", xff(CLIENT),
           trust_unix_peer=True),
]  # fmt: skip

_MAPPED = {
    "dotted": "::ffff:203.0.113.9",
    "upper case": "::FFFF:203.0.113.9",
    "hex": "::ffff:cb00:7109",
    "long": "0000:0000:0000:0000:0000:ffff:cb00:7109",
    "half long": "0:0:0:0:0:FFFF:203.0.113.9",
    "zone": "::ffff:203.0.113.9%eth0",
    "NAT64": "64:ff9b::203.0.113.9",
    "NAT64 hex": "0064:FF9B::CB00:7109",
}

_A9 = [
    *(direct(f"A9 {name} mapped peer", peer, FROM_CLIENT) for name, peer in _MAPPED.items()),
    *(
        proxied(f"A9 {name} mapped entry", FROM_CLIENT, xff("6.6.6.6", entry))
        for name, entry in _MAPPED.items()
    ),
    direct("A9 another mapped client", "::ffff:203.0.113.10", "ip:203.0.113.10"),
    proxied("A9 another mapped entry", "ip:203.0.113.10", xff("6.6.6.6", "::ffff:203.0.113.10")),
    proxied("A9 mapped in brackets with a port", FROM_CLIENT,
            xff("6.6.6.6", "[::ffff:203.0.113.9]:4711")),
    proxied("A9 mapped trusted peer", FROM_CLIENT, xff("6.6.6.6", CLIENT), peer="::ffff:10.0.0.1"),
    proxied("A9 hex mapped trusted peer", FROM_CLIENT, xff("6.6.6.6", CLIENT),
            peer="::ffff:a00:1"),
    proxied("A9 NAT64 trusted peer", FROM_CLIENT, xff("6.6.6.6", CLIENT), peer="64:ff9b::a00:1"),
    proxied("A9 mapped trusted entry", FROM_CLIENT, xff("6.6.6.6", CLIENT, "::FFFF:10.0.0.2")),
    proxied("A9 mapped untrusted peer", FROM_CLIENT, xff("6.6.6.6"), peer=f"::ffff:{CLIENT}"),
    proxied("A9 mapped network", FROM_CLIENT, xff("6.6.6.6", CLIENT, "::ffff:10.0.0.2"),
            trusted_proxies=("::ffff:10.0.0.0/104",)),
    proxied("A9 mapped network ends where it says", "ip:11.0.0.0", xff("6.6.6.6", "11.0.0.0"),
            trusted_proxies=("::ffff:a00:0/104",)),
    proxied("A9 mapped network of one address", FROM_CLIENT, xff("6.6.6.6", CLIENT),
            trusted_proxies=("::ffff:10.0.0.1",)),
    direct("A9 one bit beside the mapped range", "::fffe:203.0.113.9", "ip:::/64"),
    direct("A9 translated addresses are not unwrapped", "::ffff:0:203.0.113.9", "ip:::/64"),
    direct("A9 local NAT64 is not unwrapped", "64:ff9b:1::203.0.113.9", "ip:64:ff9b:1::/64"),
]  # fmt: skip

_A10_A11_A12 = [
    direct("A10 dotted tail of an IPv6 address", "2001:db8:1234:5678::1.2.3.4",
           "ip:2001:db8:1234:5678::/64"),
    direct("A10 v4-compatible stays IPv6", "::1.2.3.4", "ip:::/64"),
    direct("A10 6to4 stays IPv6", "2002:cb00:7109::1", "ip:2002:cb00:7109::/64"),
    direct("A10 Teredo stays IPv6", "2001:0:cb00:7109::1", "ip:2001:0:cb00:7109::/64"),
    direct("A11 first of a /64", "2001:db8:1:2::", "ip:2001:db8:1:2::/64"),
    direct("A11 last of a /64", "2001:db8:1:2:ffff:ffff:ffff:ffff", "ip:2001:db8:1:2::/64"),
    direct("A11 long and upper case", "2001:0DB8:0001:0002:0000:0000:0000:000A",
           "ip:2001:db8:1:2::/64"),
    direct("A11 neighbour", "2001:db8:1:3::", "ip:2001:db8:1:3::/64"),
    proxied("A11 entry", "ip:2001:db8:1:2::/64", xff("6.6.6.6", "2001:db8:1:2:3:4:5:6")),
    direct("A11 /32", "2001:db8:1:2::1", "ip:2001:db8::/32", ipv6_prefix=32),
    direct("A11 /48", "2001:db8:1:2::1", "ip:2001:db8:1::/48", ipv6_prefix=48),
    direct("A11 /56", "2001:db8:1:2ff::1", "ip:2001:db8:1:200::/56", ipv6_prefix=56),
    direct("A11 /128", "2001:db8:1:2::1", "ip:2001:db8:1:2::1/128", ipv6_prefix=128),
    direct("A11 IPv6 prefix leaves IPv4 alone", CLIENT, FROM_CLIENT, ipv6_prefix=32),
    direct("A11 IPv4 /24", CLIENT, "ip:203.0.113.0/24", ipv4_prefix=24),
    direct("A11 IPv4 /1", CLIENT, "ip:128.0.0.0/1", ipv4_prefix=1),
    direct("A11 IPv4 /24 of a mapped address", f"::ffff:{CLIENT}", "ip:203.0.113.0/24",
           ipv4_prefix=24),
    direct("A11 IPv4 prefix leaves IPv6 alone", "2001:db8:1:2::1", "ip:2001:db8:1:2::/64",
           ipv4_prefix=24),
    proxied("A11 prefixes of an entry", "ip:203.0.113.0/24", xff("6.6.6.6", CLIENT),
            ipv4_prefix=24),
    direct("A12 zone", "fe80::1%eth0", "ip:fe80::/64"),
    direct("A12 another zone", "fe80::1%1", "ip:fe80::/64"),
    direct("A12 zone with any text", "fe80::1%a b%c", "ip:fe80::/64"),
    direct("A12 zone at /128", "fe80::1%eth0", "ip:fe80::1/128", ipv6_prefix=128),
    direct("A12 empty zone", "fe80::1%", "peer:invalid"),
    direct("A12 zone of an IPv4 address", f"{CLIENT}%eth0", "peer:invalid"),
    proxied("A12 zone of an entry", "ip:fe80::/64", xff("6.6.6.6", "fe80::1%eth0")),
    proxied("A12 zone in brackets with a port", "ip:fe80::/64", xff("6.6.6.6", "[fe80::1%z]:80")),
    proxied("A12 empty zone of an entry", FROM_PROXY, xff("6.6.6.6", "fe80::1%")),
    proxied("A12 zone of an IPv4 entry", FROM_PROXY, xff("6.6.6.6", f"{CLIENT}%eth0")),
    proxied("A12 zone of a trusted peer", FROM_CLIENT, xff("6.6.6.6", CLIENT), peer="fe80::1%eth0",
            trusted_proxies=("fe80::/10",)),
]  # fmt: skip

_PORTS = {
    "203.0.113.9:1": FROM_CLIENT,
    "203.0.113.9:0": FROM_CLIENT,
    "203.0.113.9:65535": FROM_CLIENT,
    "203.0.113.9:00080": FROM_CLIENT,
    "[2001:db8:1:2::3]": "ip:2001:db8:1:2::/64",
    "[2001:db8:1:2::3]:1": "ip:2001:db8:1:2::/64",
    "[2001:db8:1:2::3]:65535": "ip:2001:db8:1:2::/64",
    "2001:db8:1:2::3": "ip:2001:db8:1:2::/64",
    "203.0.113.9:": FROM_PROXY,
    "203.0.113.9:65536": FROM_PROXY,
    "203.0.113.9:000080": FROM_PROXY,
    "203.0.113.9:-1": FROM_PROXY,
    "203.0.113.9:+80": FROM_PROXY,
    "203.0.113.9:8_0": FROM_PROXY,
    "203.0.113.9:http": FROM_PROXY,
    "203.0.113.9:80:80": FROM_PROXY,
    "203.0.113.9: 80": FROM_PROXY,
    "203.0.113.9 :80": FROM_PROXY,
    ":80": FROM_PROXY,
    "[2001:db8:1:2::3]:": FROM_PROXY,
    "[2001:db8:1:2::3]:65536": FROM_PROXY,
    "[2001:db8:1:2::3]80": FROM_PROXY,
    "[2001:db8:1:2::3] :80": FROM_PROXY,
    "[ 2001:db8:1:2::3 ]": FROM_PROXY,
    "[2001:db8:1:2::3\t]:80": FROM_PROXY,
    "[[2001:db8:1:2::3]]": FROM_PROXY,
    "[203.0.113.9]": FROM_PROXY,
    "[203.0.113.9]:80": FROM_PROXY,
    "[2001:db8:1:2::3]]:80": FROM_PROXY,
}

_A13 = [
    *(proxied(f"A13 {entry!r}", expected, xff("6.6.6.6", entry))
      for entry, expected in _PORTS.items()),
    proxied("A13 port of a trusted entry", FROM_CLIENT, xff("6.6.6.6", CLIENT, "10.0.0.2:4711")),
    proxied("A13 port with Arabic digits", FROM_PROXY, xff("6.6.6.6", f"{CLIENT}:\u0668\u0660")),
    counted("A13 hops drop the port", 1, FROM_CLIENT, xff("6.6.6.6", f"{CLIENT}:4711")),
]  # fmt: skip

_REFUSED = {
    "leading zeros": b"203.0.113.09",
    "octal": b"0313.0.0161.011",
    "decimal": b"3405803785",
    "hex": b"0xcb007109",
    "hex parts": b"0xcb.0.0x71.9",
    "short": b"203.0.28937",
    "three parts": b"203.0.113",
    "five parts": b"203.0.113.9.1",
    "256": b"203.0.113.256",
    "negative": b"203.0.113.-9",
    "network": b"203.0.113.9/32",
    "IPv6 network": b"2001:db8::/64",
    "NUL": b"203.0.113.9\x00",
    "newline": b"203.0.113.9\x0a",
    "Arabic digits": "\u0662\u0660\u0663.\u0660.\u0661\u0661\u0663.\u0669".encode(),
    "full-width digits": "\uff12\uff10\uff13.0.113.9".encode(),
    "trailing dot": b"203.0.113.9.",
    "nine groups": b"1:2:3:4:5:6:7:8:9",
    "two double colons": b"2001::db8::1",
    "five digits in a group": b"2001:00db8::1",
}

_A14 = [
    proxied(f"A14 {name}", FROM_PROXY, xff("6.6.6.6", entry)) for name, entry in _REFUSED.items()
]

_A15 = [
    proxied("A15 a quote swallows nothing", FROM_CLIENT, xff('"evil', CLIENT)),
    proxied("A15 quotes around entries swallow nothing", FROM_CLIENT, xff('"evil', 'x"', CLIENT)),
    proxied("A15 escaped quote", FROM_CLIENT, xff('"evil\\"', CLIENT)),
    proxied("A15 quote in an earlier line", FROM_CLIENT, xff('"evil'), xff(CLIENT)),
    proxied("A15 a quoted entry is no address", FROM_PROXY, xff("6.6.6.6", f'"{CLIENT}"')),
    proxied("A15 a comment swallows nothing", FROM_CLIENT, xff("(evil", CLIENT)),
    counted("A15 hops count quoted entries apart", 2, FROM_CLIENT, xff('"evil', CLIENT, 'x"')),
]

_A16 = [
    forwarded("A16 one element", FROM_CLIENT, b"for=203.0.113.9"),
    forwarded("A16 spoofed element", FROM_CLIENT, b"for=6.6.6.6, for=203.0.113.9"),
    forwarded("A16 spoofed line", FROM_CLIENT, b"for=6.6.6.6", b"for=203.0.113.9"),
    forwarded("A16 proxy in front", FROM_CLIENT, b"for=6.6.6.6, for=203.0.113.9", b"for=10.0.0.2"),
    forwarded("A16 proxies only", "ip:10.0.0.3", b"for=10.0.0.3,for=10.0.0.2"),
    forwarded("A16 names in any case", FROM_CLIENT, b"for=6.6.6.6, FoR=203.0.113.9"),
    forwarded("A16 all pairs", FROM_CLIENT,
              b'for=6.6.6.6, by=10.0.0.1;for=203.0.113.9;proto=https;host="a.example:8080"'),
    forwarded("A16 quoted", FROM_CLIENT, b'for=6.6.6.6, for="203.0.113.9"'),
    forwarded("A16 quoted with a port", FROM_CLIENT, b'for=6.6.6.6, for="203.0.113.9:4711"'),
    forwarded("A16 quoted IPv6", "ip:2001:db8:1:2::/64", b'for="[2001:db8:1:2::3]"'),
    forwarded("A16 quoted IPv6 with a port", "ip:2001:db8:1:2::/64",
              b'For="[2001:db8:1:2::3]:4711"'),
    forwarded("A16 quoted mapped", FROM_CLIENT, b'for="[::ffff:203.0.113.9]"'),
    forwarded("A16 quoted pairs", FROM_CLIENT, b'for=6.6.6.6, for="203\\.0.113\\.9"'),
    forwarded("A16 commas and semicolons in quotes", FROM_CLIENT,
              b'for=6.6.6.6;host="a, for=7.7.7.7", host="b;for=8.8.8.8";for=203.0.113.9'),
    forwarded("A16 a list in quotes is no address", FROM_PROXY, b'for="203.0.113.9, 6.6.6.6"'),
    forwarded("A16 unclosed quote swallows the proxy's element", FROM_PROXY,
              b'for="evil, for=203.0.113.9'),
    forwarded("A16 unclosed quote in a pair of no interest", FROM_PROXY,
              b'for=6.6.6.6;host="evil, for=203.0.113.9'),
    forwarded("A16 an escaped end is none", FROM_PROXY, b'for="evil\\", for=203.0.113.9'),
    forwarded("A16 unclosed quote in an earlier line", FROM_CLIENT, b'for="evil',
              b"for=203.0.113.9"),
    forwarded("A16 unclosed quote in a later line", FROM_PROXY, b"for=203.0.113.9", b'for="evil'),
    forwarded("A16 quotes do not reach into the next line", FROM_CLIENT, b'for="evil',
              b'for=203.0.113.9;host="x"'),
    forwarded("A16 broken line before a proxy", "ip:10.0.0.2", b"for=203.0.113.9, for=",
              b"for=10.0.0.2"),
    forwarded("A16 unknown", FROM_PROXY, b"for=6.6.6.6, for=unknown"),
    forwarded("A16 obfuscated", FROM_PROXY, b"for=6.6.6.6, for=_hidden"),
    forwarded("A16 obfuscated before a proxy", "ip:10.0.0.2", b"for=_hidden, for=10.0.0.2"),
    forwarded("A16 no for", FROM_PROXY, b"for=6.6.6.6, proto=https"),
    forwarded("A16 by is not for", FROM_PROXY, b"for=6.6.6.6, by=203.0.113.9"),
    forwarded("A16 forx is not for", FROM_PROXY, b"for=6.6.6.6, forx=203.0.113.9"),
    forwarded("A16 for twice", FROM_PROXY, b"for=6.6.6.6;for=203.0.113.9"),
    forwarded("A16 for twice, in two cases", FROM_PROXY, b"for=203.0.113.9;FOR=203.0.113.9"),
    forwarded("A16 for twice spoils its line", FROM_PROXY,
              b"for=6.6.6.6;for=7.7.7.7, for=203.0.113.9"),
    forwarded("A16 IPv6 needs quotes", FROM_PROXY, b"for=[2001:db8:1:2::3]"),
    forwarded("A16 so does a port", FROM_PROXY, b"for=203.0.113.9:4711"),
    forwarded("A16 port out of range", FROM_PROXY, b'for="203.0.113.9:65536"'),
    forwarded("A16 no value", FROM_PROXY, b"for="),
    forwarded("A16 empty value", FROM_PROXY, b'for=6.6.6.6, for=""'),
    forwarded("A16 no name", FROM_PROXY, b"=203.0.113.9"),
    forwarded("A16 no pair", FROM_PROXY, b"203.0.113.9"),
    forwarded("A16 blanks around the sign", FROM_PROXY, b"for = 203.0.113.9"),
    forwarded("A16 two values", FROM_PROXY, b"for=6.6.6.6 203.0.113.9"),
    forwarded("A16 text behind quotes", FROM_PROXY, b'for="6.6.6.6"203.0.113.9'),
    forwarded("A16 colon instead of the sign", FROM_PROXY, b"for:203.0.113.9"),
    forwarded("A16 non-ASCII in quotes", FROM_PROXY, b'for=6.6.6.6, for="203.0.113.9\xe9"'),
    forwarded("A16 non-ASCII outside", FROM_PROXY, b"for=203.0.113.9\xe9"),
    forwarded("A16 NUL in quotes", FROM_PROXY, b'for="203.0.113.9\x00"'),
    forwarded("A16 empty pairs are no mistake", FROM_CLIENT,
              b"for=6.6.6.6, ;for=203.0.113.9;;proto=https;"),
    forwarded("A16 nothing but semicolons is an element without for", FROM_PROXY,
              b"for=203.0.113.9, ;;"),
    forwarded("A16 empty elements are skipped", FROM_CLIENT, b",for=6.6.6.6,, for=203.0.113.9, ,"),
    forwarded("A16 empty lines are skipped", FROM_CLIENT, b"for=203.0.113.9", b"", b" \t"),
    forwarded("A16 blanks around elements", FROM_CLIENT, b" \tfor=6.6.6.6 ,\tfor=203.0.113.9 \t"),
    forwarded("A16 nothing", FROM_PROXY, b""),
    forwarded("A16 hops", FROM_CLIENT, b"for=6.6.6.6, for=203.0.113.9", b"for=10.0.0.2",
              trusted_hops=2),
    forwarded("A16 hops count a broken line as one", FROM_CLIENT, b"for=203.0.113.9",
              b'for="x, for=6.6.6.6', trusted_hops=2),
    forwarded("A16 hops that end at a broken line", FROM_PROXY, b'for="x, for=203.0.113.9',
              b"for=10.0.0.2", trusted_hops=2),
    forwarded("A16 hops never reach into a broken line", FROM_PROXY, b'for=6.6.6.6, for="x',
              trusted_hops=2),
    forwarded("A16 hops that end at an element without for", FROM_PROXY,
              b"for=203.0.113.9, proto=https, for=10.0.0.2", trusted_hops=2),
    forwarded("A16 hops count empty elements", FROM_CLIENT, b"for=203.0.113.9,, for=10.0.0.2",
              trusted_hops=3),
    forwarded("A16 hops that end at an empty element", FROM_PROXY,
              b"for=203.0.113.9,, for=10.0.0.2", trusted_hops=2),
    forwarded("A16 fewer elements than hops", FROM_PROXY, b"for=203.0.113.9", trusted_hops=2),
    forwarded("A16 from anybody", FROM_PROXY, b"for=6.6.6.6", trusted_proxies=("192.0.2.0/24",)),
]  # fmt: skip

_OTHERS = (
    b"X-Real-IP: 6.6.6.6",
    b"CF-Connecting-IP: 6.6.6.6",
    b"True-Client-IP: 6.6.6.6",
    b"X-Client-IP: 6.6.6.6",
    b"X-Cluster-Client-IP: 6.6.6.6",
    b"Forwarded: for=6.6.6.6",
    b"X_Forwarded_For: 6.6.6.6",
    b"X-Forwarded-For-Original: 6.6.6.6",
    b"X-Forwarded: 6.6.6.6",
    b"Client-IP: 6.6.6.6",
)

_A17 = [
    *(proxied(f"A17 {line.decode().partition(':')[0]} is not read", FROM_PROXY, line)
      for line in _OTHERS),
    proxied("A17 others beside the one that is", FROM_CLIENT, *_OTHERS, xff(CLIENT), *_OTHERS),
    Case("A17 X-Forwarded-For beside Forwarded", (PROXY, 1),
         (xff("6.6.6.6"), b"Forwarded: for=203.0.113.9", xff("6.6.6.6")), FORWARDED, FROM_CLIENT),
    Case("A17 X-Forwarded-For in place of Forwarded", (PROXY, 1), (xff("6.6.6.6"),), FORWARDED,
         FROM_PROXY),
    Case("A17 X-Forwarded-For in place of X-Real-IP", (PROXY, 1), (xff("6.6.6.6"),), REAL_IP,
         FROM_PROXY),
    real_ip("A17 X-Forwarded-For beside X-Real-IP", FROM_CLIENT, xff("6.6.6.6"),
            b"X-Real-IP: 203.0.113.9"),
    real_ip("A17 a named header", FROM_CLIENT, b"CF-Connecting-IP: 203.0.113.9",
            b"X-Real-IP: 6.6.6.6", proxy_header="CF-Connecting-IP"),
    proxied("A17 names of headers in any case", FROM_CLIENT, xff("6.6.6.6", CLIENT),
            proxy_header="X-FORWARDED-FOR"),
]  # fmt: skip

_SINGLE = [
    real_ip("C5 single value", FROM_CLIENT, b"X-Real-IP: 203.0.113.9"),
    real_ip("C5 single value, blanks around", FROM_CLIENT, b"X-Real-IP: \t203.0.113.9 "),
    real_ip("C5 single value with a port", FROM_CLIENT, b"X-Real-IP: 203.0.113.9:4711"),
    real_ip("C5 single value, IPv6", "ip:2001:db8:1:2::/64", b"X-Real-IP: 2001:db8:1:2::3"),
    real_ip("C5 single value, mapped", FROM_CLIENT, b"X-Real-IP: ::ffff:203.0.113.9"),
    real_ip("C5 single value of a trusted address", "ip:10.0.0.9", b"X-Real-IP: 10.0.0.9"),
    real_ip("C5 single value twice", FROM_PROXY, b"X-Real-IP: 6.6.6.6", b"X-Real-IP: 203.0.113.9"),
    real_ip("C5 single value twice the same", FROM_PROXY, *[b"X-Real-IP: 203.0.113.9"] * 2),
    real_ip("C5 single value, a list", FROM_PROXY, b"X-Real-IP: 6.6.6.6, 203.0.113.9"),
    real_ip("C5 single value, a comma behind", FROM_PROXY, b"X-Real-IP: 203.0.113.9,"),
    real_ip("C5 single value, garbage", FROM_PROXY, b"X-Real-IP: unknown"),
    real_ip("C5 single value, for=", FROM_PROXY, b"X-Real-IP: for=203.0.113.9"),
    real_ip("C5 single value, empty", FROM_PROXY, b"X-Real-IP: "),
    real_ip("C5 single value, absent", FROM_PROXY),
    real_ip("C5 single value from anybody", FROM_PROXY, b"X-Real-IP: 6.6.6.6",
            trusted_proxies=("192.0.2.0/24",)),
    Case("C5 single value through a trusted unix peer", None, (b"X-Real-IP: 203.0.113.9",),
         {**REAL_IP, "trust_unix_peer": True}, FROM_CLIENT),
]  # fmt: skip


def padded(length: int, end: str = f",{CLIENT}") -> bytes:
    """One line of X-Forwarded-For whose value has *length* bytes, behind blanks that count."""
    return b"X-Forwarded-For: " + (b"6.6.6.6," + end.encode().rjust(length - 8))


_A18 = [
    proxied("A18 8 KiB", FROM_CLIENT, padded(8192)),
    proxied("A18 one byte more", FROM_PROXY, padded(8193)),
    proxied("A18 8 KiB in two lines and their comma", FROM_CLIENT, padded(4096), padded(4095)),
    proxied("A18 one byte more in two lines", FROM_PROXY, padded(4096), padded(4096)),
    proxied("A18 60 KB", FROM_PROXY, padded(60_000)),
    proxied("A18 60 KB of entries", FROM_PROXY, xff(*["6.6.6.6"] * 7_000, CLIENT)),
    proxied("A18 60 KB of commas", FROM_PROXY, b"X-Forwarded-For: " + b"," * 60_000),
    proxied("A18 60 KB of short lines", FROM_PROXY, *[xff("6.6.6.6")] * 7_000, xff(CLIENT)),
    counted("A18 hops, one byte too much", 1, FROM_PROXY, padded(8193)),
    counted("A18 hops, 8 KiB", 1, FROM_CLIENT, padded(8192)),
    proxied("A18 many spoofed entries", FROM_CLIENT, xff(*["6.6.6.6"] * 500, CLIENT)),
    proxied("A18 the 64th from the right", FROM_CLIENT, xff("6.6.6.6", CLIENT, *chain(63))),
    proxied("A18 the 65th is not reached", "ip:10.1.0.0", xff(CLIENT, *chain(64))),
    proxied("A18 the 65th, over two lines", "ip:10.1.0.0", xff(CLIENT, *chain(64)[:30]),
            xff(*chain(64)[30:])),
    proxied("A18 empty entries are entries", FROM_CLIENT,
            b"X-Forwarded-For: 203.0.113.9" + b"," * 63),
    proxied("A18 64 empty entries hide the rest", FROM_PROXY,
            b"X-Forwarded-For: 203.0.113.9" + b"," * 64),
    counted("A18 64 hops", 64, FROM_CLIENT, xff("6.6.6.6", CLIENT, *chain(63))),
    counted("A18 63 entries for 64 hops", 64, FROM_PROXY, xff(*chain(63))),
    forwarded("A18 8 KiB of elements", FROM_CLIENT,
              b"for=6.6.6.6," + b"for=203.0.113.9".rjust(8192 - 12)),
    forwarded("A18 one byte more of elements", FROM_PROXY,
              b"for=6.6.6.6," + b"for=203.0.113.9".rjust(8193 - 12)),
    forwarded("A18 the 64th element", FROM_CLIENT,
              ", ".join(f"for={each}" for each in [CLIENT, *chain(63)]).encode()),
    forwarded("A18 the 65th element", "ip:10.1.0.0",
              ", ".join(f"for={each}" for each in [CLIENT, *chain(64)]).encode()),
    forwarded("A18 the 65th element, a line each", "ip:10.1.0.0",
              *(f"for={each}".encode() for each in [CLIENT, *chain(64)])),
    real_ip("A18 single value of 8 KiB", FROM_CLIENT,
            b"X-Real-IP: " + b"203.0.113.9".rjust(8192)),
    real_ip("A18 single value of one byte more", FROM_PROXY,
            b"X-Real-IP: " + b"203.0.113.9".rjust(8193)),
]  # fmt: skip

ANY = {"trusted_proxies": ("0.0.0.0/0",), "unsafe_trust_any_proxy": True}

_A19 = [
    proxied("A19 unsafe trust in everybody: the leftmost", "ip:6.6.6.6", xff("6.6.6.6", CLIENT),
            **ANY),
    proxied("A19 unsafe trust in IPv4 is none in IPv6", "ip:2001:db8:1:2::/64", xff("6.6.6.6"),
            peer="2001:db8:1:2::1", **ANY),
    proxied("A19 unsafe trust in IPv6 is none in IPv4", FROM_PROXY, xff("6.6.6.6"),
            **{**ANY, "trusted_proxies": ("::/0",)}),
    proxied("A19 unsafe trust in mapped addresses is in IPv4", "ip:6.6.6.6",
            xff("6.6.6.6", CLIENT), **{**ANY, "trusted_proxies": ("::ffff:0:0/96",)}),
    proxied("A19 the unsafe flag alone trusts nobody", FROM_PROXY, xff("6.6.6.6"),
            **{**ANY, "trusted_proxies": ()}),
]  # fmt: skip

_A20 = [
    counted("A20 one hop: the last entry", 1, FROM_CLIENT, xff("6.6.6.6", CLIENT)),
    counted("A20 one hop, one entry", 1, FROM_CLIENT, xff(CLIENT)),
    counted("A20 two hops", 2, FROM_CLIENT, xff("6.6.6.6", CLIENT, "192.0.2.1")),
    counted("A20 three hops", 3, FROM_CLIENT, xff("6.6.6.6", CLIENT, "192.0.2.2", "192.0.2.1")),
    counted("A20 as many entries as hops", 2, FROM_CLIENT, xff(CLIENT, "192.0.2.1")),
    counted("A20 fewer entries than hops", 2, FROM_PROXY, xff(CLIENT)),
    counted("A20 no header", 1, FROM_PROXY),
    counted("A20 empty header", 1, FROM_PROXY, xff("")),
    counted("A20 empty entries count", 2, FROM_CLIENT, xff("6.6.6.6", CLIENT, "")),
    counted("A20 an empty entry is the peer", 2, FROM_PROXY, xff("6.6.6.6", "", CLIENT)),
    counted("A20 an unusable entry is the peer", 2, FROM_PROXY, xff(CLIENT, "x", "192.0.2.1")),
    counted("A20 unusable entries right of it do not matter", 2, FROM_CLIENT, xff(CLIENT, "x")),
    counted("A20 the entry may be of any network", 1, "ip:10.0.0.9", xff(CLIENT, "10.0.0.9")),
    counted("A20 IPv6 entry", 1, "ip:2001:db8:1:2::/64", xff("6.6.6.6", "2001:db8:1:2::3")),
    counted("A20 mapped entry", 1, FROM_CLIENT, xff("6.6.6.6", f"::ffff:{CLIENT}")),
    counted("A20 IPv6 peer", 1, FROM_CLIENT, xff("6.6.6.6", CLIENT), peer="2001:db8::1"),
    counted("A20 hops and networks, trusted peer", 1, FROM_CLIENT, xff("6.6.6.6", CLIENT),
            **TRUSTED),
    counted("A20 hops and networks, mapped trusted peer", 1, FROM_CLIENT, xff("6.6.6.6", CLIENT),
            peer="::ffff:10.0.0.1", **TRUSTED),
    counted("A20 hops and networks, other peer", 1, FROM_CLIENT, xff("6.6.6.6"), peer=CLIENT,
            **TRUSTED),
    counted("A20 with hops, networks do not end the count", 2, "ip:192.0.2.1",
            xff("6.6.6.6", "192.0.2.1", CLIENT), **TRUSTED),
    counted("A20 with hops, networks do not extend it", 1, "ip:10.0.0.2", xff(CLIENT, "10.0.0.2"),
            **TRUSTED),
    counted("A20 no hops, no trust", 0, FROM_PROXY, xff("6.6.6.6", CLIENT)),
]  # fmt: skip

_C6 = [
    proxied("C6 empty entries are skipped", FROM_CLIENT, xff("6.6.6.6", CLIENT, "", " \t")),
    proxied("C6 empty entries between proxies", FROM_CLIENT, xff(CLIENT, "", "10.0.0.2", "")),
    proxied("C6 empty entries only", FROM_PROXY, xff("", "", "")),
    proxied("C6 empty entry left of proxies", "ip:10.0.0.2", xff("", "10.0.0.2")),
]

CASES = [
    *_A1, *_A2, *_A3, *A4, *_A4_A5, *_A6, *_A7, *_A8, *_A9, *_A10_A11_A12, *_A13, *_A14, *_A15,
    *_A16, *_A17, *_SINGLE, *_A18, *_A19, *_A20, *_C6,
]  # fmt: skip
