"""Everything that knows HTTP: refusals, fields, the ASGI layer, which route a request takes."""

from fastapi_throttle.web.fields import EXPOSE_HEADERS, Fields
from fastapi_throttle.web.layer import ThrottleLayer
from fastapi_throttle.web.ledger import RequestLedger, ledger_of
from fastapi_throttle.web.openapi import install_openapi
from fastapi_throttle.web.problem import install_problem_details
from fastapi_throttle.web.refusal import RateLimitExceeded, RateLimitUnavailable, refusal_of
from fastapi_throttle.web.routes import Route, RouteTable

__all__ = [
    "EXPOSE_HEADERS",
    "Fields",
    "RateLimitExceeded",
    "RateLimitUnavailable",
    "RequestLedger",
    "Route",
    "RouteTable",
    "ThrottleLayer",
    "install_openapi",
    "install_problem_details",
    "ledger_of",
    "refusal_of",
]
