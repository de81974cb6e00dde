"""Identities as they are stored."""

import re

from hypothesis import given
from hypothesis import strategies as st

from fastapi_throttle.identity import Digest, Identity

PARTS = st.tuples(st.sampled_from(["user", "ip", "key", "use", "ruser"]), st.binary(max_size=40))
TEXTS = st.lists(st.text(alphabet=st.characters(), max_size=10), max_size=4).map(tuple)


@given(PARTS, PARTS)
def test_distinct_identities_have_distinct_digests(one, other):
    digest = Digest(b"secret")

    assert (digest.identity(Identity(*one)) == digest.identity(Identity(*other))) == (one == other)


@given(TEXTS, TEXTS)
def test_distinct_buckets_have_distinct_digests(one, other):
    digest = Digest()

    assert (digest.bucket(one) == digest.bucket(other)) == (one == other)


def test_they_stay_what_they_were():
    """Or an update of the library would forget what everybody used."""
    for secret, identity, bucket in (
        (None, "GqrrGveligExABOxpNieJA", "gw9IxjeRCGt3tvPmzHwyzg"),
        (b"a", "M7MDPp8-2NcHFq_uTHQZqg", "HvSVauwMVwQEgz9PGyBWhg"),
        (b"c" * 99, "7qmMpKeK_90WHLXkLeAndA", "omabnrc2ExD4aNRaqGbSeQ"),
    ):
        digest = Digest(secret)
        assert digest.identity(Identity("user", b"42")) == identity
        assert digest.bucket(("name", "api", "g", "60000000")) == bucket


def test_parts_cannot_pretend_to_be_others():
    digest = Digest()

    assert digest.bucket(("a:b", "c")) != digest.bucket(("a", "b:c"))
    assert digest.bucket(("a", "")) != digest.bucket(("a",))
    assert digest.identity(Identity("user", b"1")) != digest.bucket(("user", "1"))


@given(st.binary(max_size=10_000))
def test_the_length_is_constant_and_the_alphabet_plain(value):
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", Digest().identity(Identity("key", value)))


def test_the_secret_decides():
    identity = Identity("ip", b"203.0.113.9")

    digests = {Digest(secret).identity(identity) for secret in (None, b"a", b"b", b"c" * 99)}

    assert len(digests) == 4
