"""How quotas are counted: pure functions of (state, quota, cost, now) in integer microseconds.

Each algorithm is a module with the functions of `Algorithm`. They are the oracle of the scripts
that run inside Redis: same history, same decision. `decide` puts several quotas together.
"""

from fastapi_throttle.algorithms import fixed_window, gcra, sliding_window
from fastapi_throttle.algorithms.decide import Algorithm, Claim, decide, give_back
from fastapi_throttle.model import AlgorithmName

ALGORITHMS: dict[AlgorithmName, Algorithm] = {
    "sliding-window": sliding_window,
    "gcra": gcra,
    "fixed-window": fixed_window,
}

__all__ = ["ALGORITHMS", "Algorithm", "Claim", "decide", "give_back"]
