"""The contract of a backend."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fastapi_throttle.decision import Decision
from fastapi_throttle.model import Hit


class Finding(NamedTuple):
    """Something about a store that its operator may want to know.

    Attributes:
        text: What it is, without secrets.
        is_harmful: Whether limits may not mean what they say because of it.
    """

    text: str
    is_harmful: bool = True


def check_backend(backend: object) -> None:
    """Check that it is one.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(backend, type) or not hasattr(backend, "hit"):
        # A text may hold a password: it is not repeated.
        got = f"the class {backend.__name__}" if isinstance(backend, type) else type(backend)
        message = f"backend must be a Backend such as RedisBackend(url), got {got}"
        raise TypeError(message)


class Backend(Protocol):
    """Keeps the counters of all partitions and decides about them.

    Every call is one atomic step for everybody who shares the counters (in a Redis Cluster: for
    all partitions of one node). The decisions are those of `fastapi_throttle.algorithms` for the
    same history.

    A backend may have an attribute ``budget``: the seconds after which each call has ended for
    sure; one without it is watched by a timer. It may have a method ``findings()`` that looks at
    how the store is set up, for an app that starts, and returns a sequence of `Finding`. Where
    parts of the store may fail while others work, such as the nodes of a Cluster, it may have a
    function ``part_of(hits)`` that names what decides them, at once and without asking anybody:
    a part that fails is given up alone.
    """

    async def hit(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """Decide *hits* together: all of them are charged, or none.

        Returns:
            One decision per hit; their ``allowed`` are equal. Where another hit was the reason
            for a refusal, ``retry_after`` is 0.0.

        Raises:
            BackendError: The store could not answer. The hits were charged at most once.
        """

    async def peek(self, hits: Sequence[Hit]) -> tuple[Decision, ...]:
        """Tell what `hit` would decide now; consume, create and renew nothing.

        Raises:
            BackendError: The store could not answer.
        """

    async def reset(self, hits: Sequence[Hit]) -> None:
        """Forget what the partitions of *hits* used.

        Raises:
            BackendError: The store could not answer.
        """

    async def aclose(self) -> None:
        """Release what this backend opened itself. It may be used again afterwards."""
