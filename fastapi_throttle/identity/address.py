"""The client's address as an identity."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import HTTPConnection

from fastapi_throttle.identity.identity import Identity

# One IPv6 customer owns a /64 at least and can walk through all of its addresses.
IPV6_PREFIX = 64
_NAT64 = IPv6Network("64:ff9b::/96")
_LONGEST = 64
_UNIX = Identity("peer", b"unix")
_INVALID = Identity("peer", b"invalid")


class ClientIp:
    """See `client_ip`."""

    connection_only = True

    async def __call__(self, connection: HTTPConnection) -> Identity:
        """See `identify`."""
        return self.identify(connection)

    def identify(self, connection: HTTPConnection) -> Identity:
        """Return the identity of the connection's peer."""
        client = connection.scope.get("client")
        host = client[0] if client else None
        # Servers give no client, or an empty host, for a unix socket.
        if not host:
            return _UNIX
        address = parse_address(host)
        return _INVALID if address is None else address_identity(address)


def client_ip() -> ClientIp:
    """Make a resolver of the address that the connection comes from.

    No forwarding header is believed. IPv6 callers are one identity per /64; IPv4 addresses
    written as IPv6 are IPv4. Connections over a unix socket share ``peer:unix``, and peers whose
    address cannot be read share ``peer:invalid``: limited, never exempt.
    """
    return ClientIp()


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address as servers write it; None for anything else.

    What decides is the bits, not the notation: IPv4-mapped and NAT64 addresses are the IPv4
    address they carry. A zone id is no part of who the caller is.
    """
    text = text.strip(" \t")
    if not text.isascii() or len(text) > _LONGEST:
        return None
    bare, percent, zone = text.partition("%")
    if percent and (not zone or ":" not in bare):
        return None
    try:
        return _unwrapped(ip_address(bare))
    except ValueError:
        return None


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address carries, else the address."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def address_identity(address: IPv4Address | IPv6Address) -> Identity:
    """Return the identity an address counts as: itself, or its IPv6 network."""
    if isinstance(address, IPv4Address):
        return Identity("ip", str(address).encode())
    network = ip_network((address, IPV6_PREFIX), strict=False)
    return Identity("ip", str(network).encode())
