"""The one script that decides inside Redis, put together from the files in ``lua/``."""

import hashlib
from collections.abc import Sequence
from importlib import resources

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.model import MAX_LIMIT, Hit, Verdict

_LUA = resources.files(__package__) / "lua"
_INTEGERS_PER_CLAIM = len(Verdict._fields)


def _read(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text(encoding="utf-8")


def _assemble() -> str:
    """Join the files; only the functions of algorithms that a call uses come to life in it."""
    branches = "\nelseif ".join(
        f'code == "{algorithm.CODE}" then\n{_read(name.replace("-", "_"))}'
        for name, algorithm in ALGORITHMS.items()
    )
    dispatch = f"local function algorithm(code)\nif {branches}\nend\nend"
    struct = f"local struct = struct or (function()\n{_read('struct')}\nend)()"
    return "\n".join((struct, _read("prelude"), dispatch, _read("decide")))


TEXT = _assemble()
# What EVALSHA goes by; not a matter of security.
SHA = hashlib.sha1(TEXT.encode(), usedforsecurity=False).hexdigest()


def arguments(hits: Sequence[Hit], *, peek: bool, now: int | None) -> list[str | int]:
    """Return what follows the keys on the wire: integers and algorithm codes, no user text.

    Args:
        hits: One group, decided all or nothing.
        peek: Only tell what would be decided.
        now: Microseconds since the Unix epoch; None for the server's clock.
    """
    wire: list[str | int] = ["" if now is None else now, int(peek)]
    wire.append(sum(len(hit.keys) for hit in hits))
    for hit in hits:
        algorithm = ALGORITHMS[hit.policy.algorithm]
        # A cost above every limit can never fit; how far above makes no difference.
        cost = min(hit.cost, MAX_LIMIT + 1)
        for quota in hit.policy.quotas:
            wire += (algorithm.CODE, cost, *algorithm.parameters(quota))
    return wire


def verdicts(reply: Sequence[int]) -> list[Verdict]:
    """Read the script's reply: four integers per quota."""
    return [
        Verdict(*reply[at : at + _INTEGERS_PER_CLAIM])
        for at in range(0, len(reply), _INTEGERS_PER_CLAIM)
    ]
