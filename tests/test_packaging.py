"""What an installation contains and what importing does."""

import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest

import fastapi_throttle
from fastapi_throttle import pytest_plugin
from fastapi_throttle.algorithms import ALGORITHMS


def test_the_public_names_are_sorted_and_real():
    names = fastapi_throttle.__all__

    assert names == sorted(names, key=lambda name: (not name.isupper(), name.islower(), name))
    assert all(hasattr(fastapi_throttle, name) for name in names)


def test_every_public_name_has_a_home_and_is_listed():
    homes = {name for names in fastapi_throttle._HOMES.values() for name in names}

    assert homes == set(fastapi_throttle.__all__)
    assert set(fastapi_throttle.__all__) <= set(dir(fastapi_throttle))
    with pytest.raises(AttributeError, match="module 'fastapi_throttle' has no attribute 'nobody'"):
        _ = fastapi_throttle.nobody


def test_the_pytest_plugin_is_where_pytest_looks():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    entry_points = tomllib.loads(text)["project"]["entry-points"]["pytest11"]

    assert entry_points == {"fastapi_throttle": pytest_plugin.__name__}


def test_types_and_scripts_are_installed():
    package = resources.files("fastapi_throttle")
    lua = package / "backends" / "redis" / "lua"

    assert (package / "py.typed").is_file()
    for name in ("prelude", "decide", "struct", *(name.replace("-", "_") for name in ALGORITHMS)):
        assert (lua / f"{name}.lua").is_file()


def test_importing_opens_nothing():
    program = """
import socket
def refuse(*arguments): raise AssertionError("importing opened a socket")
socket.socket.connect = refuse
import asyncio
import fastapi_throttle
fastapi_throttle.RedisBackend("redis://127.0.0.1:1")
try:
    asyncio.get_event_loop_policy()
except RuntimeError:
    pass
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
