"""Forwarding headers as lists of hops, nearest last."""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from fastapi_throttle.identity.address import LONGEST, Address, parse_address

EMPTY: Literal[""] = ""
# What one entry says: an address, nothing at all, or something that cannot be read (None).
Hop = Address | Literal[""] | None

# However much a caller sends, the work is bounded.
LONGEST_FIELD = 8 * 1024
MOST_HOPS = 64
_HIGHEST_PORT = 65_535

# RFC 7239 section 4: forwarded-pair = token "=" ( token / quoted-string ). It may be left out.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_PAIR = re.compile(rf"[ \t]*(?:({_WORD})=({_WORD}|{_QUOTED})[ \t]*)?(;[; \t]*|,|\Z)")


def read_hops(header: str, lines: Sequence[bytes]) -> list[Hop] | None:
    """Return the hops that the lines of a header list; None where nothing can be believed.

    Args:
        header: The name of the header, lower case.
        lines: Its lines in wire order.
    """
    if not lines or sum(map(len, lines)) + len(lines) - 1 > LONGEST_FIELD:
        return None
    texts = [line.decode("latin-1") for line in lines]
    return _READERS.get(header, _read_single)(texts)


def is_list_header(header: str) -> bool:
    """Tell whether a header lists hops, rather than naming one address."""
    return header in _READERS


def parse_hop(text: str) -> Address | None:
    """Read an address that may carry a port: ``1.2.3.4:80``, ``[2001:db8::1]:80``."""
    host = text = text.strip(" \t")
    is_address = len(text) <= LONGEST
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        has_port = not rest or (rest.startswith(":") and _is_port(rest[1:]))
        is_address &= bool(bracket) and ":" in host and has_port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        is_address &= "." in host and _is_port(port)
    # Blanks may surround the whole, not the host within.
    return parse_address(host) if is_address and host == host.strip(" \t") else None


def _is_port(text: str) -> bool:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(_HIGHEST_PORT))
    return is_number and int(text) <= _HIGHEST_PORT


def _read_forwarded_for(lines: list[str]) -> list[Hop]:
    # Commas alone separate: a quotation mark is no syntax here and must not swallow an entry.
    entries = ",".join(lines).split(",")[-MOST_HOPS:]
    return [parse_hop(entry) if entry.strip(" \t") else EMPTY for entry in entries]


def _read_forwarded(lines: list[str]) -> list[Hop]:
    """Source: RFC 7239. A line that breaks its grammar is one entry that cannot be read."""
    nodes: list[str | None] = []
    for line in lines:
        nodes += _forwarded_line(line)
    return [node and parse_hop(node) for node in nodes[-MOST_HOPS:]]


def _forwarded_line(line: str) -> list[str | None]:
    """Return what each element says about the client: "" if it is empty, None if it is unusable."""
    nodes: list[str | None] = []
    element: dict[str, str] = {}
    position = 0
    while pair := _PAIR.match(line, position):
        name, end = (pair[1] or "").lower(), pair[3]
        if name and name in element:
            break
        # A semicolon makes an element, be it one that says nothing.
        if name or end.startswith(";"):
            element[name] = _unquoted(pair[2] or "")
        position = pair.end()
        if end.startswith(";"):
            continue
        nodes.append((element.get("for") or None) if element else EMPTY)
        if not end:
            return nodes
        element = {}
    return [None]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _read_single(lines: list[str]) -> list[Hop] | None:
    return [parse_hop(lines[0])] if len(lines) == 1 else None


_READERS: dict[str, Callable[[list[str]], list[Hop] | None]] = {
    "x-forwarded-for": _read_forwarded_for,
    "forwarded": _read_forwarded,
}
