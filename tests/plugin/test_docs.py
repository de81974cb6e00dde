"""The page about testing is true: its examples run, and what its tables list is there."""

import inspect
import re
from pathlib import Path

import pytest
from suites import Suite

from fastapi_throttle import pytest_plugin
from fastapi_throttle.testing import ThrottleControl

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
APP, *EXAMPLES, BACKEND, TESTS_OF_BACKEND = BLOCKS
LISTED = re.findall(r"^\| `\.?(\w+)", PAGE, re.MULTILINE)


@pytest.mark.parametrize("number", range(1, 11))
def test_an_example_runs(suite: Suite, number: int):
    example = EXAMPLES[number - 1]
    result = suite(example, "-p", "anyio", "-k", "not trio", app=APP)

    outcomes = result.parseoutcomes()
    outcomes.pop("deselected", None)
    assert outcomes == {"passed": 2 if "parametrize" in example else 1}


def test_the_backend_of_the_page_passes_the_tests_for_backends(
    suite: Suite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(pytester.path))
    pytester.makepyfile(sqlite_backend=BACKEND)

    suite(TESTS_OF_BACKEND, in_subprocess=True).assert_outcomes(passed=10)


def test_there_are_ten_short_examples():
    assert len(EXAMPLES) == 10
    assert re.findall(r"^\*\*(\d+)\.", PAGE, re.MULTILINE) == [f"{n}" for n in range(1, 11)]
    assert max(example.count("\n") for example in EXAMPLES) <= 20


def test_every_method_and_fixture_is_listed():
    methods = [name for name in vars(ThrottleControl) if not name.startswith("_")]
    fixtures = [name for name in vars(pytest_plugin) if name.startswith("throttle")]

    assert set(methods) | set(fixtures) <= set(LISTED)
    assert set(LISTED) - set(methods) - set(fixtures) == {
        *("enabled", "limits", "backend", "isolation"),
        *("throttle_default", "throttle_isolation"),
    }
    assert set(inspect.signature(ThrottleControl.exhaust).parameters) == {"self", "limit", "key"}
