"""The pytest plugin: every test starts with empty counters, in this process.

It is loaded in every suite where the package is installed. What needs more of the package than
two small modules is imported when a test has to do with limits.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from fastapi_throttle.clock import stand_in
from fastapi_throttle.errors import ThrottleError
from fastapi_throttle.model import Hit, Policy
from fastapi_throttle.override import check_wanted, overrides

if TYPE_CHECKING:
    from fastapi_throttle.backends import Backend
    from fastapi_throttle.testing import FakeClock, ThrottleControl
    from fastapi_throttle.testing.redis_server import RedisServer

_BACKENDS = ("memory", "fakeredis", "redis")
_MARKER = (
    "throttle(*, enabled, limits, backend, isolation): limits for this test: on or off; other "
    "rates, by name; counted in 'memory', 'fakeredis' or 'redis'; or where the apps count anyway."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what can be said for a whole suite."""
    parser.addini("throttle_default", "Whether limits are on: 'on' or 'off'.", default="on")
    parser.addini(
        "throttle_isolation",
        "Whether every test starts with empty counters in its process.",
        type="bool",
        default=True,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Introduce the marker."""
    config.addinivalue_line("markers", _MARKER)
    default = config.getini("throttle_default")
    if default not in ("on", "off"):
        message = f"throttle_default must be 'on' or 'off', got {default!r}"
        raise pytest.UsageError(message)
    try:
        config.getini("throttle_isolation")
    except (pytest.UsageError, ValueError) as error:
        message = f"throttle_isolation must be true or false: {error}"
        raise pytest.UsageError(message) from None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin before any fixture does, those of modules and classes included."""
    test = item.stash[_TEST] = _Test(item)
    test.begin()


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """End after all fixtures did."""
    try:
        yield
    finally:
        # Another plugin may have skipped it before it began.
        test = item.stash.get(_TEST, None)
        if test is not None:
            test.end()


@pytest.fixture
def throttle(request: pytest.FixtureRequest) -> "ThrottleControl":
    """What uses limits up, looks into them, rewrites them, lets their store fail."""
    return _of(request).control()


@pytest.fixture
def throttle_clock(request: pytest.FixtureRequest) -> "FakeClock":
    """A clock that moves only when told, ``.advance("61s")``, for everything limits do."""
    return _of(request).clock()


@pytest.fixture
def throttle_off(request: pytest.FixtureRequest) -> None:
    """Switch limits off for this test."""
    _of(request).switch_off()


@pytest.fixture
def throttle_redis(request: pytest.FixtureRequest) -> str:
    """The URL of a real, empty Redis in which this test counts."""
    return _of(request).redis_url()


class _Test:
    """What a test wants, from its first fixture to its last.

    It is an `Override` that makes way for the real one when somebody asks it, since a test that
    has nothing to do with limits should not import them.
    """

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self._fixtures: Sequence[str] = getattr(item, "fixturenames", ())
        self._undo = ExitStack()
        self._clock: FakeClock | None = None
        self._control: ThrottleControl | None = None
        self._stage: Any = None
        self._redis_url: str | None = None
        self._wanted: dict[str, Any] = {}

    def begin(self) -> None:
        """Be asked from now on; ask for what the test's fixtures would ask for too late."""
        self._wanted = _wanted_by(self._item, self._fixtures)
        self._undo.callback(setattr, overrides, "active", overrides.active)
        self._undo.callback(setattr, stand_in, "clock", stand_in.clock)
        if self._wanted["isolation"] or self._wanted["enabled"] is not None:
            overrides.active = self
        if "throttle_clock" in self._fixtures:
            self.clock()
        if "throttle_off" in self._fixtures:
            self.switch_off()
        if self._wanted["limits"] or self._wanted["backend"]:
            try:
                self.control()
            except (TypeError, ThrottleError) as error:
                _refuse_marker(error)

    def end(self) -> None:
        """Leave everything as it was."""
        try:
            self._undo.close()
        except ThrottleError as error:
            _refuse_marker(error)

    def control(self) -> "ThrottleControl":
        """Return what acts on limits."""
        if self._control is None:
            from fastapi_throttle.testing import override

            wanted = {**self._wanted, "backend": self._backend(self._wanted["backend"])}
            self._control = self._undo.enter_context(override(**wanted))
            self._stage = overrides.active
        return self._control

    def clock(self) -> "FakeClock":
        """Return the clock, which stands still from the first call on."""
        if self._clock is None:
            from fastapi_throttle.testing import FakeClock

            stand_in.clock = self._clock = FakeClock()
        return self._clock

    def switch_off(self) -> None:
        """Switch limits off."""
        if self._wanted["enabled"] is not False:
            from fastapi_throttle.testing import override

            self._wanted["enabled"] = False
            off = override(enabled=False, isolation=self._wanted["isolation"])
            self._undo.enter_context(off)

    def redis_url(self) -> str:
        """Return the address of the run's Redis, emptied once in this test; or skip the test."""
        if self._redis_url is None:
            from fastapi_throttle.testing import redis_server

            server = self._item.config.stash.get(_SERVER, None)
            if server is None:
                try:
                    server = self._item.config.stash[_SERVER] = redis_server.RedisServer()
                except redis_server.NoRedisError as error:
                    pytest.skip(f"no Redis for this test: {error}")
                self._item.config.add_cleanup(server.stop)
            server.empty()
            self._redis_url = server.url
            if self._wanted["backend"] is None:
                self._move_to_redis()
        return self._redis_url

    def _move_to_redis(self) -> None:
        """Count in Redis from now on: a fixture asked for it while the test was under way."""
        self._wanted["backend"] = "redis"
        if self._control is None:
            self.control()
        else:
            self._stage.count_in(self._backend("redis"))

    def decider(self, runtime: Any) -> Any:
        """See `Override.decider`."""
        return self._next().decider(runtime)

    def policy(self, rules: Any) -> Policy | None:
        """See `Override.policy`."""
        policy: Policy | None = self._next().policy(rules)
        return policy

    def claimed(self, runtime: Any, bucket: tuple[str, ...], identity: Any, hit: Hit) -> None:
        """See `Override.claimed`."""
        self._next().claimed(runtime, bucket, identity, hit)

    def _next(self) -> Any:
        self.control()
        return overrides.active

    def _backend(self, kind: str | None) -> "Backend | None":
        """Return a new, empty backend of this kind; None for the default."""
        if kind is None:
            return None
        from fastapi_throttle.testing.stores import new_backend

        if kind == "fakeredis":
            pytest.importorskip("fakeredis", reason="backend='fakeredis' needs fakeredis")
        return new_backend(kind, self.redis_url)


def _wanted_by(item: pytest.Item, fixtures: Sequence[str]) -> dict[str, Any]:
    """Return what a test wants: by the nearest marker that says so, else by the ini."""
    wanted = {
        "enabled": False if item.config.getini("throttle_default") == "off" else None,
        "limits": {},
        "backend": "redis" if "throttle_redis" in fixtures else None,
        "isolation": item.config.getini("throttle_isolation"),
    }
    for marker in reversed(list(item.iter_markers("throttle"))):
        unknown = [*map(repr, marker.args), *(set(marker.kwargs) - set(wanted))]
        if unknown:
            _refuse_marker(f"it takes {', '.join(wanted)} by name, got {', '.join(unknown)}")
        limits = marker.kwargs.get("limits", {})
        nearer = {**wanted, **marker.kwargs, "limits": limits}
        try:
            check_wanted(enabled=nearer["enabled"], isolation=nearer["isolation"], limits=limits)
        except TypeError as error:
            _refuse_marker(error)
        wanted = {**nearer, "limits": {**wanted["limits"], **limits}}
    if wanted["backend"] not in (None, *_BACKENDS):
        known = ", ".join(_BACKENDS)
        _refuse_marker(f"backend must be one of {known}, got {wanted['backend']!r}")
    return wanted


def _refuse_marker(reason: object) -> NoReturn:
    message = f"@pytest.mark.throttle: {reason}"
    raise pytest.fail.Exception(message, pytrace=False) from None


_TEST = pytest.StashKey[_Test]()
_SERVER: "pytest.StashKey[RedisServer]" = pytest.StashKey()


def _of(request: pytest.FixtureRequest) -> _Test:
    test: _Test = request.node.stash[_TEST]
    return test
