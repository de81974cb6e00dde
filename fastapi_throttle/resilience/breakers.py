"""A breaker for each part of a store, so that a part that fails keeps nobody from the others."""

from collections.abc import Callable, Hashable, Sequence

from fastapi_throttle.model import Hit
from fastapi_throttle.resilience.breaker import Breaker

# Parts come and go; those that do well are forgotten when there are more.
MOST_PARTS = 1_000


class Breakers:
    """One breaker per part of a store, such as the nodes of a Cluster.

    Args:
        part_of: Names the part that decides hits; see `Backend`. None: there is only one.
        make: Makes a breaker.

    Attributes:
        only: The one of a store that has no parts.
    """

    def __init__(
        self,
        part_of: Callable[[Sequence[Hit]], Hashable] | None,
        make: Callable[[], Breaker],
    ) -> None:
        self.only = make() if part_of is None else None
        self._part_of = part_of
        self._make = make
        self._parts: dict[Hashable, Breaker] = {}

    def of(self, hits: Sequence[Hit]) -> Breaker:
        """Return the breaker of the part that decides *hits*."""
        part = self._part_of(hits) if self._part_of else None
        breaker = self._parts.get(part)
        if breaker is None:
            if len(self._parts) >= MOST_PARTS:
                self._keep(lambda breaker: not breaker.is_calm)
            breaker = self._parts[part] = self._make()
        return breaker

    def review(self) -> tuple[bool, bool]:
        """Return whether any is open, and whether all are calm, of those that are still asked."""
        if self.only is not None:
            return self.only.is_open, self.only.is_calm
        # A node that was replaced is nobody's any more.
        self._keep(lambda breaker: breaker.is_calm or not breaker.is_left)
        breakers = list(self._parts.values())
        return any(b.is_open for b in breakers), all(b.is_calm for b in breakers)

    def _keep(self, is_kept: Callable[[Breaker], bool]) -> None:
        # A copy: other threads may have event loops of their own.
        parts = list(self._parts.items())
        self._parts = {part: breaker for part, breaker in parts if is_kept(breaker)}
