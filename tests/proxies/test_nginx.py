"""A real nginx in front of a real uvicorn: every client has a bucket, and only one."""

import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest
from redis_server import free_port

HERE = Path(__file__).parent
START_SECONDS = 30
LIMIT = 5

# Each line sets what nginx says about the client. Upstreams that rewrite the client by
# X-Forwarded-For must not get the one a client sent.
STYLES = {
    "append": "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "replace": "proxy_set_header X-Forwarded-For $remote_addr;",
    "real-ip": 'proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For "";',
    "real-ip-alone": "proxy_set_header X-Real-IP $remote_addr;",
    "forwarded": (
        'proxy_set_header Forwarded "$http_forwarded, for=$remote_addr";'
        'proxy_set_header X-Forwarded-For "";'
    ),
}
CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  {upstreams}
  server {{
    listen 127.0.0.1:{port};
    {locations}
    location /second/ {{ proxy_pass http://127.0.0.1:{port}/; {append} }}
  }}
}}
"""


class Upstream(NamedTuple):
    """One uvicorn.

    Attributes:
        bind: Where it listens, as options.
        address: The same as nginx writes it.
        options: Of its command line.
    """

    bind: tuple[str, ...]
    address: str
    options: tuple[str, ...]


def over_tcp(*options):
    port = free_port()
    return Upstream(("--port", str(port)), f"127.0.0.1:{port}", options)


def over_unix(directory, name, *options):
    path = str(directory / name)
    return Upstream(("--uds", path), f"unix:{path}", options)


@contextlib.contextmanager
def running(*command, **environment):
    """Run a server; at the end, stop it and wait until it is gone."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("FASTAPI_THROTTLE")
    }
    process = subprocess.Popen(command, env=inherited | environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_it_listens(process, address):
    """Wait for a server that listens at *address*, written as nginx writes it."""
    is_unix = address.startswith("unix:")
    target = address.removeprefix("unix:") if is_unix else ("127.0.0.1", int(address[10:]))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET) as probe,
        ):
            probe.connect(target)
            return
        time.sleep(0.02)  # noqa: TID251 - another process is starting
    pytest.fail(f"{process.args[:3]} does not listen on {address}; it says why above.")


def nginx_program():
    # Debian keeps it out of the sight of users.
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which("nginx", path=places)
    if program is None:
        pytest.fail(
            "The tests need nginx on PATH: install Debian's package nginx or nginx-light, "
            "or let scripts/test do so."
        )
    return program


def configuration(directory, port, upstreams):
    return CONFIGURATION.format(
        directory=directory,
        port=port,
        append=STYLES["append"],
        upstreams="\n".join(
            f"upstream {name} {{ server {upstream.address}; }}"
            for name, upstream in upstreams.items()
        ),
        locations="\n".join(
            f"location /{name}/{style}/ {{ proxy_pass http://{name}/; {lines} }}"
            for name, (style, lines) in itertools.product(upstreams, STYLES.items())
        ),
    )


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The port of an nginx that relays to a uvicorn of every kind."""
    directory = tmp_path_factory.mktemp("nginx")
    upstreams = {
        "default": over_tcp(),
        "plain": over_tcp("--no-proxy-headers"),
        "believer": over_tcp("--forwarded-allow-ips", "*"),
        "unix": over_unix(directory, "default.sock"),
        "unix-plain": over_unix(directory, "plain.sock", "--no-proxy-headers"),
    }
    port = free_port()
    (directory / "nginx.conf").write_text(configuration(directory, port, upstreams))
    with contextlib.ExitStack() as servers:
        started = {}
        for upstream in upstreams.values():
            command = (sys.executable, "-m", "uvicorn", "relayed_app:app", "--app-dir", str(HERE))
            options = ("--log-level", "warning", *upstream.bind, *upstream.options)
            process = servers.enter_context(running(*command, *options))
            started[upstream.address] = process
        nginx = (nginx_program(), "-e", "stderr", "-p", str(directory), "-c", "nginx.conf")
        started[f"127.0.0.1:{port}"] = servers.enter_context(running(*nginx))
        for address, process in started.items():
            wait_until_it_listens(process, address)
        yield port


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: Of the response.
        remaining: Of the caller's quota; None when refused.
        client: What uvicorn says the peer is: host and port, or None.
    """

    status: int
    remaining: int | None
    client: list[str | int] | None


