"""Who calls: accounts found by API key.

The keys are printed on the demo's page. Here, as in a real service, are only their digests, so
whoever reads this table cannot call the API. A plain hash suffices for keys that are random;
passwords would need a slow one.
"""

from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated, Literal

from fastapi import Depends, HTTPException, Security, status
from fastapi.security import APIKeyHeader


@dataclass(frozen=True)
class Account:
    """A customer."""

    name: str
    tier: Literal["free", "pro"]


ACCOUNTS = {
    "efbbf4acfb9fca30a898648f94e27b71b6c3d87b80f763060027b7bb5a31ac3e": Account("ada", "free"),
    "b0e02d39ea2c0350913cce6b6bc4d8f57bdbc9afe4626a43c9da2fd57a841a0f": Account("grace", "pro"),
}

# Without auto_error: a request without a key is welcome, as an anonymous one.
SentKey = Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))]


async def current_account(sent_key: SentKey) -> Account | None:
    """Return the account that the key belongs to; None without a key or with an unknown one."""
    digest = sha256((sent_key or "").encode()).hexdigest()
    for known, account in ACCOUNTS.items():
        if compare_digest(digest, known):
            return account
    return None


CurrentAccount = Annotated[Account | None, Depends(current_account)]


async def tier_of(account: CurrentAccount) -> str | None:
    """Return the caller's tier; None for anonymous callers, who get the default one."""
    return account.tier if account else None


async def refuse_unknown_key(sent_key: SentKey, account: CurrentAccount) -> None:
    """Answer 401 to a key that is nobody's: its sender should learn that it is wrong.

    Put it after the limit. An unknown key is no identity, so such a request is first counted for
    its address: inventing keys opens no new bucket, and soon gets 429 instead of 401.
    """
    if sent_key and account is None:
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, "Unknown API key.", {"WWW-Authenticate": "APIKey"}
        )
