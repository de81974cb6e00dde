"""A real Redis Cluster for tests: masters that share the slots, and a replica for each if asked."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest
import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis_server import RedisServer, free_port

MASTERS = 3
# How long a node may be silent before the others give it up, in milliseconds.
NODE_TIMEOUT = 1_000
WAIT_SECONDS = 30


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    """Wait for what other processes do among themselves."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with contextlib.suppress(redis.RedisError):
            if is_true():
                return
        if time.monotonic() > deadline:
            pytest.fail(f"After {WAIT_SECONDS} s it is still not so that {what}.")
        time.sleep(0.02)  # noqa: TID251 - other processes talk


def slot_of(key: str) -> int:
    """Return the slot of *key*."""
    return key_slot(key.encode())


class RedisCluster:
    """Three masters, with or without a replica each. A context manager, like `RedisServer`.

    Args:
        replicas: Whether every master has one.
        is_whole_or_down: Whether all nodes answer nobody while one's slots are missing, as nodes
            do that are not told otherwise.

    Attributes:
        nodes: All of them, masters first; who is what may change later.
        url: The address of two masters, as the library takes it.
    """

    def __init__(self, *, replicas: bool = False, is_whole_or_down: bool = True) -> None:
        self._is_whole_or_down = is_whole_or_down
        # Outlives the nodes' own directories: a node that comes back is the same node.
        self._directory = tempfile.TemporaryDirectory()
        count = 2 * MASTERS if replicas else MASTERS
        self._bus_ports = {free_port(): number for number in range(count)}
        self.nodes = [self._node(bus_port) for bus_port in self._bus_ports]
        addresses = [f"127.0.0.1:{node.port}" for node in self.nodes[:2]]
        self.url = f"redis+cluster://{','.join(addresses)}"

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.start()
        slots = REDIS_CLUSTER_HASH_SLOTS
        for number, node in enumerate(self.nodes):
            # Only while it knows nobody.
            node.client.cluster("SET-CONFIG-EPOCH", number + 1)
            if number < MASTERS:
                low, high = slots * number // MASTERS, slots * (number + 1) // MASTERS - 1
                node.client.cluster("ADDSLOTSRANGE", low, high)
        for node in self.nodes:
            for other, bus_port in zip(self.nodes, self._bus_ports, strict=True):
                if other is not node:
                    node.client.cluster("MEET", "127.0.0.1", other.port, bus_port)
        self._wait_until_all_know_all()
        for master, replica in zip(self.nodes, self.nodes[MASTERS:], strict=False):
            replica.client.cluster("REPLICATE", self.id_of(master))
        self.wait_until_ok()
        return self

    def __exit__(self, *exception: object) -> None:
        for node in self.nodes:
            node.__exit__(*exception)
        self._directory.cleanup()

    def _node(self, bus_port: int) -> RedisServer:
        config = Path(self._directory.name) / f"{bus_port}.conf"
        return RedisServer(
            *("--cluster-enabled", "yes", "--cluster-config-file", str(config)),
            *("--cluster-port", str(bus_port), "--cluster-node-timeout", str(NODE_TIMEOUT)),
            *("--cluster-announce-ip", "127.0.0.1", "--repl-diskless-sync-delay", "0"),
            *("--cluster-replica-validity-factor", "0"),
            *("--cluster-require-full-coverage", "yes" if self._is_whole_or_down else "no"),
        )

    def _wait_until_all_know_all(self) -> None:
        def is_so() -> bool:
            return all(
                len(known := node.client.cluster("NODES")) == len(self.nodes)
                and not any("handshake" in other["flags"] for other in known.values())
                for node in self.nodes
            )

        wait_until(is_so, "all nodes know all nodes")

    def id_of(self, node: RedisServer) -> str:
        """Return the name of *node* in the Cluster."""
        return node.client.cluster("MYID").decode()

    @property
    def masters(self) -> list[RedisServer]:
        """The nodes that answer and say that they are masters with slots."""
        return [node for node in self.nodes if self._slots(node)]

    def _slots(self, node: RedisServer) -> list[list[str]]:
        with contextlib.suppress(redis.RedisError):
            for known in node.client.cluster("NODES").values():
                if "myself" in known["flags"] and "master" in known["flags"]:
                    return known["slots"]
        return []

    def owner(self, key: str) -> RedisServer:
        """Return the node that holds *key*, as that node itself says."""
        slot = slot_of(key)
        for node in self.nodes:
            for low, high in ((part[0], part[-1]) for part in self._slots(node) if "<" not in part):
                if int(low) <= slot <= int(high):
                    return node
        pytest.fail(f"No node says that it holds slot {slot}.")

    def wait_until_ok(self) -> None:
        """Wait until all nodes that answer agree that the Cluster works, replicas in step."""

        def is_ok() -> bool:
            return all(map(self._is_ok, self._running()))

        wait_until(is_ok, "the Cluster works")

    def _running(self) -> list[RedisServer]:
        return [node for node in self.nodes if node.is_running]

    def _is_ok(self, node: RedisServer) -> bool:
        said = node.client.cluster("INFO")
        covered = said["cluster_slots_ok"] == str(REDIS_CLUSTER_HASH_SLOTS)
        role = node.client.info("replication")
        in_step = role["role"] == "master" or role["master_link_status"] == "up"
        return said["cluster_state"] == "ok" and covered and in_step

    @contextlib.contextmanager
    def migrating(self, key: str, target: RedisServer) -> Iterator[RedisServer]:
        """Let the slot of *key* be on its way to *target* meanwhile; yields where it was.

        Keys go with `move`; what is left goes on exit, and the slot with it.
        """
        slot, source = slot_of(key), self.owner(key)
        assert source is not target
        target.client.cluster("SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.client.cluster("SETSLOT", slot, "MIGRATING", self.id_of(target))
        yield source
        while names := source.client.cluster("GETKEYSINSLOT", slot, 100):
            self.move(names, source, target)
        for node in (target, source, *self.masters):
            node.client.cluster("SETSLOT", slot, "NODE", self.id_of(target))

    def move(self, keys: list[bytes], source: RedisServer, target: RedisServer) -> None:
        """Move *keys* of a slot that is migrating, as redis-cli does."""
        source.client.migrate("127.0.0.1", target.port, keys, 0, 5_000)
