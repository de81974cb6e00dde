"""The app that uvicorn serves: that of the contender which the environment names.

Here and not in the adapters, because uvicorn wants a function without arguments.
"""

import gc
import json
import os
from importlib import import_module

from fastapi import FastAPI

from benchmarks.contenders.contender import Rule


def make() -> FastAPI:
    """Return the app, with the garbage collector as BENCH_GC says."""
    wanted = json.loads(os.environ["BENCH_APP"])
    contender = import_module(f"benchmarks.contenders.{wanted['module']}").CONTENDERS[
        wanted["name"]
    ]
    rules = {path: Rule(*rule) for path, rule in wanted["rules"].items()}
    app: FastAPI = contender.app(wanted["url"], rules)
    if os.environ.get("BENCH_GC") == "frozen":
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000)
    return app
