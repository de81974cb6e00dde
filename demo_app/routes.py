"""The API: each route shows one way to limit."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, status
from pydantic import BaseModel

from demo_app.accounts import CurrentAccount, current_account, refuse_unknown_key, tier_of
from fastapi_throttle import Decision, RateLimit, Throttle, principal, tiers

router = APIRouter()

# --- One route. Nothing says who pays, so the client's address does. ------------------------------

limited = RateLimit(10, "30s")


@router.get("/limited", dependencies=[Depends(limited)])
async def get_limited() -> dict[str, str]:
    """Answer ten times in 30 seconds."""
    return {"message": "You are within the limit."}


# --- A router: its routes share one bucket. -------------------------------------------------------

items_limit = RateLimit(20, "30s", name="items")
items = APIRouter(prefix="/items", dependencies=[Depends(items_limit)])

ITEMS = {1: "lamp", 2: "kettle", 3: "chair"}


@items.get("")
async def list_items() -> dict[int, str]:
    """List all items."""
    return ITEMS


@items.get("/{item_id}")
async def get_item(item_id: int) -> dict[str, str]:
    """Return one item. Asking for one that does not exist counts as well."""
    if item_id not in ITEMS:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such item.")
    return {"name": ITEMS[item_id]}


router.include_router(items)

# --- By tier: the account pays; for anonymous callers, and for unknown keys, the address. ---------

reports_limit = partial(
    RateLimit,
    tiers({"free": "3/10s", "pro": "15/10s"}, by=tier_of, default="free"),
    key=principal(current_account, by="name"),
    name="reports",
)


# In this order: whoever guesses keys is counted before being told that they are wrong.
@router.get("/reports", dependencies=[Depends(reports_limit()), Depends(refuse_unknown_key)])
async def get_reports(account: CurrentAccount) -> dict[str, str]:
    """Return the caller's reports."""
    return {"reports_for": account.name if account else "anonymous"}


# --- Two windows, decided together: a request that one refuses uses nothing of the other. ---------

search_limit = RateLimit("5/second; 60/minute", name="search")


@router.get("/search", dependencies=[Depends(search_limit)])
async def search(q: str = "") -> dict[str, list[str]]:
    """Find items by name."""
    return {"found": [name for name in ITEMS.values() if q in name]}


# --- By cost: a request pays for what it asks for. ------------------------------------------------


async def export_pages(pages: Annotated[int, Query(ge=1, le=5)] = 1) -> int:
    """Return how many pages are wanted. A number that is refused with 422 costs nothing."""
    return pages


export_limit = RateLimit(10, "20s", cost=export_pages, name="export")


@router.get("/export")
async def export(
    pages: Annotated[int, Depends(export_pages)],
    decision: Annotated[Decision, Depends(export_limit)],
) -> dict[str, int]:
    """Export some pages; the limit's value is its decision."""
    return {"pages": pages, "pages_left": decision.remaining}


# --- Looking without using. -----------------------------------------------------------------------


class QuotaLeft(BaseModel):
    """What is left of one window. Times in seconds."""

    policy: str
    limit: int
    window: float
    remaining: int
    reset_after: float


class MyLimits(BaseModel):
    """What the caller may still do."""

    account: str
    limits: list[QuotaLeft]


@router.get("/me/limits")
async def get_my_limits(
    request: Request,
    account: CurrentAccount,
    # Dependencies have to resolve this limit; of a cost of 0 nothing is used either.
    reports: Annotated[Decision, Depends(reports_limit(cost=0))],
) -> MyLimits:
    """Tell what is left of every limit. Uses nothing up."""
    peeked = [await each.peek(request) for each in (limited, items_limit, search_limit)]
    decisions = [*peeked, await export_limit.peek(request), reports]
    return MyLimits(
        account=account.name if account else "anonymous",
        limits=[left for decision in decisions for left in quotas_left(decision)],
    )


def quotas_left(decision: Decision) -> list[QuotaLeft]:
    """Return one entry per window, named as in the RateLimit field; none if nothing was counted."""
    return [
        QuotaLeft(
            policy=label,
            limit=quota.limit,
            window=quota.window,
            remaining=quota.remaining,
            reset_after=quota.reset_after,
        )
        for label, quota in zip(decision.policy.labels, decision.quotas, strict=False)
    ]


# --- Not limited. ---------------------------------------------------------------------------------


@router.get("/healthz")
async def get_health(request: Request) -> dict[str, str]:
    """Say that the process serves, and where it counts: the kind of store, never its URL."""
    throttle: Throttle = request.app.state.throttle
    return {"status": "ok", "backend": throttle.settings.backend.partition("://")[0]}
