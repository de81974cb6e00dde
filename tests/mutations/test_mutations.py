"""What keeps a promise is taken away, in a copy, and a test turns red."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("fastapi_throttle", "tests", "pyproject.toml")
SECONDS = 120
REDIS = "fastapi_throttle/backends/redis"
# redis-py ends a connection, too, when a call is interrupted while it reads.
INTERRUPTED = """\
                    replies.append(await connection.read_response())
                except ResponseError as error:
                    replies.append(error)
                    is_misled = is_misled or is_demoted(error)
        except BaseException:
            await connection.disconnect(nowait=True)
"""


class Mutation(NamedTuple):
    """A promise, where it is kept, what is put in the place of what keeps it, and who notices."""

    promise: str
    path: str
    kept: str
    broken: str
    test: str


MUTATIONS = [
    Mutation(
        "clamp of gcra",
        f"{REDIS}/lua/gcra.lua",
        "if debt > tolerance then return tolerance, true end",
        "",
        "tests/backends/test_unreadable_state.py -k numbers_where_gcra",
    ),
    Mutation(
        "clamp of the sliding window",
        f"{REDIS}/lua/sliding_window.lua",
        "local is_ahead = newest >= 2 ^ 47",
        "local is_ahead = false",
        "tests/faults/test_stored.py -k B29",
    ),
    Mutation(
        "TTL from the moment a key exists",
        f"{REDIS}/lua/prelude.lua",
        ', "PX", ("%d"):format(1001 + (reset - reset % 1000) / 1000))',
        ")",
        "tests/backends/test_expiry.py",
    ),
    Mutation(
        "TTL that somebody took away",
        f"{REDIS}/lua/decide.lua",
        "keep(name, reset + p2 / 60)",
        "",
        "tests/faults/test_stored.py -k B26",
    ),
    Mutation(
        "shield of a reply: an interrupted call ends its connection",
        f"{REDIS}/connections.py",
        INTERRUPTED,
        INTERRUPTED.replace("response()", "response(disconnect_on_error=False)").replace(
            "await connection.disconnect(nowait=True)", "idle.append(connection)"
        ),
        "tests/faults/test_cancelled.py",
    ),
    Mutation(
        "shield of a call: who is cancelled takes nobody along",
        f"{REDIS}/lane.py",
        "            async with asyncio.timeout(self._budget):\n",
        "            call = asyncio.current_task()\n"
        "            for check in checks:\n"
        "                check.outcome.add_done_callback(\n"
        "                    lambda done, call=call: done.cancelled() and call.cancel()\n"
        "                )\n"
        "            async with asyncio.timeout(self._budget):\n",
        "tests/backends/test_riding_together.py -k takes_nobody_along",
    ),
    Mutation(
        "forks",
        f"{REDIS}/per_loop.py",
        "        if self._forks != _Process.forks:\n            # Never",
        "        if False:\n            # Never",
        "tests/backends/test_event_loops.py -k fork",
    ),
    Mutation(
        "deadline of a call",
        f"{REDIS}/lane.py",
        "            async with asyncio.timeout_at(check.deadline):",
        "            async with asyncio.timeout_at(self._loop.time() + 1):",
        "tests/faults/test_way.py -k black_hole",
    ),
    Mutation(
        "deadline of those who wait for a call",
        f"{REDIS}/lane.py",
        "self._alarm = self._loop.call_at(check.deadline, self._give_up, context=Context())",
        "pass",
        "tests/faults/test_process.py -k no_connection_free",
    ),
    Mutation(
        "deadline of a backend that has none",
        "fastapi_throttle/resilience/store.py",
        "    async with asyncio.timeout(seconds):",
        "    async with asyncio.timeout(10 * seconds):",
        "tests/resilience/test_store.py -k takes_too_long",
    ),
    Mutation(
        "at most once",
        f"{REDIS}/connections.py",
        '        (reply,) = await self.exchange((("EVALSHA", script.SHA, *arguments),))\n',
        '        calls = (("EVALSHA", script.SHA, *arguments),)\n'
        "        try:\n"
        "            (reply,) = await self.exchange(calls)\n"
        "        except Exception:\n"
        "            (reply,) = await self.exchange(calls)\n",
        "tests/faults/test_way.py -k reply_cut",
    ),
    Mutation(
        "breaker",
        "fastapi_throttle/resilience/store.py",
        "        if is_probe and not breaker.lets_through():",
        "        if False:",
        "tests/faults/test_way.py -k stopped",
    ),
    Mutation(
        "share of a local limit",
        "fastapi_throttle/resilience/fallback.py",
        "return math.ceil(units / self._workers)",
        "return units",
        "tests/faults/test_way.py -k killed",
    ),
]


def promise_of(mutation):
    return mutation.promise


def run(directory, test):
    """Run *test* in a copy and return how it ended: 0 is green, 1 is red."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *test.split()]
    path = {"PYTHONPATH": f"{directory}{os.pathsep}{directory / 'tests'}"}
    return subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def copy_to(directory):
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, directory / name)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=promise_of)
def test_what_keeps_a_promise_is_where_it_is_looked_for(mutation):
    text = (ROOT / mutation.path).read_text(encoding="utf-8")

    assert text.count(mutation.kept) == 1
    assert (ROOT / mutation.test.split()[0]).exists()


@pytest.mark.soak
@pytest.mark.parametrize("mutation", MUTATIONS, ids=promise_of)
def test_without_what_keeps_a_promise_a_test_is_red(mutation, tmp_path):
    copy_to(tmp_path)
    before = run(tmp_path, mutation.test)
    assert before.returncode == 0, before.stdout

    path = tmp_path / mutation.path
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutation.kept, mutation.broken), encoding="utf-8")
    after = run(tmp_path, mutation.test)

    # Red because a promise is broken, not because the copy cannot be imported.
    assert after.returncode == 1, after.stdout
    assert " failed" in after.stdout
