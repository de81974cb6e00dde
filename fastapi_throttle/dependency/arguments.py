"""What is wrong with the arguments of a `RateLimit`, told when it is made."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from fastapi_throttle.dependency.claim import checked_cost
from fastapi_throttle.errors import ConfigurationError
from fastapi_throttle.identity import is_connection_only
from fastapi_throttle.identity.identity import name_of
from fastapi_throttle.model import FailureMode, Policy
from fastapi_throttle.notation import shown


class Parentheses:
    """Fails when FastAPI reads the signature of the class itself: ``Depends(RateLimit)``."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        message = (
            "Depends(RateLimit) limits nothing: a limit needs its numbers, with parentheses, as in "
            'Depends(RateLimit(100, "1m"))'
        )
        raise ConfigurationError(message)


def check_choices(scope: object, failure_mode: object) -> None:
    """Check the arguments that take one of a few words.

    Raises:
        ConfigurationError: One is another word.
    """
    if scope not in ("shared", "route"):
        message = f"scope must be 'shared' or 'route', got {scope!r}"
        raise ConfigurationError(message)
    if failure_mode not in (None, *get_args(FailureMode)):
        known = ", ".join(get_args(FailureMode))
        message = f"failure_mode must be one of {known}, got {failure_mode!r}"
        raise ConfigurationError(message)


def check_before_body(dependencies: Mapping[str, object]) -> None:
    """Check what before_body=True needs of the dependencies of a limit, by argument.

    Raises:
        ConfigurationError: One needs more than the connection.
    """
    for argument, dependency in dependencies.items():
        if argument != "key" or not is_connection_only(dependency):
            message = (
                f"{argument} must need only the connection with before_body=True, such as "
                f"client_ip() or a static number, got {name_of(dependency)}"
            )
            raise ConfigurationError(message)


def check_static_cost(cost: int, policies: Iterable[Policy]) -> None:
    """Check a cost that is the same for every request.

    Raises:
        TypeError: It is a bool.
        ConfigurationError: It is negative, or more than one of *policies* ever admits at once.
    """
    if isinstance(cost, bool):
        message = f"cost must be an int of quota units, got {cost!r}"
        raise TypeError(message)
    checked_cost(cost, "cost")
    for quota in (quota for policy in policies for quota in policy.quotas):
        if cost > quota.burst:
            message = (
                f"cost must be at most {quota.burst}, the most that {quota} ever admits at "
                f"once, got {shown(cost)}"
            )
            raise ConfigurationError(message)
