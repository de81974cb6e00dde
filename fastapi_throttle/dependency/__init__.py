"""What users put in ``Depends``."""

from fastapi_throttle.dependency.all_of import all_of
from fastapi_throttle.dependency.rate_limit import RateLimit
from fastapi_throttle.dependency.rules import UNLIMITED, tiers
from fastapi_throttle.dependency.runtime import Runtime

__all__ = ["UNLIMITED", "RateLimit", "Runtime", "all_of", "tiers"]
