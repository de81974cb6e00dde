"""What about servers is not as a limiter wants it."""

import asyncio
from collections.abc import Mapping, Sequence

from fastapi_throttle.backends.protocol import Finding
from fastapi_throttle.backends.redis.lane import Lane
from fastapi_throttle.errors import BackendError

# The first that knows SET with KEEPTTL, which the script uses.
_OLDEST = (6, 0)


async def findings_of(lanes: Sequence[Lane]) -> list[Finding]:
    """Look at the settings of the servers that *lanes* lead to, as far as their user may.

    Raises:
        BackendError: One did not answer.
    """
    # Nobody is left behind: an event loop may end when one server did not answer.
    looked = await asyncio.gather(*map(_findings_of, lanes), return_exceptions=True)
    found: list[Finding] = []
    for each in looked:
        if isinstance(each, BaseException):
            raise each
        found.extend(each)
    # What they have in common is told once.
    return list(dict.fromkeys(found))


async def _findings_of(lane: Lane) -> list[Finding]:
    info = _read(await _ask(lane, "INFO"))
    if not info:
        text = "its settings may not be read, so they were not looked at"
        return [Finding(text, is_harmful=False)]
    found = [_of_version(info), _of_memory(info), await _of_persistence(lane, info)]
    return [finding for finding in found if finding is not None]


async def _ask(lane: Lane, *command: str) -> bytes | list[bytes]:
    """Return the reply; nothing for a command that is not allowed, for no limit needs it."""
    try:
        reply: bytes | list[bytes] = await lane.ask(*command)
    except BackendError as error:
        if error.fault == "configuration":
            return b""
        raise
    return reply


def _read(info: bytes | list[bytes]) -> Mapping[str, str]:
    lines = info.decode("utf-8", "replace").splitlines() if isinstance(info, bytes) else ()
    fields = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: value for name, _, value in fields}


def _of_version(info: Mapping[str, str]) -> Finding | None:
    version = info.get("redis_version", "")
    parts = version.split(".")[:2]
    if all(part.isdigit() for part in parts) and tuple(map(int, parts)) < _OLDEST:
        return Finding(
            f"version {version} is older than 6.0, the oldest that knows all it is asked"
        )
    return None


def _of_memory(info: Mapping[str, str]) -> Finding | None:
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory", "0") == "0" or policy == "noeviction":
        return None
    return Finding(
        f"maxmemory-policy is {policy}: when memory is full, it forgets what callers used; "
        "with noeviction, limits follow their failure mode instead"
    )


async def _of_persistence(lane: Lane, info: Mapping[str, str]) -> Finding | None:
    reply = await _ask(lane, "CONFIG", "GET", "save")
    if not reply or reply[-1] or info.get("aof_enabled") == "1":
        return None
    text = "nothing is persisted: a restart gives every caller one more limit"
    return Finding(text, is_harmful=False)
