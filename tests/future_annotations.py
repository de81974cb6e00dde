"""Verifiers as a module writes them whose annotations are text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

if TYPE_CHECKING:
    from nowhere import Session

SCHEME = APIKeyHeader(name="X-API-Key", auto_error=False)
OWNERS = {"key-1": "acme", "key-2": "globex"}


async def load(key: Annotated[str | None, Security(SCHEME)]) -> str | None:
    return OWNERS.get(key or "")


async def by_dependency(owner: Annotated[str | None, Depends(load)]) -> str | None:
    return owner


async def is_known(owner: Annotated[str | None, Depends(load)]) -> bool:
    return owner is not None


async def by_request(request: Request) -> str | None:
    return OWNERS.get(request.headers.get("x-api-key", ""))


class ByInstance:
    async def __call__(self, owner: Annotated[str | None, Depends(load)]) -> str | None:
        return owner


def by_key(key: str) -> str | None:
    return OWNERS.get(key)


def of_unknown_types(key: str, session: Session) -> str | None:
    return None