class Caller:
    """Sends requests from one loopback address through nginx to one app.

    Args:
        port: Of nginx.
        route: Which upstream and which style.
        way: How the app finds the client's address.
        source: The loopback address.
    """

    def __init__(self, port, route, way, source):
        self._port = port
        self._path = f"/{route}/{way}"
        self.source = source

    def _get(self, path, *lines):
        connection = HTTPConnection(
            "127.0.0.1", self._port, timeout=START_SECONDS, source_address=(self.source, 0)
        )
        with contextlib.closing(connection):
            connection.putrequest("GET", self._path + path)
            for line in lines:
                connection.putheader(*line.split(": ", 1))
            connection.endheaders()
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def get(self, *lines):
        """Send one limited request with header lines."""
        status, body = self._get("/limited", *lines)
        return Answer(status, body.get("remaining"), body.get("client"))

    def statuses(self, *requests):
        """Send requests, each some header lines, and return their statuses."""
        return [self.get(*lines).status for lines in requests]

    def used(self, identity):
        """Return how much of its quota *identity* used."""
        status, body = self._get(f"/used?identity={identity}")
        assert status == 200
        return body


_sources = (f"127.0.{third}.{fourth}" for third in range(1, 250) for fourth in range(1, 250))


@pytest.fixture
def source():
    """A loopback address that no other test calls from."""
    return next(_sources)


def spoofed(count):
    """Forge one entry, then one line, then one garbage entry and so on, all different."""
    forged = (
        lambda i: [f"X-Forwarded-For: 6.6.6.{i}"],
        lambda i: [f"X-Forwarded-For: 6.6.7.{i}", f"X-Forwarded-For: 6.6.8.{i}"],
        lambda i: [f"X-Forwarded-For: unknown, garbage{i}, 127.0.0.1"],
        lambda i: [f'X-Forwarded-For: "6.6.9.{i}', f"Forwarded: for=6.6.9.{i}"],
        lambda i: [f"X-Real-IP: 6.6.6.{i}", f"X-Forwarded-For: [2001:db8::{i}]:80, 127.0.0.1:80"],
    )
    return [forged[index % len(forged)](index + 1) for index in range(count)]


SPOOFED_XFF = ["default", "plain", "unix", "unix-plain"]


@pytest.mark.parametrize("way", ["networks", "hops"])
@pytest.mark.parametrize("upstream", SPOOFED_XFF)
def test_spoofed_x_forwarded_for_buys_no_bucket(upstream, way, port, source):
    caller = Caller(port, f"{upstream}/append", way, source)

    statuses = caller.statuses(*spoofed(10))

    assert statuses == [200] * LIMIT + [429] * 5
    assert caller.used(f"ip:{source}") == LIMIT
    assert [caller.used(f"ip:{other}") for other in ("6.6.6.1", "6.6.7.2", "6.6.8.2")] == [0] * 3
    assert caller.used("peer:unix") == caller.used("peer:invalid") == 0


@pytest.mark.parametrize("way", ["networks", "hops"])
@pytest.mark.parametrize("upstream", SPOOFED_XFF)
def test_two_source_addresses_get_two_buckets(upstream, way, port):
    one = Caller(port, f"{upstream}/append", way, "127.0.0.1")
    nine = Caller(port, f"{upstream}/append", way, "127.0.0.9")

    assert [one.get().remaining, one.get().remaining] == [4, 3]
    assert [nine.get().remaining, nine.get("X-Forwarded-For: 127.0.0.1").remaining] == [4, 3]
    assert (one.used("ip:127.0.0.1"), one.used("ip:127.0.0.9")) == (2, 2)


@pytest.mark.parametrize("upstream", SPOOFED_XFF)
def test_headers_that_nginx_replaces_say_the_same(upstream, port, source):
    for way in ("networks", "hops"):
        caller = Caller(port, f"{upstream}/replace", way, source)
        caller.statuses(*spoofed(3))

        assert caller.used(f"ip:{source}") == 3


