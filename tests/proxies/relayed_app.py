"""An app behind proxies: the same limit under every way to find the client's address."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from fastapi_throttle import Decision, RateLimit, Throttle, ThrottleSettings

LIMIT = 5
PROXY = {"trusted_proxies": ("127.0.0.1",), "trust_unix_peer": True}
HOPS = {"trusted_hops": 1, "trust_unix_peer": True}
WAYS = {
    "nobody": {},
    "networks": PROXY,
    "hops": HOPS,
    "two-hops": {**HOPS, "trusted_hops": 2},
    "real-ip": {**PROXY, "proxy_header": "x-real-ip"},
    "forwarded": {**PROXY, "proxy_header": "forwarded"},
    "forwarded-hops": {**HOPS, "proxy_header": "forwarded"},
    "unix-untrusted": {**PROXY, "trust_unix_peer": False},
}


def limited_app(**settings):
    """Make an app whose answers tell what it knows about the caller."""
    app = FastAPI()
    throttle = Throttle(app, settings=ThrottleSettings(secret="of these tests", **settings))
    limit = RateLimit(LIMIT, "1h", name="client")

    @app.get("/limited")
    async def limited(request: Request, decision: Annotated[Decision, Depends(limit)]):
        """Count; return what is left, and what the server says the peer is."""
        return {"remaining": decision.remaining, "client": request.client}

    @app.get("/used")
    async def used(identity: str):
        """Return how much of its quota *identity* used."""
        return LIMIT - (await throttle.peek("client", identity)).remaining

    return app


app = FastAPI()
for way, settings in WAYS.items():
    app.mount(f"/{way}", limited_app(**settings))
