"""Handshakes of real clients with every WebSocket server that uvicorn has."""

import json
import time

import httpx
import pytest
from uvicorn.config import WS_PROTOCOLS
from uvicorn_workers import running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

SERVERS = sorted(set(WS_PROTOCOLS) - {"auto", "none"})


@pytest.fixture(scope="module", params=SERVERS)
def server(request, redis_server):
    redis_server.client.flushall()
    with running("sockets_app", redis_server.url, 0, options=["--ws", request.param]) as [url]:
        yield url.replace("http://", "ws://")


def is_echoed(server, path, caller):
    """Connect, and return whether a message comes back."""
    with connect(server + path, additional_headers={"x-caller": caller}) as socket:
        socket.send("hello")
        return socket.recv(timeout=5) == "hello"


def refusal(server, path, caller):
    """Connect, and return the response that refuses the handshake."""
    with pytest.raises(InvalidStatus) as refused:
        is_echoed(server, path, caller)
    return refused.value.response


def test_all_servers_of_uvicorn_are_tried():
    assert {"websockets", "wsproto"} <= set(SERVERS)


def test_a_handshake_is_refused_by_a_429_and_as_many_as_fit_are_admitted_after_the_wait(server):
    """One limit counts a request and a handshake; only the request is over after the wait."""
    headers = {"x-caller": "waiting"}
    assert httpx.get(server.replace("ws://", "http://") + "/shared", headers=headers).is_success
    time.sleep(1)  # noqa: TID251 - another process counts, by the clock of Redis
    assert is_echoed(server, "/shared", "waiting")

    refused = refusal(server, "/shared", "waiting")

    assert refused.status_code == 429
    [wait] = refused.headers.get_all("retry-after")
    assert refused.headers.get_all("ratelimit-policy") == ['"app";q=5;w=3600, "shared";q=2;w=2']
    [state] = refused.headers.get_all("ratelimit")
    assert state.startswith('"app";r=2;t=')
    assert state.endswith(f', "shared";r=0;t={wait}')
    assert refused.headers["cache-control"] == "no-store"
    problem = json.loads(refused.body)
    assert (problem["status"], problem["violated-policies"]) == (429, ["shared"])

    time.sleep(int(wait))  # noqa: TID251 - another process counts, by the clock of Redis
    assert is_echoed(server, "/shared", "waiting")
    assert refusal(server, "/shared", "waiting").status_code == 429


def test_a_limit_of_the_whole_app_counts_handshakes_and_breaks_none(server):
    assert [is_echoed(server, "/free", "everywhere") for _ in range(5)] == [True] * 5

    refused = refusal(server, "/free", "everywhere")

    assert refused.status_code == 429
    assert 3590 <= int(refused.headers["retry-after"]) <= 3600
    assert refused.headers.get_all("ratelimit-policy") == ['"app";q=5;w=3600']
    assert is_echoed(server, "/free", "somebody else")


def test_messages_are_counted_and_the_close_asks_to_come_back_later(server):
    with connect(server + "/messages", additional_headers={"x-caller": "talking"}) as socket:
        for text in ("one", "two"):
            socket.send(text)
            assert socket.recv(timeout=5) == text
        socket.send("three")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=5)

    assert closed.value.rcvd.code == 1013
