"""Login names, and the recipe for a login that nobody can lock somebody else out of."""

import asyncio

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from fastapi_throttle import MemoryBackend, RateLimit, Throttle, client_ip, email
from fastapi_throttle.identity.email import normalized


class Credentials(BaseModel):
    username: str
    password: str


async def login_name(credentials: Credentials) -> str:
    return credentials.username


def new_app():
    app = FastAPI()
    Throttle(app, backend=MemoryBackend())
    per_address = RateLimit("5/minute", key=client_ip(), name="login-address")
    per_account = RateLimit("20/minute", key=email(login_name), name="login-account")

    @app.post("/login", dependencies=[Depends(per_address), Depends(per_account)])
    def login(credentials: Credentials):
        return {}

    return app


def attempt(app, name, address):
    client = TestClient(app, client=(address, 1))
    return client.post("/login", json={"username": name, "password": "guess"}).status_code


@pytest.mark.parametrize(
    "spelling", ["A@x.org", " a@x.org ", "a@X.ORG\t", "\uff21@x.org", "a@x.org", "a\uff20x.org"]
)
def test_spellings_of_a_name_are_one(spelling):
    assert normalized(spelling) == "a@x.org"


def test_an_endless_name_is_not_folded():
    name = "A" + "\u0315\u0300" * 30_000

    assert normalized(name) == name


def test_names_of_a_tenant_fold_too():
    resolver = email(lambda: None)

    async def identity(name):
        return await resolver(name=name)

    one, other = (asyncio.run(identity(("t", name))) for name in ("A@x", b" a@X"))
    assert one == other


@pytest.mark.parametrize("name", ["\u01f0\u0323", "\u0130", "\ufb03", "\u1e9e", "\u212a", "\u03d3"])
def test_a_normalized_name_stays_as_it_is(name):
    assert normalized(normalized(name)) == normalized(name)


@pytest.mark.matrix
def test_one_attacker_cannot_lock_a_victim_out():
    app = new_app()

    attack = [attempt(app, "Victim@x.org", "198.51.100.1") for _ in range(100)]

    assert attack == [200] * 5 + [429] * 95
    assert attempt(app, "victim@x.org", "203.0.113.9") == 200


def test_many_addresses_cannot_guess_for_ever():
    app = new_app()

    attack = [attempt(app, "victim@x.org", f"198.51.100.{host}") for host in range(100)]

    assert attack == [200] * 20 + [429] * 80


def test_names_that_exist_and_names_that_do_not_are_answered_alike():
    app = new_app()

    one = [attempt(app, "ada@x.org", f"198.51.100.{host}") for host in range(30)]
    other = [attempt(app, "nobody@x.org", f"198.51.101.{host}") for host in range(30)]

    assert one == other
