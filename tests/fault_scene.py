"""Faults as rows of a table, and the one function that asserts what must hold in all of them.

The rows are tests in ``tests/faults``; their ids begin with the number, so ``-k "B7-"`` finds all
of B7.

=======  ========================================  ============================
row      fault                                     where
=======  ========================================  ============================
B1       nobody listens, killed, never started     test_way.py
B2       connections reset or closed, old and new  test_way.py
B3       idle connections closed by the server     test_way.py
B4       connecting hangs                          test_way.py
B5       accepts and never answers, stopped        test_way.py
B6       only the connections there are, dead      test_way.py
B7       slower than the budget                    test_way.py
B8       slow within the budget                    test_way.py
B9       reply lost after the execution            test_way.py
B10      not Redis, or half a reply                test_way.py
B11      scripts flushed                           test_server.py
B12      restarted without persistence             test_server.py
B13-B19  READONLY, MASTERDOWN, NOREPLICAS,         test_server.py
         MISCONF, OOM, BUSY, LOADING
B20-B21  NOAUTH, WRONGPASS, NOPERM                 test_server.py
B22      maxclients                                test_server.py
B23      no connection free, event loop stalled    test_process.py
B24-B27  another type, unreadable, without TTL,    test_stored.py
         flushed
B28-B29  the server's clock jumps                  test_stored.py
B30      the worker's clock jumps                  test_process.py
B39      several event loops                       test_process.py
B40      fork after use                            test_process.py, and
                                                   backends/test_event_loops.py
B41      no lifespan                               test_process.py
B42      requests cancelled                        test_cancelled.py
=======  ========================================  ============================
"""

import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from fault_run import BUDGET, FaultRun
from redis_server import RedisServer
from tcp_proxy import Proxy

ROUNDS = 4
# A machine that stops the test itself for so long, unasked, proves nothing about the store.
STOPPED_SECONDS = BUDGET / 5
ATTEMPTS = 5


@dataclass
class Scene:
    """A server, a proxy in front of it, and an app that asks through the proxy."""

    server: RedisServer
    proxy: Proxy
    run: FaultRun

    def execute(self, *command):
        return self.server.client.execute_command(*command)


@dataclass
class Row:
    """A fault, and what it is taken for.

    Attributes:
        number: In the table of faults.
        fault: Injects it on entry and heals it on exit.
        kind: Whose fault it is; None: nobody notices.
        budgets: How often the limit may be used up, for what the store forgets.
        is_partial: Whether it hits some of the requests only.
        is_first: Whether it was there before the first request.
        options: As for `scene_of`.
    """

    number: str
    fault: Callable[[Scene], AbstractAsyncContextManager[None]]
    kind: str | None = "infrastructure"
    budgets: int = 1
    is_partial: bool = False
    is_first: bool = False
    options: dict = field(default_factory=dict)

    def __str__(self):
        return f"{self.number}-{self.fault.__name__}"


class Rows(list):
    """Rows of one test file, each declared by a decorator of the generator that is its fault."""

    def row(self, number, **attributes):
        def add(fault):
            self.append(Row(number, contextlib.asynccontextmanager(fault), **attributes))
            return fault

        return add


@contextlib.asynccontextmanager
async def scene_of(login="", **options):
    """Start a server, a proxy and an app, which may log in."""
    with RedisServer() as server:
        async with (
            Proxy(server.port) as proxy,
            FaultRun(f"redis://{login}127.0.0.1:{proxy.port}", **options) as run,
        ):
            yield Scene(server, proxy, run)


async def endure(row):
    """Go through a fault with a limit of each failure mode, and assert the nine invariants.

    1. No response is a 500; 2. each decision takes the budget at most; 3. no request is executed
    twice; 4. a store that fails is given up, and then nobody waits; 5. each mode does what it
    promises; 6. the store decides again soon after it is healed; 7. over all of it, no more is
    admitted than the limit and the share; 8. nothing is left behind; 9. no warning (they are
    errors here), and operators are told once.
    """
    for attempt in range(ATTEMPTS):
        async with scene_of(**row.options) as scene:
            try:
                await _endure(row, scene)
                return
            except AssertionError:
                if attempt + 1 == ATTEMPTS or scene.run.lag.longest < STOPPED_SECONDS:
                    raise


async def _endure(row, scene):
    run = scene.run
    if not row.is_first:
        before = await run.rounds(1)
        assert [(answer.status, answer.is_degraded) for answer in before] == [(200, False)] * 3
    async with row.fault(scene):
        await _check_during(row, run)
    await run.check_recovery()  # 6
    await run.check_bound(row.budgets)  # 7
    await run.check_at_most_once()  # 3
    run.check_answers()  # 1, 2, 5
    run.check_nothing_left()  # 8
    assert run.told.levels in _told(row)  # 9


async def _check_during(row, run):
    failures = run.throttle.health().failures
    answers = await run.rounds(ROUNDS)
    health = run.throttle.health()
    degraded = [answer for answer in answers if answer.is_degraded]
    others = {kind: number for kind, number in health.failures.items() if kind != row.kind}
    assert not any(others.values())
    if row.kind is None:
        assert not degraded
    elif row.is_partial:
        assert health.failures[row.kind]
        assert row.kind != "overload" or health.state == "ok"
    else:
        assert len(degraded) == len(answers)
        assert health.failures[row.kind] - failures[row.kind] == len(answers)
        assert health.state == "degraded"
        await run.use_up_share()  # 5
        await run.check_given_up()  # 4


def _told(row):
    if row.kind == "overload":
        return [[], ["WARNING"]]
    level = "ERROR" if row.kind == "configuration" else "WARNING"
    silence = [[]] if row.kind is None or row.is_partial else []
    return silence if row.kind is None else [*silence, [level, "INFO"]]
