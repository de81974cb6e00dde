"""What all tests share: the `--soak` option, the event loop, and a real Redis."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from redis_server import RedisServer

from fastapi_throttle.identity import identity

# The same examples in every run, so a red build is about the change ...
settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=True)
# ... and new ones in every run that has the time to look for them.
settings.register_profile("soak", deadline=None, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--soak`."""
    parser.addoption("--soak", action="store_true", help="also run the tests marked soak")


def pytest_configure(config: pytest.Config) -> None:
    """Choose how hypothesis finds its examples."""
    settings.load_profile("soak" if config.getoption("soak") else "repeatable")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what takes minutes unless `--soak` asks for it: the only skip there is."""
    if config.getoption("soak"):
        return
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="runs with --soak only"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests and fixtures on asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _warnings_are_new() -> None:
    """Let every test see the warnings that operators get once per process."""
    identity._warned.clear()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One real Redis for all tests; who stops or pauses a server starts one of its own."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of the real Redis, emptied."""
    redis_server.client.flushall()
    return redis_server.url
