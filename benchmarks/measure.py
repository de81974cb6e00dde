"""How script time and bytes are measured, and how tables are printed.

Script time is what the server itself books for a call (INFO commandstats, usec_per_call of
EVALSHA): neither network nor client is in it. Scripts are compared within one run, round by round
in turns, because a shared machine is faster one second and slower the next: a ratio is that of
two times from the same round.
"""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

import redis

from fastapi_throttle.backends.redis import script
from fastapi_throttle.decision import Verdict

PIPELINE = 16

Command = tuple[Any, ...]


class Call(NamedTuple):
    """One hit of a partition: *now* in microseconds (None: the server's clock) and its cost."""

    now: int | None
    cost: int


class Timing(NamedTuple):
    """Medians: microseconds per call, and the ratio to the yardstick's in the same round."""

    time: float
    ratio: float

    def __str__(self) -> str:
        """Both, as they stand in a table."""
        return f"{self.time:.1f} ({self.ratio:.2f})"


def storage_key(partition: int) -> str:
    """Return a key of the length that the library makes: a digest in braces, and a bucket."""
    return f"ft:1:{{{partition:022}}}:{'b' * 22}"


def execute(client: redis.Redis, commands: Iterable[Command]) -> list[Any]:
    """Send *commands* in pipelines of 16 and return the replies."""
    replies: list[Any] = []
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
        if len(pipeline) == PIPELINE:
            replies += pipeline.execute()
    return replies + pipeline.execute()


def script_time(client: redis.Redis, commands: Iterable[Command], *, is_admitted: bool) -> float:
    """Return the server's microseconds per script call.

    Raises:
        RuntimeError: A call was refused that was meant to be admitted, or the other way round.
    """
    client.config_resetstat()
    replies = execute(client, commands)
    spent: float = client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"]
    if any((verdict_of(reply).wait_us == 0) != is_admitted for reply in replies):
        message = f"all calls were meant to be {'admitted' if is_admitted else 'refused'}"
        raise RuntimeError(message)
    return spent


def verdict_of(reply: bytes | list[int]) -> Verdict:
    """Read what a script says: a list, or the binary text of the library's own."""
    return Verdict(*(reply if isinstance(reply, list) else script.integers(reply)))


def clone(client: redis.Redis, keys: Sequence[str]) -> None:
    """Give all *keys* the state of the first."""
    execute(client, (("COPY", keys[0], key, "REPLACE") for key in keys[1:]))


def timings(spent: dict[str, list[float]], yardstick: str) -> dict[str, Timing]:
    """Turn the times of all rounds into medians."""
    return {
        name: Timing(
            median(times),
            median(own / base for own, base in zip(times, spent[yardstick], strict=True)),
        )
        for name, times in spent.items()
    }


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table whose columns also line up in a terminal."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(cells, widths) for cells in (header, rule, *lines[1:]))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers = cells
    right = (cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True))
    return f"| {' | '.join((first.ljust(widths[0]), *right))} |"
