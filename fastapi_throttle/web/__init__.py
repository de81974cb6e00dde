"""Everything that knows HTTP: refusals, fields, the ASGI layer, which route a request takes."""

from fastapi_throttle.web.layer import ThrottleLayer
from fastapi_throttle.web.ledger import RequestLedger, ledger_of
from fastapi_throttle.web.refusal import RateLimitExceeded, RateLimitUnavailable, refusal_of
from fastapi_throttle.web.routes import Route, RouteTable

__all__ = [
    "RateLimitExceeded",
    "RateLimitUnavailable",
    "RequestLedger",
    "Route",
    "RouteTable",
    "ThrottleLayer",
    "ledger_of",
    "refusal_of",
]
