"""Runs in a contender's own process and environment: does what the harness asks, line by line.

usage: python -m benchmarks.worker MODULE CONTENDER

A request is a line of JSON, the name of a function under ``inside`` and its arguments; the answer
is one, too: ``result``, ``cannot`` (the library has no such thing) or ``error``.
"""

import asyncio
import gc
import json
import os
import sys
import traceback
from importlib import import_module
from typing import Any

import uvloop

from benchmarks.contenders.contender import CannotError, Contender


async def main() -> None:
    """Serve until the harness closes the pipe."""
    module, name = sys.argv[1:]
    contender = import_module(f"benchmarks.contenders.{module}").CONTENDERS[name]
    # Whatever a library prints, answers stay answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # Nobody's round pays for the garbage of another's.
    gc.disable()
    while line := await asyncio.to_thread(sys.stdin.readline):
        gc.collect()
        print(json.dumps(await answer(contender, **json.loads(line))), file=answers, flush=True)


async def answer(contender: Contender, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do one thing."""
    module, _, name = function.partition(".")
    try:
        act = getattr(import_module(f"benchmarks.inside.{module}"), name)
        return {"result": await act(contender, **arguments)}
    except CannotError as error:
        return {"cannot": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a library raises, the others go on
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    uvloop.run(main())
