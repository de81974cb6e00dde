"""The client's address as an identity: the peer, or what trusted proxies say about it."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, TypedDict, Unpack
from weakref import WeakKeyDictionary

from starlette.requests import HTTPConnection
from starlette.types import Scope

from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.identity.address import (
    IPV4_PREFIX,
    IPV6_PREFIX,
    LONGEST,
    Address,
    Network,
    address_identity,
    parse_address,
    parse_network,
)
from fastapi_throttle.identity.forwarding import EMPTY, MOST_HOPS, Hop, is_list_header, read_hops
from fastapi_throttle.identity.identity import Identity
from fastapi_throttle.identity.misconfiguration import Suspicions
from fastapi_throttle.model import REMEMBERED

# Where the rules of the `Throttle` that serves a request are found in its scope.
SCOPE_KEY = "fastapi_throttle.address_rules"

UNIX: Literal["unix"] = "unix"
INVALID: Literal["invalid"] = "invalid"
Peer = Address | Literal["unix", "invalid"]


class Rules(TypedDict, total=False):
    """The arguments of `AddressRules`."""

    trusted_proxies: Sequence[str]
    trusted_hops: int
    proxy_header: str
    trust_unix_peer: bool
    ipv4_prefix: int
    ipv6_prefix: int
    unsafe_trust_any_proxy: bool


_PREFIXES = frozenset({"ipv4_prefix", "ipv6_prefix"})


class AddressRules:
    """Who is believed about the client's address. By default nobody: the peer is the client.

    Args:
        trusted_proxies: Networks (CIDR) of the proxies that are believed. The header is walked
            from the right; the first address outside of them is the client.
        trusted_hops: How many proxies stand in front of the app, the one that connects to it
            included: the client is that many entries from the right. 0 to 64. With
            *trusted_proxies*, the peer must be one of them as well.
        proxy_header: The one header that is read: ``x-forwarded-for``, ``forwarded``, or the name
            of one that holds a single address, such as ``x-real-ip``.
        trust_unix_peer: Believe what comes through a unix socket.
        ipv4_prefix: How many bits of an IPv4 address make an identity. 1 to 32.
        ipv6_prefix: The same for IPv6. 32 to 128.
        unsafe_trust_any_proxy: Accept networks that hold every address.

    Raises:
        ConfigurationError: A network is malformed or holds every address, a number is out of its
            range, or hops are to be counted in a header that lists none.
    """

    def __init__(
        self,
        *,
        trusted_proxies: Sequence[str] = (),
        trusted_hops: int = 0,
        proxy_header: str = "x-forwarded-for",
        trust_unix_peer: bool = False,
        ipv4_prefix: int = IPV4_PREFIX,
        ipv6_prefix: int = IPV6_PREFIX,
        unsafe_trust_any_proxy: bool = False,
    ) -> None:
        _check_range("trusted_hops", trusted_hops, 0, MOST_HOPS)
        _check_range("ipv4_prefix", ipv4_prefix, 1, 32)
        _check_range("ipv6_prefix", ipv6_prefix, 32, 128)
        self._header = _header_name(proxy_header)
        if trusted_hops and not is_list_header(self._header):
            message = (
                "trusted_hops must be 0 with a header that holds a single address, "
                f"got {trusted_hops} with {proxy_header!r}"
            )
            raise ConfigurationError(message)
        if isinstance(trusted_proxies, str):
            message = f"trusted_proxies must be a list of networks, got {trusted_proxies!r} alone"
            raise ConfigurationError(message)
        self._networks = [
            _network(text, allow_any=unsafe_trust_any_proxy) for text in trusted_proxies
        ]
        self._hops = trusted_hops
        self._is_configured = bool(self._networks or trusted_hops)
        self._trust_unix_peer = trust_unix_peer
        self._prefixes = ipv4_prefix, ipv6_prefix
        self._given_prefixes: Rules = {"ipv4_prefix": ipv4_prefix, "ipv6_prefix": ipv6_prefix}
        self._given: Rules = {
            **self._given_prefixes,
            "trusted_proxies": trusted_proxies,
            "trusted_hops": trusted_hops,
            "proxy_header": proxy_header,
            "trust_unix_peer": trust_unix_peer,
            "unsafe_trust_any_proxy": unsafe_trust_any_proxy,
        }
        self._suspicions = Suspicions()
        self.label = lru_cache(maxsize=REMEMBERED)(self._label)
        self._label_of = lru_cache(maxsize=REMEMBERED)(self._labelled)

    def identify(self, scope: Scope) -> Identity:
        """Return the identity of the client. Never raises, whatever was sent."""
        client = scope.get("client")
        host = client[0] if client else None
        if not self._is_configured:
            self._suspicions.note(scope, is_configured=False, is_trusted=False)
            return self._of_peer(host)
        peer = _peer(host)
        is_trusted = self._trusts_peer(peer)
        self._suspicions.note(scope, is_configured=True, is_trusted=is_trusted)
        hops = self._read_hops(scope) if is_trusted else None
        if hops is None:
            return self.label(peer)
        return self.label(self._counted(hops, peer) if self._hops else self._walked(hops, peer))

    def _of_peer(self, host: object) -> Identity:
        # Servers may take a header's text for the host: no more of it is kept than an address has.
        if isinstance(host, str) and len(host) <= LONGEST:
            return self._label_of(host)
        return self._labelled(host)

    def _labelled(self, host: object) -> Identity:
        return self.label(_peer(host))

    def _read_hops(self, scope: Scope) -> list[Hop] | None:
        wire_name = self._header.encode()
        lines = [value for name, value in scope["headers"] if name.lower() == wire_name]
        return read_hops(self._header, lines)

    def _trusts_peer(self, peer: Peer) -> bool:
        if peer == INVALID:
            return False
        if peer == UNIX:
            return self._trust_unix_peer
        return not self._networks or self._is_proxy(peer)

    def _is_proxy(self, address: Hop | Peer) -> bool:
        return any(address in network for network in self._networks if not isinstance(address, str))

    def _counted(self, hops: list[Hop], peer: Peer) -> Peer:
        hop = hops[-self._hops] if len(hops) >= self._hops else None
        return hop if hop is not None and hop != EMPTY else peer

    def _walked(self, hops: list[Hop], peer: Peer) -> Peer:
        understood = peer
        for hop in reversed(hops):
            if hop == EMPTY:
                continue
            if hop is None:
                return understood
            understood = hop
            if not self._is_proxy(hop):
                break
        return understood

    def changed(self, given: Rules) -> "AddressRules":
        """Return these rules with others in place: of trust all or none, of prefixes each."""
        kept = self._given_prefixes if given.keys() - _PREFIXES else self._given
        rules: Rules = {**kept, **given}
        return AddressRules(**rules)

    def _label(self, peer: Peer) -> Identity:
        """Return the identity that an address counts as."""
        if isinstance(peer, str):
            return Identity("peer", peer.encode())
        return address_identity(peer, *self._prefixes)


class ClientIp:
    """See `client_ip`."""

    connection_only = True

    def __init__(self, given: Rules) -> None:
        self._given = given
        # One per throttle: each of them warns its operator once.
        self._rules = WeakKeyDictionary({_TRUST_NOBODY: AddressRules(**given)})

    async def __call__(self, connection: HTTPConnection) -> Identity:
        """See `identify`."""
        return self.identify(connection)

    def identify(self, connection: HTTPConnection) -> Identity:
        """Return the identity of the client."""
        settings: AddressRules = connection.scope.get(SCOPE_KEY) or _TRUST_NOBODY
        if not self._given:
            return settings.identify(connection.scope)
        rules = self._rules.get(settings)
        if rules is None:
            rules = self._rules[settings] = settings.changed(self._given)
        return rules.identify(connection.scope)


def client_ip(**rules: Unpack[Rules]) -> ClientIp:
    """Make a resolver of the client's address.

    Without arguments it goes by the settings of the `Throttle`. By default no header is believed,
    IPv6 callers are one identity per /64, and IPv4 addresses written as IPv6 are IPv4.
    Connections over a unix socket share ``peer:unix``, and peers whose address cannot be read
    share ``peer:invalid``: limited, never exempt.

    Args:
        rules: Arguments of `AddressRules`, in place of those of the settings. What they say about
            trust is replaced as a whole; the prefixes one by one.

    Raises:
        ConfigurationError: See `AddressRules`.
    """
    return ClientIp(rules)


def _peer(host: object) -> Peer:
    # Servers give no client, or an empty host, for a unix socket.
    if not host:
        return UNIX
    address = parse_address(host) if isinstance(host, str) else None
    return INVALID if address is None else address


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        message = f"{name} must be an int from {low} to {high}, got {value!r}"
        raise ConfigurationError(message)


def _header_name(name: object) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name, re.ASCII):
        message = f"proxy_header must be the name of a header, got {name!r}"
        raise ConfigurationError(message)
    return name.lower()


def _network(text: object, *, allow_any: bool) -> Network:
    try:
        return parse_network(str(text), allow_any=allow_any)
    except ValueError as error:
        message = f"trusted_proxies must be networks such as 10.0.0.0/8, got {text!r}: {error}"
        raise ConfigurationError(message) from None


_TRUST_NOBODY = AddressRules()
