"""What it means when Redis does not answer."""

from redis.exceptions import AuthenticationError, NoPermissionError

from fastapi_throttle.errors import BackendError, Fault


def fault_of(error: BaseException, seconds: float) -> BackendError:
    """Return what to tell of *error*, whatever the client library raised.

    The text of *error* stays in the cause: it may quote an address.

    Args:
        error: What was raised.
        seconds: The budget of the call.
    """
    is_locked_out = isinstance(error, AuthenticationError | NoPermissionError)
    fault: Fault = "configuration" if is_locked_out else "infrastructure"
    return _caused(error, f"Redis did not answer within {seconds} s", fault)


def overload(error: BaseException, seconds: float) -> BackendError:
    """Return what to tell when it is not Redis that was too slow."""
    return _caused(error, f"Too busy to ask Redis within {seconds} s", "overload")


def _caused(error: BaseException, message: str, fault: Fault) -> BackendError:
    told = BackendError(f"{message}: {type(error).__name__}", fault=fault)
    told.__cause__ = error
    return told