@pytest.mark.parametrize(
    ("upstream", "client"),
    [
        ("default", [None, 0]),
        ("plain", ["127.0.0.1", None]),
        ("believer", ["6.6.6.6", 0]),
        ("unix", None),
        ("unix-plain", None),
    ],
)
def test_the_servers_differ_in_what_they_say_about_the_peer(upstream, client, port, source):
    answer = Caller(port, f"{upstream}/append", "networks", source).get("X-Forwarded-For: 6.6.6.6")

    if client is None:
        assert answer.client is None
    else:
        host, number = client
        assert answer.client[0] == (host or source)
        assert number is None or answer.client[1] == number


def test_counted_hops_stay_right_where_the_server_believes_everybody(port, source):
    caller = Caller(port, "believer/append", "hops", source)

    statuses = caller.statuses(*([f"X-Forwarded-For: 6.6.6.{index}"] for index in range(10)))

    assert statuses == [200] * LIMIT + [429] * 5
    assert caller.used(f"ip:{source}") == LIMIT


@pytest.mark.parametrize("way", ["networks", "two-hops"])
@pytest.mark.parametrize("upstream", SPOOFED_XFF)
def test_two_proxies_in_a_row(upstream, way, port, source):
    caller = Caller(port, f"second/{upstream}/append", way, source)

    assert caller.statuses(*spoofed(10)) == [200] * LIMIT + [429] * 5
    assert caller.used(f"ip:{source}") == LIMIT


@pytest.mark.parametrize(
    "route", ["default/real-ip", "plain/real-ip-alone", "unix/real-ip-alone", "unix-plain/real-ip"]
)
def test_x_real_ip_as_the_only_header(route, port, source):
    caller, other = (
        Caller(port, route, "real-ip", source),
        Caller(port, route, "real-ip", "127.9.9.9"),
    )

    statuses = caller.statuses(*spoofed(10))
    before = other.used("ip:127.9.9.9")

    assert statuses == [200] * LIMIT + [429] * 5
    assert caller.used(f"ip:{source}") == LIMIT
    assert other.get().remaining == LIMIT - before - 1


@pytest.mark.parametrize("way", ["forwarded", "forwarded-hops"])
@pytest.mark.parametrize("upstream", SPOOFED_XFF)
def test_forwarded_as_the_only_header(upstream, way, port, source):
    caller = Caller(port, f"{upstream}/forwarded", way, source)
    requests = [
        [],
        ["Forwarded: for=6.6.6.6"],
        ["Forwarded: for=6.6.6.7", "X-Forwarded-For: 6.6.6.8"],
        ['Forwarded: for="[2001:db8::1]:80";host="a, for=6.6.6.9"'],
        ["Forwarded: for=unknown, for=127.0.0.1"],
    ]

    assert caller.statuses(*requests) == [200] * LIMIT
    assert caller.used(f"ip:{source}") == LIMIT


@pytest.mark.parametrize("upstream", ["default", "plain", "unix"])
def test_a_broken_forwarded_pays_with_the_proxy(upstream, port, source):
    caller = Caller(port, f"{upstream}/forwarded", "forwarded", source)
    proxy = "peer:unix" if upstream == "unix" else "ip:127.0.0.1"

    statuses = caller.statuses(*([f'Forwarded: for="6.6.6.{index}'] for index in range(10)))

    assert statuses == [200] * LIMIT + [429] * 5
    assert (caller.used(proxy), caller.used(f"ip:{source}")) == (LIMIT, 0)


def test_without_trust_all_clients_of_the_proxy_are_one(port):
    callers = [Caller(port, "plain/append", "nobody", f"127.8.8.{index}") for index in range(1, 8)]

    statuses = [caller.get("X-Forwarded-For: 6.6.6.6").status for caller in callers]

    assert statuses == [200] * LIMIT + [429] * 2
    assert callers[0].used("ip:127.0.0.1") == LIMIT


def test_without_trust_in_unix_peers_all_of_them_are_one(port):
    callers = [
        Caller(port, "unix/append", "unix-untrusted", f"127.8.8.{index}") for index in range(1, 8)
    ]

    statuses = [caller.get("X-Forwarded-For: 6.6.6.6").status for caller in callers]

    assert statuses == [200] * LIMIT + [429] * 2
    assert callers[0].used("peer:unix") == LIMIT
