"""Bodies of 100 MB, sent to real servers that refuse them."""

import contextlib
import subprocess
from http.client import HTTPConnection
from itertools import repeat
from urllib.parse import urlsplit

import httpx
import pytest
from uvicorn_workers import running

CHUNK = b"{" * 65_536
CHUNKS = 1600
MEGABYTES = len(CHUNK) * CHUNKS // 2**20
JSON = {"content-type": "application/json"}


@pytest.fixture(params=["h11", "httptools"])
def server(request, redis_url):
    """A worker that was warmed up: both limits are exhausted."""
    with running("bodies_app", redis_url, 0, options=["--http", request.param]) as [url]:
        for path in ("before", "after"):
            assert [httpx.post(f"{url}/{path}", json={}).status_code for _ in range(2)] == [
                200,
                429,
            ]
        yield url


def upload(server, path):
    """Send all of a body that is no JSON, whatever the server says meanwhile."""
    connection = HTTPConnection(urlsplit(server).netloc, timeout=30)
    with contextlib.closing(connection):
        headers = {**JSON, "content-length": str(len(CHUNK) * CHUNKS)}
        connection.request("POST", f"/{path}", repeat(CHUNK, CHUNKS), headers)
        return connection.getresponse()


def read_meanwhile(server, path):
    """Upload; return the response, the chunks that were read, and by how much memory grew."""
    before = httpx.get(f"{server}/read").json()
    response = upload(server, path)
    after = httpx.get(f"{server}/read").json()
    grown = (after["peak_kb"] - before["peak_kb"]) / 1024
    return response, after["chunks"] - before["chunks"], grown


def test_a_refused_body_is_neither_read_nor_kept(server):
    response, chunks, grown = read_meanwhile(server, "before")

    assert response.status == 429
    assert 3500 < int(response.headers["retry-after"]) <= 3600
    assert chunks == 0
    assert grown < MEGABYTES / 10


def test_without_before_body_all_of_it_is_read_and_kept(server):
    response, chunks, grown = read_meanwhile(server, "after")

    assert response.status == 422
    assert chunks > 100
    assert grown > MEGABYTES


def test_a_client_that_asks_first_sends_nothing(server, tmp_path):
    body = tmp_path / "body"
    with body.open("wb") as file:
        file.truncate(MEGABYTES * 2**20)
    command = ["curl", "-s", "--data-binary", f"@{body}", "-w", "\n%{http_code} %{size_upload}"]
    command += ["--expect100-timeout", "30"]
    command += ["-H", "content-type: application/json", f"{server}/before"]

    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert answer.splitlines()[-1] == "429 0"
