"""A real Redis with replicas under three Sentinels, for tests."""

import tempfile
from pathlib import Path
from typing import Self

from redis_cluster import wait_until
from redis_server import RedisServer

SERVICE = "limits"
QUORUM = 2
# How long a master may be silent before it is given up, in milliseconds.
DOWN_AFTER = 1_000


class RedisSentinel:
    """A master, two replicas, three Sentinels. A context manager, like `RedisServer`.

    Args:
        options: Passed on to the servers, e.g. ``"--min-replicas-to-write", "1"``.
        password: What clients of the servers must know.
        sentinel_password: What clients of the Sentinels must know.

    Attributes:
        servers: The first was the master at the start.
        sentinels: The Sentinels.
        url: The address of all of them, as the library takes it.
    """

    def __init__(
        self, *options: str, password: str | None = None, sentinel_password: str | None = None
    ) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._password = password
        login = ("--masterauth", password) if password else ()
        own = ("--repl-diskless-sync-delay", "0", *login, *options)
        master = RedisServer(*own, password=password)
        following = ("--replicaof", f"127.0.0.1 {master.port}")
        self.servers = [
            master,
            *(RedisServer(*own, *following, password=password) for _ in range(2)),
        ]
        self.sentinels = [self._sentinel(number, sentinel_password) for number in range(3)]
        addresses = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{addresses}/{SERVICE}"

    def __enter__(self) -> Self:
        for server in self.servers:
            server.start()
        wait_until(self._are_in_step, "the replicas are in step")
        for sentinel in self.sentinels:
            sentinel.start()
        wait_until(self._are_in_touch, "the Sentinels know each other and the replicas")
        return self

    def __exit__(self, *exception: object) -> None:
        for process in (*self.sentinels, *self.servers):
            process.__exit__(*exception)
        self._directory.cleanup()

    def _sentinel(self, number: int, password: str | None) -> RedisServer:
        config = Path(self._directory.name) / f"sentinel-{number}.conf"
        lines = [
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.servers[0].port} {QUORUM}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}",
            f"sentinel failover-timeout {SERVICE} 5000",
            *([f"sentinel auth-pass {SERVICE} {self._password}"] if self._password else []),
            *([f"sentinel sentinel-pass {password}"] if password else []),
        ]
        config.write_text("\n".join(lines))
        return RedisServer(str(config), "--sentinel", password=password)

    def stop_sentinels(self) -> None:
        """Stop all Sentinels; they can be started again."""
        for sentinel in self.sentinels:
            sentinel.stop()
        for config in Path(self._directory.name).iterdir():
            # They wrote down where they worked, which is gone.
            lines = config.read_text().splitlines()
            config.write_text("\n".join(line for line in lines if not line.startswith("dir ")))

    def _are_in_step(self) -> bool:
        return all(
            replica.client.info("replication")["master_link_status"] == "up"
            for replica in self.servers[1:]
        )

    def _are_in_touch(self) -> bool:
        return all(
            (said := sentinel.client.sentinel_master(SERVICE))["num-other-sentinels"] == 2
            and said["num-slaves"] == 2
            for sentinel in self.sentinels
        )

    @property
    def master(self) -> RedisServer:
        """The server that all Sentinels which answer take for the master."""
        said = set()
        for sentinel in self.sentinels:
            if sentinel.is_running:
                said.add(sentinel.client.sentinel_get_master_addr_by_name(SERVICE)[1])
        (port,) = said
        (master,) = (server for server in self.servers if server.port == port)
        return master

    def fail_over(self) -> None:
        """Have another master chosen while the old one works, as before maintenance.

        The old one takes itself for a master, and writes, for some ten seconds more.
        """
        old = self.master
        self.sentinels[0].client.execute_command("SENTINEL FAILOVER", SERVICE)
        self.wait_for_another(old)

    def wait_for_another(self, old: RedisServer) -> None:
        """Wait until all Sentinels agree on a master other than *old*, and it takes writes."""

        def is_so() -> bool:
            try:
                master = self.master
            except ValueError:  # they disagree
                return False
            return master is not old and master.client.info("replication")["role"] == "master"

        wait_until(is_so, "there is another master")
