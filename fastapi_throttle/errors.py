"""What can go wrong, apart from being refused.

    ThrottleError                 anything this library raises on its own account
    ├── ConfigurationError        the application is wired wrongly; also a ValueError
    └── BackendError              the store could not answer

A refusal is not an error of the library: `RateLimitExceeded` (429) and
`RateLimitUnavailable` (503) are `HTTPException`s and live with the code that knows HTTP.
"""


class ThrottleError(Exception):
    """Base of the errors this library raises on its own account."""


class ConfigurationError(ThrottleError, ValueError):
    """Raised when limits, keys or settings contradict each other or cannot work."""


class BackendError(ThrottleError):
    """Raised when the store could not answer; ``__cause__`` holds the original error."""
