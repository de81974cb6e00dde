"""What it means when Redis does not answer, and whose fault it is."""

import re

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    MasterDownError,
    NoPermissionError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    TryAgainError,
)

from fastapi_throttle.errors import BackendError, Fault

# Wrong until somebody mends it; keys in several slots are one of the cluster's own exceptions.
_CONFIGURATION = (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisClusterException,
)
# What redis-py has no exceptions for, and what a script meets inside the server.
_CONFIGURATION_TEXTS = (
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "unknown command",
    "Unknown Redis command",
    "The user executing the script can't",
    "DB index is out of range",
    "This instance has cluster support disabled",
    "No such master with that name",
)
_KEY_TEXTS = ("WRONGTYPE", "value is not", "user_script:")
# Redis before 7 puts its words about the script before those of the cause.
_DEMOTED = re.compile("(?:^|: -)(?:READONLY|MASTERDOWN|NOREPLICAS) ")


def outage(error: BaseException, seconds: float) -> BackendError:
    """Return what to tell of *error*, whatever the client library raised.

    The text of *error* stays in the cause: it may quote an address.

    Args:
        error: What was raised.
        seconds: The budget of the call.
    """
    return _caused(error, f"Redis did not answer within {seconds} s", _fault_of(error))


def overload(error: BaseException, seconds: float) -> BackendError:
    """Return what to tell when it is not Redis that was too slow."""
    return _caused(error, f"Too busy to ask Redis within {seconds} s", "overload")


def is_demoted(error: ResponseError) -> bool:
    """Tell whether *error* says that a server is no master, or none that may write."""
    return isinstance(error, ReadOnlyError | MasterDownError) or bool(_DEMOTED.search(str(error)))


def _fault_of(error: BaseException) -> Fault:
    """Return whose fault *error* is: the store's, unless it is known better."""
    if isinstance(error, _CONFIGURATION):
        return "configuration"
    if isinstance(error, TryAgainError):
        return "key"
    if isinstance(error, ResponseError):
        text = str(error)
        if text.startswith(_CONFIGURATION_TEXTS):
            return "configuration"
        if text.startswith(_KEY_TEXTS):
            return "key"
    return "infrastructure"


def _caused(error: BaseException, message: str, fault: Fault) -> BackendError:
    told = BackendError(f"{message}: {type(error).__name__}", fault=fault)
    told.__cause__ = error
    return told
