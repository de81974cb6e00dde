"""Real clients get through after exactly one wait, whatever worker they meet."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import requests
import urllib3
from httpx_retries import Retry as HttpxRetry
from httpx_retries import RetryTransport
from requests.adapters import HTTPAdapter
from urllib3.util import Retry
from uvicorn_workers import running

ONCE = Retry(total=1, status_forcelist=[429])


def with_urllib3(url, headers):
    return urllib3.PoolManager(retries=Retry(total=1)).request("GET", url, headers=headers).status


def with_requests(url, headers):
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=ONCE))
        return session.get(url, headers=headers).status_code


def with_httpx(url, headers):
    with httpx.Client(transport=RetryTransport(retry=HttpxRetry(total=1))) as client:
        return client.get(url, headers=headers).status_code


def with_curl(url, headers):
    options = ["-s", "-w", "\n%{http_code}", "--retry", "1"]
    fields = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["curl", *options, *fields, url]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(answer.splitlines()[-1])


# Seconds until a limit of three in two seconds admits one more, at most.
LONGEST = {"sliding-window": 2, "gcra": 1, "fixed-window": 2}
CLIENTS = [with_urllib3, with_requests, with_httpx, with_curl]


def exhaust(url, headers):
    """Use the limit up; return the seconds to wait."""
    with httpx.Client(headers=headers) as client:
        while (answer := client.get(url)).status_code == 200:
            pass
    return int(answer.headers["retry-after"])


def wait_once(case):
    """Return what came of one call of a client that waits once, and how long it took."""
    base, client, algorithm = case
    url, headers = f"{base}/{algorithm}", {"x-caller": f"{client.__name__} {algorithm}"}
    wait = exhaust(url, headers)
    began = time.monotonic()
    status = client(url, headers)
    return client.__name__, algorithm, status, wait, time.monotonic() - began


@pytest.fixture(scope="module")
def answers(redis_server):
    with running("clients_app", redis_server.url, 0, workers=2) as [base]:
        cases = [(base, client, algorithm) for client in CLIENTS for algorithm in LONGEST]
        with ThreadPoolExecutor(len(cases)) as pool:
            yield list(pool.map(wait_once, cases))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("algorithm", LONGEST)
def test_a_client_that_waits_once_gets_through(answers, client, algorithm):
    [found] = [each for each in answers if each[:2] == (client.__name__, algorithm)]
    _, _, status, wait, took = found

    assert status == 200
    assert 1 <= wait <= LONGEST[algorithm]
    assert took < wait + 1.5


def test_clients_did_wait(answers):
    waited = [took for *_, took in answers if took > 0.5]

    # A fixed window may end just before the client asks.
    assert len(waited) >= len(answers) - len(CLIENTS)
