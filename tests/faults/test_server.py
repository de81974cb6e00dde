"""Faults of one Redis server; see `fault_scene`."""

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path

import pytest
import redis
from fault_run import LIMIT
from fault_scene import Rows, endure

ROWS = Rows()


def configured(number, name, **settings):
    """Add a row for settings of the server; it had other values before."""

    async def fault(scene):
        before = {key: scene.server.client.config_get(key)[key] for key in _dashed(settings)}
        for key, value in _dashed(settings).items():
            scene.server.client.config_set(key, value)
        yield
        for key, value in before.items():
            scene.server.client.config_set(key, value)

    fault.__name__ = name
    ROWS.row(number)(fault)


def _dashed(settings):
    return {key.replace("_", "-"): value for key, value in settings.items()}


@ROWS.row("B11", kind=None)
async def script_flushed(scene):
    scene.execute("SCRIPT", "FLUSH")
    await asyncio.gather(*(scene.run.ask("open", f"one of {number % 8}") for number in range(80)))
    for number in range(8):
        decision = await scene.run.throttle.peek("open", f"one of {number}")
        assert LIMIT - decision.remaining == 10
    scene.run.answers.clear()  # each of them asked more than once
    scene.execute("SCRIPT", "FLUSH")
    yield


@ROWS.row("B12", kind=None, budgets=2)
async def restarted(scene):
    scene.server.stop()
    scene.server.start()
    await asyncio.sleep(0.02)
    yield


@ROWS.row("B13")
async def read_only(scene):
    scene.execute("REPLICAOF", "127.0.0.1", "1")
    yield
    scene.execute("REPLICAOF", "NO", "ONE")


@ROWS.row("B14")
async def master_down(scene):
    scene.server.client.config_set("replica-serve-stale-data", "no")
    scene.execute("REPLICAOF", "127.0.0.1", "1")
    yield
    scene.execute("REPLICAOF", "NO", "ONE")


configured("B15", "no_replicas", min_replicas_to_write="1")


@ROWS.row("B16")
async def cannot_persist(scene):
    scene.server.client.config_set("save", "3600 1")
    await asyncio.to_thread(_fail_to_save, scene.server.client)
    yield
    scene.server.client.config_set("save", "")


def _fail_to_save(client):
    Path(client.config_get("dir")["dir"]).rmdir()
    client.bgsave()
    while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
        time.sleep(0.01)  # noqa: TID251 - a child of the server fails


configured("B17", "full", maxmemory="1")


@ROWS.row("B18")
async def busy(scene):
    scene.server.client.config_set("busy-reply-threshold", "10")
    with socket.create_connection(("127.0.0.1", scene.server.port)) as connection:
        connection.sendall(b"EVAL 'while true do end' 0\r\n")
        await asyncio.sleep(0.05)
        yield
        scene.execute("SCRIPT", "KILL")


@ROWS.row("B19")
async def loading(scene):
    """The server restarts with so much to load that it takes a while."""
    client = scene.server.client
    client.mset({f"filler {number}": os.urandom(100) for number in range(300)})
    client.save()
    scene.server.stop(forgets=False)
    slow = ("--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024")
    starting = asyncio.ensure_future(asyncio.to_thread(scene.server.start, *slow))
    await asyncio.to_thread(_until_loading, scene.server.port)
    yield
    await starting


def _until_loading(port):
    while True:
        try:
            with redis.Redis(port=port, socket_timeout=1, retry=None) as client:
                client.ping()
        except redis.BusyLoadingError:
            return
        except redis.ConnectionError:
            time.sleep(0.005)  # noqa: TID251 - another process starts


@ROWS.row("B20", kind="configuration")
async def password_wanted(scene):
    scene.server.client.config_set("requirepass", "swordfish")
    scene.server.client.execute_command("AUTH", "swordfish")
    scene.execute("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await asyncio.sleep(0.02)
    yield
    scene.server.client.config_set("requirepass", "")


# Whoever has no password may give any.
@ROWS.row("B20", kind="configuration", options={"login": "default:sturgeon@"})
async def password_changed(scene):
    async with contextlib.asynccontextmanager(password_wanted)(scene):
        yield


@ROWS.row("B21", kind="configuration")
async def command_forbidden(scene):
    scene.execute("ACL", "SETUSER", "default", "-eval", "-evalsha")
    yield
    scene.execute("ACL", "SETUSER", "default", "+eval", "+evalsha")


@ROWS.row("B21", kind="configuration")
async def key_forbidden(scene):
    scene.execute("ACL", "SETUSER", "default", "resetkeys", "~other:*")
    yield
    scene.execute("ACL", "SETUSER", "default", "~*")


@ROWS.row("B21", kind="configuration")
async def command_of_the_script_forbidden(scene):
    scene.execute("ACL", "SETUSER", "default", "-time")
    yield
    scene.execute("ACL", "SETUSER", "default", "+time")


@ROWS.row("B22")
async def max_clients(scene):
    scene.server.client.config_set("maxclients", "1")
    scene.execute("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await asyncio.sleep(0.02)
    yield
    scene.server.client.config_set("maxclients", "100")


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_fault_of_the_server(row):
    await endure(row)
