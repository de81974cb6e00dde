"""Identities as they are stored: digests of constant length, made with the operator's secret."""

from base64 import urlsafe_b64encode
from hashlib import blake2b

from fastapi_throttle.identity.identity import Identity

# Without a secret the digest hides nothing that can be guessed: addresses, names, numbers.
_NO_SECRET = b"fastapi_throttle"
_BITS_128 = 16
_LONGEST_KEY = 64


class Digest:
    """Keyed BLAKE2b-128 of tuples of parts. Distinct tuples have distinct digests.

    Every part is preceded by its length, so no part can pretend to be two.

    Args:
        secret: The operator's key; None for a fixed one that protects nobody.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        key = secret or _NO_SECRET
        self._key = key if len(key) <= _LONGEST_KEY else blake2b(key).digest()

    def identity(self, identity: Identity) -> str:
        """Return 22 characters that stand for *identity*."""
        return self._text(b"identity", (identity.kind.encode(), identity.value))

    def bucket(self, parts: tuple[str, ...]) -> str:
        """Return 22 characters that stand for what is limited."""
        return self._text(b"bucket", tuple(part.encode("utf-8", "surrogatepass") for part in parts))

    def _text(self, person: bytes, parts: tuple[bytes, ...]) -> str:
        digest = blake2b(digest_size=_BITS_128, key=self._key, person=person)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
