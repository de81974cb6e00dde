"""The suite for backends of others: ours pass it, and what is wrong does not."""

import asyncio
import unittest
from collections.abc import Callable
from random import Random

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from redis_server import RedisServer
from suites import Suite

from fastapi_throttle.backends import Backend, MemoryBackend, RedisBackend
from fastapi_throttle.testing.conformance import BackendConformance
from fastapi_throttle.testing.oracle import Oracle

BUDGET = 30
TESTS = [name for name in dir(BackendConformance) if name.startswith("test_")]


class TestOracle(BackendConformance):
    def make_backend(self, clock: Callable[[], int]) -> Backend:
        return Oracle(clock)


class TestMemoryBackend(BackendConformance):
    def make_backend(self, clock: Callable[[], int]) -> Backend:
        return MemoryBackend(clock=clock)


class TestFakeRedis(BackendConformance):
    def make_backend(self, clock: Callable[[], int]) -> Backend:
        client = FakeAsyncRedis(server=FakeServer())
        return RedisBackend(client, clock=clock, budget=BUDGET)


class TestRedis(BackendConformance):
    @pytest.fixture(autouse=True)
    def server(self, redis_server: RedisServer) -> None:
        self.redis = redis_server

    def make_backend(self, clock: Callable[[], int]) -> Backend:
        self.redis.client.flushall()
        return RedisBackend(self.redis.url, clock=clock, budget=BUDGET)


class ChargesRefusals(Oracle):
    """Decides one after the other what stands or falls together."""

    async def hit(self, hits):
        decisions = [(await super(ChargesRefusals, self).hit((hit,)))[0] for hit in hits]
        return tuple(decisions)


class ChargesPeeks(Oracle):
    async def peek(self, hits):
        return await self.hit(hits)


class Forgetful(Oracle):
    """Loses a state now and then."""

    def __init__(self, clock):
        super().__init__(clock)
        self.random = Random(1)

    async def hit(self, hits):
        decisions = await super().hit(hits)
        if self.random.random() < 0.05:
            self.states.pop(hits[0].keys[0], None)
        return decisions


class ResetsAll(Oracle):
    async def reset(self, hits):
        self.states.clear()


class ResetsNothing(Oracle):
    async def reset(self, hits):
        pass


class KeepsLimits(Oracle):
    """Takes the limit for a part of the key."""

    async def hit(self, hits):
        return await super().hit([self.other(hit) for hit in hits])

    async def peek(self, hits):
        return await super().peek([self.other(hit) for hit in hits])

    def other(self, hit):
        limit = hit.policy.quotas[0].limit
        return hit._replace(keys=tuple(f"{key} {limit}" for key in hit.keys))


class Early(Oracle):
    """Asks callers to come back a millisecond too early."""

    async def hit(self, hits):
        return tuple(self.hurried(each) for each in await super().hit(hits))

    def hurried(self, decision):
        return decision._replace(
            verdicts=tuple(
                verdict._replace(wait_us=verdict.wait_us - 1000) for verdict in decision.verdicts
            ),
        )


class DiesWhenClosed(Oracle):
    async def aclose(self):
        self.states.clear()


class Torn(Oracle):
    """Reads, lets others read, then writes."""

    async def hit(self, hits):
        states = dict(self.states)
        await asyncio.sleep(0)
        self.states, now = states, self.states
        decisions = await super().hit(hits)
        self.states = {**now, **self.states}
        return decisions


class Other(Oracle):
    """Decides something else than it is asked."""

    async def hit(self, hits):
        return self.named(hits, await super().hit([self.other(hit, hits) for hit in hits]))

    async def peek(self, hits):
        return self.named(hits, await super().peek([self.other(hit, hits) for hit in hits]))

    def named(self, hits, decisions):
        pairs = zip(hits, decisions, strict=True)
        return tuple(decision._replace(policy=hit.policy) for hit, decision in pairs)


class KnowsNoBurst(Other):
    def other(self, hit, hits):
        quotas = tuple(quota._replace(burst=quota.limit) for quota in hit.policy.quotas)
        return hit._replace(policy=hit.policy._replace(quotas=quotas))


class KnowsOneAlgorithmPerCall(Other):
    def other(self, hit, hits):
        algorithm = hits[0].policy.algorithm
        return hit._replace(policy=hit.policy._replace(algorithm=algorithm))


class CountsInTwoBytes(Other):
    def other(self, hit, hits):
        quotas = tuple(
            quota._replace(limit=min(quota.limit, 65_535), burst=min(quota.burst, 65_535))
            for quota in hit.policy.quotas
        )
        return hit._replace(policy=hit.policy._replace(quotas=quotas))


@pytest.mark.parametrize(
    ("wrong", "found_by"),
    [
        (KnowsNoBurst, "test_it_decides_as_the_algorithms_do"),
        (KnowsOneAlgorithmPerCall, "test_a_call_may_ask_for_several_algorithms"),
        (CountsInTwoBytes, "test_it_decides_as_the_algorithms_do"),
        (ChargesRefusals, "test_what_is_refused_consumes_nothing"),
        (ChargesPeeks, "test_peek_and_a_cost_of_zero_consume_nothing"),
        (Forgetful, "test_it_decides_as_the_algorithms_do"),
        (ResetsAll, "test_reset_forgets_one_partition_and_no_other"),
        (ResetsNothing, "test_reset_forgets_one_partition_and_no_other"),
        (KeepsLimits, "test_a_changed_limit_applies_to_what_was_used"),
        (Early, "test_who_waits_as_told_is_admitted"),
        (DiesWhenClosed, "test_it_may_be_used_again_after_it_was_closed"),
        (Torn, "test_of_many_at_once_exactly_the_limit_is_admitted"),
    ],
)
def test_what_is_wrong_is_found(wrong: type[Oracle], found_by: str):
    class Conformance(BackendConformance):
        def make_backend(self, clock):
            return wrong(clock)

    with pytest.raises(AssertionError):
        getattr(Conformance(), found_by)()


def test_a_backend_may_know_fewer_algorithms():
    class OnlyGcra(Oracle):
        async def hit(self, hits):
            assert {hit.policy.algorithm for hit in hits} == {"gcra"}
            return await super().hit(hits)

    class Conformance(BackendConformance):
        algorithms = ("gcra",)

        def make_backend(self, clock):
            return OnlyGcra(clock)

    for name in TESTS:
        getattr(Conformance(), name)()


def test_unittest_runs_it_too():
    class Conformance(BackendConformance, unittest.TestCase):
        def make_backend(self, clock):
            return MemoryBackend(clock=clock)

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Conformance).run(result)

    assert result.testsRun == len(TESTS) == 10
    assert result.wasSuccessful(), result.failures + result.errors


def test_pytest_collects_it_once_and_shows_what_is_wrong(suite: Suite):
    tests = """
    from fastapi_throttle import MemoryBackend
    from fastapi_throttle.testing.conformance import BackendConformance

    class Generous(MemoryBackend):
        async def hit(self, hits):
            return await super().hit([hit._replace(cost=0) for hit in hits])

    class TestGenerous(BackendConformance):
        def make_backend(self, clock):
            return Generous(clock=clock)
    """
    result = suite(tests, "-x")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("*AssertionError: sliding-window, history 0, call *the decision*")
