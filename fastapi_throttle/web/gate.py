"""Decides limits before a request's body is read."""

from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Scope

# Decides the limits of a request's route that ask for it; returns whether all admit.
Decide = Callable[[Scope], Awaitable[bool]]

_EMPTY: Message = {"type": "http.request", "body": b"", "more_body": False}


class Gate:
    """Stands in for ``receive``: by the first call, routing is done and nothing is read yet.

    A refused request is given an empty body. FastAPI then resolves its dependencies, and the
    limit's own, which was decided here, raises: so an app's handlers work as ever.
    """

    def __init__(self, scope: Scope, receive: Receive, decide: Decide) -> None:
        self._scope = scope
        self._receive = receive
        self._decide = decide
        self._is_decided = False

    async def __call__(self) -> Message:
        """Return the next message, or an empty body for a refused request."""
        if not self._is_decided:
            self._is_decided = True
            if not await self._decide(self._scope):
                return _EMPTY
        return await self._receive()
