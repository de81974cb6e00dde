"""Checks whose keys lie in several slots of a Cluster: no node can decide them alone."""

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, Protocol

from fastapi_throttle.backends.redis.batch import Decisions
from fastapi_throttle.backends.redis.login import Host
from fastapi_throttle.backends.redis.node import slot_of
from fastapi_throttle.decision import Verdict, decisions_of
from fastapi_throttle.model import Hit


class Part(NamedTuple):
    """The hits of a check whose keys lie in one slot."""

    slot: int
    hits: tuple[Hit, ...]


class Moment(NamedTuple):
    """A time on the clock of one node, in microseconds since the Unix epoch."""

    host: Host
    us: int


class Slots(Protocol):
    """What can be asked of the nodes that hold slots."""

    async def decide_part(self, part: Part, *, peek: bool) -> Decisions:
        """Decide *part*."""

    async def moment_of(self, part: Part) -> Moment:
        """Return the time of the node that holds the slot of *part*."""

    async def give_back(self, part: Part, since: Moment) -> None:
        """Take back what was charged for *part* after *since*, if it was on the same node."""


def parts_of(hits: Sequence[Hit]) -> list[Part]:
    """Return *hits* by slot, in an order that is the same for everybody."""
    by_slot: dict[int, list[Hit]] = {}
    for hit in hits:
        by_slot.setdefault(slot_of(hit.keys[0]), []).append(hit)
    return [Part(slot, tuple(by_slot[slot])) for slot in sorted(by_slot)]


async def peek_apart(slots: Slots, hits: Sequence[Hit], parts: Sequence[Part]) -> Decisions:
    """Tell what would be decided."""
    return _together(hits, parts, await _peeked(slots, parts))


async def hit_apart(slots: Slots, hits: Sequence[Hit], parts: Sequence[Part]) -> Decisions:
    """Decide *hits* together, though each of *parts* is decided for itself.

    All are peeked at first, so what is refused is refused before anything is charged. Then one
    after the other is charged, in an order that everybody keeps: of two who want the last unit of
    each, one gets both. Only if others were faster meanwhile there is something to give back.

    Raises:
        BackendError: A node did not answer; what was charged before stays charged.
    """
    peeked, moments = await asyncio.gather(
        _peeked(slots, parts), asyncio.gather(*map(slots.moment_of, parts[:-1]))
    )
    if not all(decisions[0].allowed for decisions in peeked):
        return _together(hits, parts, peeked)
    charged: list[Decisions] = []
    for part in parts:
        decisions = await slots.decide_part(part, peek=False)
        if not decisions[0].allowed:
            before = zip(parts[: len(charged)], moments, strict=False)
            back = (slots.give_back(*each) for each in before)
            await asyncio.gather(*back, return_exceptions=True)
            peeked[len(charged)] = decisions
            return _together(hits, parts, peeked)
        charged.append(decisions)
    return _together(hits, parts, charged)


async def _peeked(slots: Slots, parts: Sequence[Part]) -> list[Decisions]:
    return await asyncio.gather(*(slots.decide_part(part, peek=True) for part in parts))


def _together(
    hits: Sequence[Hit], parts: Sequence[Part], decided: Sequence[Decisions]
) -> Decisions:
    """Put what was decided about each of *parts* in the order of *hits*."""
    verdicts: dict[Hit, tuple[Verdict, ...]] = {}
    for part, decisions in zip(parts, decided, strict=True):
        verdicts.update(
            (hit, each.verdicts) for hit, each in zip(part.hits, decisions, strict=True)
        )
    return decisions_of(hits, list(chain.from_iterable(verdicts[hit] for hit in hits)))
