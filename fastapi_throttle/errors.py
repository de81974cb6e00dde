"""What can go wrong, apart from being refused.

    ThrottleError                 anything this library raises on its own account
    ├── ConfigurationError        the application is wired wrongly; also a ValueError
    └── BackendError              the store could not answer

A refusal is not an error of the library: `RateLimitExceeded` (429) and
`RateLimitUnavailable` (503) are `HTTPException`s and live with the code that knows HTTP.
"""

from typing import Literal

Fault = Literal["infrastructure", "configuration", "key", "overload"]
"""Why a store could not answer: it failed; it does not let us in; what is stored for these
partitions is unusable; or it was never really asked, for this process had too much to do."""


class ThrottleError(Exception):
    """Base of the errors this library raises on its own account."""


class ConfigurationError(ThrottleError, ValueError):
    """Raised when limits, keys or settings contradict each other or cannot work."""


class BackendError(ThrottleError):
    """Raised when the store could not answer; ``__cause__`` holds the original error.

    Attributes:
        fault: Why it could not.
    """

    def __init__(self, message: str = "", *, fault: Fault = "infrastructure") -> None:
        super().__init__(message)
        self.fault: Fault = fault
