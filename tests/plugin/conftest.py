"""Suites of users, run with the plugin in this process or in one of their own."""

import os
from pathlib import Path

import pytest
from suites import APP, Suite

# What a suite in this process would import first, it would take away with it.
import fastapi_throttle.testing
import fastapi_throttle.throttle  # noqa: F401

ROOT = Path(__file__).parents[2]
# Of the Starlette that FastAPI 0.121 brings.
OLD_TEST_CLIENT = "ignore:The anyio.abc.BlockingPortal alias is deprecated:DeprecationWarning"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Return what runs the tests in a text, next to a module ``shop`` with an app."""
    # The same plugins wherever these tests run; those a suite needs, it names.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)

    def run(
        tests: str,
        *arguments: str,
        app: str = APP,
        ini: str = "",
        in_subprocess: bool = False,
    ) -> pytest.RunResult:
        pytester.makeini(f"[pytest]\n{ini}")
        pytester.makepyfile(shop=app, test_shop=tests)
        plugin = ("-p", "fastapi_throttle.pytest_plugin")
        runner = pytester.runpytest_subprocess if in_subprocess else pytester.runpytest_inprocess
        warnings = ("-W", "error", "-W", OLD_TEST_CLIENT)
        return runner(*warnings, "-p", "no:cacheprovider", *plugin, *arguments)

    return run
