"""The one script that decides inside Redis, put together from the files in ``lua/``."""

import hashlib
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources

from fastapi_throttle.algorithms import ALGORITHMS
from fastapi_throttle.model import MAX_LIMIT, Hit, Policy

_LUA = resources.files(__package__) / "lua"
# The script's binary texts, see lua/decide.lua.
_CLAIM = struct.Struct(">cQQQ")


def _read(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text(encoding="utf-8")


def _assemble(body: str, read_algorithm: Callable[[str], str]) -> str:
    """Join the files; only the functions of algorithms that a call uses come to life in it."""
    branches = "\nelseif ".join(
        f'code == "{algorithm.CODE}" then\n{read_algorithm(name.replace("-", "_"))}'
        for name, algorithm in ALGORITHMS.items()
    )
    make = f"local function make(code)\nif {branches}\nend\nend"
    packing = f"local struct = struct or (function()\n{_read('struct')}\nend)()"
    return "\n".join((packing, _read("prelude"), make, _read(body)))


def _read_with_give_back(name: str) -> str:
    """Return an algorithm with one function more, which decisions do not need to know."""
    functions, _, returned = _read(name).rpartition("\nreturn ")
    return f"{functions}\n{_read(f'{name}_give_back')}\nreturn give_back, {returned}"


TEXT = _assemble("decide", _read)
# Another script, for it is rare, and everything in a script costs time at every call.
GIVE_BACK = _assemble("give_back", _read_with_give_back)
# What EVALSHA goes by; not a matter of security.
SHA = hashlib.sha1(TEXT.encode(), usedforsecurity=False).hexdigest()


def rule(hits: Sequence[Hit], *, peek: bool) -> bytes:
    """Return what the script needs to know of a group besides its keys: no user text in it.

    Groups with equal rules are decided alike, so they need to send it once.

    Args:
        hits: The group.
        peek: Only tell what would be decided.
    """
    start = b"\1" if peek else b"\0"
    if len(hits) == 1:
        policy, _, cost = hits[0]
        return _rule_alone(start, policy, cost)
    return b"".join((start, *(_claims(hit.policy, hit.cost) for hit in hits)))


@lru_cache(maxsize=4096)
def _rule_alone(start: bytes, policy: Policy, cost: int) -> bytes:
    return start + _claims(policy, cost)


@lru_cache(maxsize=4096)
def _claims(policy: Policy, cost: int) -> bytes:
    algorithm = ALGORITHMS[policy.algorithm]
    # A cost above every limit can never fit; how far above makes no difference.
    cost = min(cost, MAX_LIMIT + 1)
    return b"".join(
        _CLAIM.pack(algorithm.CODE.encode(), cost, *algorithm.parameters(quota))
        for quota in policy.quotas
    )


def giving_back(hits: Sequence[Hit], at: int, now: int | None) -> list[str | bytes | int]:
    """Return what follows EVAL to take back what was charged for *hits*.

    Args:
        hits: What was charged together.
        at: When, or a moment before, in microseconds since the Unix epoch.
        now: The same of now; None for the server's clock.
    """
    keys = [key for hit in hits for key in hit.keys]
    clock = "" if now is None else now
    return [GIVE_BACK, len(keys), *keys, clock, at, rule(hits, peek=False)]


def is_peek(rule: bytes) -> bool:
    """Tell whether *rule* only asks what would be decided."""
    return rule[0] == 1


def times(asked: Sequence[int]) -> bytes:
    """Return how many times each group of a run is asked for, each less than 2^16."""
    return struct.pack(f">{len(asked)}H", *asked)


def integers(reply: bytes) -> tuple[int, ...]:
    """Read the script's reply: one integer after the other."""
    return struct.unpack(f">{len(reply) // 8}q", reply)
