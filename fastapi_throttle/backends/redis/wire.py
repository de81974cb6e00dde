"""Commands as they are sent."""

from collections.abc import Sequence

Command = Sequence[str | bytes | int]


def packed(commands: Sequence[Command]) -> bytes:
    """Return *commands* in the Redis serialization protocol.

    redis-py does the same and takes a third of the time of a lonely check for it.
    """
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for argument in command:
            raw = argument if isinstance(argument, bytes) else str(argument).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)
