"""Identities as they are stored: digests of constant length, made with the operator's secret."""

from binascii import b2a_base64
from functools import lru_cache
from hashlib import blake2b

from fastapi_throttle.identity.identity import Identity, encode

# Without a secret the digest hides nothing that can be guessed: addresses, names, numbers.
_NO_SECRET = b"fastapi_throttle"
_BITS_128 = 16
_CHARACTERS = 22
_LONGEST_KEY = 64
_KINDS = 64
_SAFE_IN_URLS = bytes.maketrans(b"+/", b"-_")


class Digest:
    """Keyed BLAKE2b-128 of tuples of parts. Distinct tuples have distinct digests.

    Every part is preceded by its length, so no part can pretend to be two.

    Args:
        secret: The operator's key; None for a fixed one that protects nobody.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        key = secret or _NO_SECRET
        self._key = key if len(key) <= _LONGEST_KEY else blake2b(key).digest()
        # What the digests of many identities have in common is worked out once.
        self._of_kind = lru_cache(maxsize=_KINDS)(self._start_kind)

    def identity(self, identity: Identity) -> str:
        """Return 22 characters that stand for *identity*."""
        kind, value = identity
        digest = self._of_kind(kind).copy()
        digest.update(_framed(value))
        return _text(digest)

    def bucket(self, parts: tuple[str, ...]) -> str:
        """Return 22 characters that stand for what is limited."""
        digest = self._start(b"bucket")
        for part in parts:
            digest.update(_framed(encode(part)))
        return _text(digest)

    def _start_kind(self, kind: str) -> blake2b:
        digest = self._start(b"identity")
        digest.update(_framed(kind.encode()))
        return digest

    def _start(self, person: bytes) -> blake2b:
        return blake2b(digest_size=_BITS_128, key=self._key, person=person)


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part


def _text(digest: blake2b) -> str:
    return b2a_base64(digest.digest())[:_CHARACTERS].translate(_SAFE_IN_URLS).decode()
