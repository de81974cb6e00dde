"""Addresses, known by their bits."""

from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from fastapi_throttle.identity.identity import Identity
from fastapi_throttle.model import REMEMBERED

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

IPV4_PREFIX = 32
# One IPv6 customer owns a /64 at least and can walk through all of its addresses.
IPV6_PREFIX = 64
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
# Of an address as text, with all that may surround it.
LONGEST = 64
_LOW_32_BITS = 0xFFFF_FFFF


def parse_address(text: str) -> Address | None:
    """Read an address as servers and proxies write it; None for anything else.

    What decides is the bits, not the notation: IPv4-mapped and NAT64 addresses are the IPv4
    address they carry. A zone id is no part of who the caller is.
    """
    text = text.strip(" \t")
    return _parse(text) if len(text) <= LONGEST and text.isascii() else None


@lru_cache(maxsize=REMEMBERED)
def _parse(text: str) -> Address | None:
    bare, percent, zone = text.partition("%")
    if percent and (not zone or ":" not in bare):
        return None
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(int(address) & _LOW_32_BITS)
    return address


def parse_network(text: str, *, allow_any: bool = False) -> Network:
    """Read a network of trusted proxies; one of addresses that carry IPv4 is that of those.

    Raises:
        ValueError: It is no network, has host bits set, or holds every address.
    """
    network = ip_network(text, strict=True)
    if isinstance(network, IPv6Network):
        for carrier in (_MAPPED, _NAT64):
            if network.subnet_of(carrier):
                start = IPv4Address(int(network.network_address) & _LOW_32_BITS)
                network = IPv4Network((start, network.prefixlen - carrier.prefixlen))
                break
    if network.prefixlen == 0 and not allow_any:
        message = "it holds every address, so every caller could choose who they are"
        raise ValueError(message)
    return network


def address_identity(
    address: Address, ipv4_prefix: int = IPV4_PREFIX, ipv6_prefix: int = IPV6_PREFIX
) -> Identity:
    """Return the identity an address counts as: itself, or its network."""
    if isinstance(address, IPv4Address) and ipv4_prefix == IPV4_PREFIX:
        return Identity("ip", str(address).encode())
    prefix = ipv4_prefix if isinstance(address, IPv4Address) else ipv6_prefix
    network = ip_network((address, prefix), strict=False)
    return Identity("ip", str(network).encode())
