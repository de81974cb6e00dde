"""A login name as an identity."""

import unicodedata
from collections.abc import Callable
from typing import Any

from fastapi import params

from fastapi_throttle.identity.identity import Identity, identity_of
from fastapi_throttle.identity.injection import as_dependency, signature

KIND = "email"


class Email:
    """See `email`."""

    def __init__(self, dependency: "Callable[..., Any] | params.Depends") -> None:
        self.__signature__ = signature(
            {"name": as_dependency("dependency", dependency, is_resolver=True)}
        )
        self._source = dependency

    async def __call__(self, **injected: Any) -> Identity | None:
        """Return the identity of the login name."""
        name = injected["name"]
        if isinstance(name, str):
            name = normalized(name)
        return identity_of(name, KIND, source=self._source)


def email(dependency: "Callable[..., Any] | params.Depends") -> Email:
    """Make a resolver of a login name that a request asks about, existing or not.

    Spellings that differ in case, width or blanks around are one: ``" A@X "``, ``"a@x"``. Look the
    account up by the same form (`normalized`).

    Args:
        dependency: Any FastAPI dependency that returns the name, such as one that takes the
            login form. None is nobody.

    Raises:
        TypeError: *dependency* is not a FastAPI dependency.
    """
    return Email(dependency)


def normalized(name: str) -> str:
    """Fold case, compatibility forms (Unicode NFKC) and blanks around of a login name."""
    # Folding can undo the form, and the form can bring back capitals.
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded).strip()
