"""The app that uvicorn serves: that of the contender which the environment names.

Here and not in the adapters, because uvicorn wants a function without arguments.
"""

import json
import os
from importlib import import_module

from fastapi import FastAPI

from benchmarks.contenders.contender import Rule


def make() -> FastAPI:
    """Return the app."""
    wanted = json.loads(os.environ["BENCH_APP"])
    contender = import_module(f"benchmarks.contenders.{wanted['module']}").CONTENDERS[
        wanted["name"]
    ]
    rules = {path: Rule(*rule) for path, rule in wanted["rules"].items()}
    app: FastAPI = contender.app(wanted["url"], rules)
    return app
