"""A login name as an identity."""

import unicodedata
from collections.abc import Callable
from typing import Any

from fastapi import params

from fastapi_throttle.identity.identity import Identity, identity_of
from fastapi_throttle.identity.injection import as_dependency, signature

KIND = "email"
LONGEST_NAME = 1024


class Email:
    """See `email`."""

    def __init__(self, dependency: "Callable[..., Any] | params.Depends") -> None:
        self.__signature__ = signature(
            {"name": as_dependency("dependency", dependency, is_resolver=True)}
        )
        self._source = dependency

    async def __call__(self, **injected: Any) -> Identity | None:
        """Return the identity of the login name."""
        return identity_of(_folded(injected["name"]), KIND, source=self._source)


def email(dependency: "Callable[..., Any] | params.Depends") -> Email:
    """Make a resolver of a login name that a request asks about, existing or not.

    Spellings that differ in case, width or blanks around are one: ``" A@X "``, ``"a@x"``. Look the
    account up by the same form: NFKC, casefold, strip.

    Args:
        dependency: Any FastAPI dependency that returns the name, such as one that takes the
            login form. None is nobody.

    Raises:
        TypeError: *dependency* is not a FastAPI dependency.
    """
    return Email(dependency)


def _folded(name: object) -> object:
    if isinstance(name, tuple):
        return tuple(map(_folded, name))
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return normalized(name) if isinstance(name, str) else name


def normalized(name: str) -> str:
    """Fold case, compatibility forms (Unicode NFKC) and blanks around of a login name.

    What is longer than any address stays as it is: folding some of it would take minutes.
    """
    if len(name) > LONGEST_NAME:
        return name
    # Folding can undo the form, and the form can bring back capitals.
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded).strip()
