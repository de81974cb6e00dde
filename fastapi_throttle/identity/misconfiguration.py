"""Signs that an app believes the wrong address, told to the operator once each."""

from starlette.types import Scope

from fastapi_throttle.identity.identity import logger

_MANY = 100


class Suspicions:
    """Watches requests for set-ups that cannot be meant."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._distrusted_in_a_row = 0

    def note(self, scope: Scope, *, is_configured: bool, is_trusted: bool) -> None:
        """Look at one request.

        Args:
            scope: Of the request.
            is_configured: Whether any proxy is trusted.
            is_trusted: Whether this peer is.
        """
        client = scope.get("client") or ("",)
        # Servers that rewrite the client themselves leave 0 for its port; a unix peer has no host.
        is_rewritten = bool(client[0]) and client[-1] in (0, "0")
        if is_configured and not is_rewritten:
            self._distrusted_in_a_row = 0 if is_trusted else self._distrusted_in_a_row + 1
            if self._distrusted_in_a_row == _MANY:
                self._tell(
                    "None of the last 100 requests came from a trusted proxy: trusted_proxies or "
                    "trusted_hops does not fit what connects to this server."
                )
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        if lines and is_rewritten:
            self._look_at_leftmost(client[0], lines)
        elif lines and not is_configured:
            self._tell(
                "X-Forwarded-For arrives but no proxy is trusted: behind a proxy, all callers are "
                "limited as one. Set FASTAPI_THROTTLE_TRUSTED_PROXIES or _TRUSTED_HOPS."
            )

    def _look_at_leftmost(self, host: str, lines: list[bytes]) -> None:
        # Not split: there may be thousands of entries.
        leftmost, comma, _ = b",".join(lines).partition(b",")
        if comma and host == leftmost.strip().decode("latin-1"):
            self._tell(
                "The server took the leftmost entry of X-Forwarded-For for the client: anybody can "
                "choose it. Let --forwarded-allow-ips name your proxies, never '*'."
            )

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            logger.warning(message)
