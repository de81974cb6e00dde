"""What every backend must agree with, which third parties test theirs with as well."""

from fastapi_throttle.testing.oracle import Oracle, hit_of, policy_of

__all__ = ["Oracle", "hit_of", "policy_of"]
