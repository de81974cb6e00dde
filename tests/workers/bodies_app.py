"""Routes with and without before_body, in a process that tells what it read of their bodies."""

from pathlib import Path
from typing import Annotated

from fastapi import Body, Depends, FastAPI

from fastapi_throttle import RateLimit, Throttle, everyone

routes = FastAPI()
Throttle(routes)
received = []


def add_route(path, *, before_body):
    limit = RateLimit(1, "1h", name=path, key=everyone(), before_body=before_body)

    @routes.post(f"/{path}", dependencies=[Depends(limit)])
    async def endpoint(body: Annotated[dict, Body()]): ...


add_route("before", before_body=True)
add_route("after", before_body=False)


@routes.get("/read")
def read():
    """Return how many chunks of bodies were read, and the most memory the process ever used."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return {"chunks": sum(map(bool, received)), "peak_kb": int(fields["VmHWM"].split()[0])}


async def app(scope, receive, send):
    """Watch what the server is asked for: also what a middleware or the throttle would read."""

    async def watched():
        message = await receive()
        received.append(message.get("body"))
        return message

    await routes(scope, watched, send)
