# SPDX-License-Identifier: MIT
"""The whole suite as it is now: who is there, how much each carries, and what is wrong.

From two sources: the trackers' lists, of which each entry is asked whether it answers; and the doors of
those programs that can be reached from here (``cli.doors``), which say how they are. What is wrong is made of
both. Draws nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xjrelay.cli.asking import NoAnswer, about
from xjrelay.cli.doors import STRANGER, Door, Shut, ask, doors
from xjrelay.cli.options import Call
from xjrelay.client import aio
from xjrelay.client.errors import ClientError, Insecure
from xjrelay.client.model import Component
from xjrelay.client.target import Place, way_in
from xjrelay.wire.endpoints import Address, is_loopback

NEARLY_FULL = 0.8
"""Of a queue's limit: the same as the alert's."""


@dataclass(frozen=True)
class Seen:
    """One program, and whether it answers.

    Attributes:
        seconds: to the answer of a ping; None when there was none.
        why: then, why not.
        version: as it says itself.
        facts: what it says at its door; empty where it was not asked.
        cpu: seconds of CPU that its process has used, as far as known.
        at: when it said so, by its own clock.
    """

    program: str
    place: str
    name: str
    seconds: float | None
    why: str = ""
    version: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    cpu: float | None = None
    at: float = 0.0

    @property
    def title(self) -> str:
        """For a sentence."""
        return " ".join(part for part in (self.name or self.program, self.place) if part)

    @property
    def fullest(self) -> tuple[str, float]:
        """Its fullest queue, and how full."""
        queues = self.facts.get("queues", {})
        shares = {name: length / limit for name, (length, limit) in queues.items() if limit}
        name = max(shares, key=lambda one: shares[one], default="")
        return name, shares.get(name, 0.0)


@dataclass(frozen=True)
class Suite:
    """All of it.

    Attributes:
        programs: trackers, managers, relays, then peers.
        wrong: what is, a sentence each.
        doors: where programs were asked how they are.
    """

    programs: list[Seen]
    wrong: list[str]
    doors: list[Door]


@dataclass(frozen=True)
class Told:
    """What one process said at its door."""

    door: Door
    version: str
    cpu: float
    at: float
    programs: list[dict[str, Any]]


async def look(call: Call, program: str, place: Place, name: str = "") -> Seen:
    """Ping one place."""
    address = Address(place.host, place.port, place.tls)
    pinged, said = await asyncio.gather(
        aio.probe(place, program, call.authority()), about(address), return_exceptions=True
    )
    version = None if isinstance(said, BaseException) else said.version
    for other in (pinged, said):
        if isinstance(other, BaseException) and not isinstance(other, ClientError | NoAnswer):
            raise other
    if isinstance(pinged, BaseException):
        return Seen(program, str(place), name, None, str(pinged), version)
    return Seen(program, str(place), name, pinged, version=version)


async def look_at(call: Call, component: Component, tls: bool) -> Seen:
    """Ping one that a tracker listed, with TLS where the tracker was asked so."""
    program, host, port = component.type, component.host, component.port
    name = component.name or ""
    try:
        place = way_in(program, host, port, component.endpoints, tls)
    except Insecure as error:
        return Seen(program, str(Place(host, port)), name, None, str(error))
    return await look(call, program, place, name)


async def look_at_all(call: Call) -> Suite:
    """Everything that can be seen from here.

    Raises:
        NoTracker: none answers, and no door does either.
    """
    places = call.trackers()
    found = doors(call)
    asked, answers, lists = await asyncio.gather(
        asyncio.gather(*(look(call, "tracker", place) for place in places)),
        asyncio.gather(*(_ask(call, one) for one in found)),
        asyncio.gather(*(_listed(call, place) for place in places)),
    )
    told = [one for one in answers if isinstance(one, Told)]
    if not any(isinstance(one, tuple) for one in lists) and not told:
        raise next(one for one in lists if isinstance(one, ClientError))
    listed = {
        (one.type, one.host, one.port): one for some in lists if isinstance(some, tuple) for one in some
    }
    components = sorted(listed.values(), key=lambda one: (one.type, one.host, one.port))
    seen = [*asked, *await asyncio.gather(*(look_at(call, one, places[0].tls) for one in components))]
    wrong = [*_shut(found, answers), *_unlike(places, lists)]
    programs = joined(seen, told)
    return Suite(programs, wrong + troubles(programs), [one.door for one in told])


async def _ask(call: Call, door: Door) -> Told | Shut:
    try:
        said = await ask(call, door, "status")
        return Told(door, str(said["version"]), float(said["cpu"]), float(said["time"]), said["programs"])
    except Shut as error:
        return error
    except (KeyError, TypeError, ValueError):
        return Shut(STRANGER)


async def _listed(call: Call, place: Place) -> tuple[Component, ...] | ClientError:
    scheme = "xjs://" if place.tls else "xj://"
    try:
        return await aio.components(f"{scheme}{place}", call.authority())
    except ClientError as error:
        return error


def _shut(found: Sequence[Door], answers: Sequence[Told | Shut]) -> list[str]:
    """Doors that nobody answers at. A program that is stopped takes its socket with it; one that is killed
    leaves it, until it is started again."""
    shut = [(door, answer) for door, answer in zip(found, answers, strict=True) if isinstance(answer, Shut)]
    return [
        f"{door}: {why}" + ("; a program was killed: start it again, or remove that file" * bool(door.socket))
        for door, why in shut
    ]


def _unlike(places: Sequence[Place], lists: Sequence[tuple[Component, ...] | ClientError]) -> list[str]:
    """What one tracker lists and another doesn't."""
    known = {
        place: {str(Place(one.host, one.port)) for one in some}
        for place, some in zip(places, lists, strict=True)
        if isinstance(some, tuple)
    }
    everybody = set().union(*known.values())
    return [
        f"tracker {place} does not list {missing}, which another tracker does"
        for place, here in known.items()
        for missing in sorted(everybody - here)
    ]


def joined(seen: Sequence[Seen], told: Sequence[Told]) -> list[Seen]:
    """What answers, with what programs say of themselves; and those that say something and are not listed."""
    rows = list(seen)
    for one in told:
        for facts in one.programs:
            _join(rows, one, facts)
    _name_relays(rows)
    order = {"tracker": 0, "manager": 1, "relay": 2, "peer": 3}
    return sorted(rows, key=lambda row: order.get(row.program, 9))  # stable: as they were within


def _join(rows: list[Seen], told: Told, facts: dict[str, Any]) -> None:
    kind, place = str(facts.get("kind", "")), str(facts.get("place", ""))
    alike = [at for at, row in enumerate(rows) if row.program == kind and not row.facts]
    here = [at for at in alike if rows[at].place == place]
    here = here or [at for at in alike if _may_be(place, rows[at].place)]
    name = str(facts.get("name") or "")
    if len(here) == 1:
        row = rows[here[0]]
        rows[here[0]] = Seen(
            *(kind, row.place, row.name or name, row.seconds, row.why, told.version, facts, told.cpu, told.at)
        )
    else:
        shown = name or (str(facts.get("program", "")) if kind != facts.get("program") else "")
        rows.append(Seen(kind, place, shown, None, "", told.version, facts, told.cpu, told.at))


def _may_be(listens: str, dialled: str) -> bool:
    """Whether who listens at the one may be reached at the other: everywhere, or on loopback by a name."""
    (host, _, port), (name, _, other) = listens.rpartition(":"), dialled.rpartition(":")
    anywhere = host in ("0.0.0.0", "::", "")
    return port == other and (anywhere or (is_loopback(host) and is_loopback(name)))


def _name_relays(rows: list[Seen]) -> None:
    """The manager knows the relays' names and users; a relay without a door gets them from there."""
    known = {
        str(one["place"]): one
        for row in rows
        if row.program == "manager"
        for one in row.facts.get("relays", ())
    }
    for at, row in enumerate(rows):
        if row.program == "relay" and (one := known.get(row.place)) is not None:
            facts = row.facts or {"sessions": one["users"], "draining": one["draining"]}
            rows[at] = Seen(
                *(row.program, row.place, row.name or str(one["name"]), row.seconds, row.why, row.version),
                *(facts, row.cpu, row.at),
            )


def troubles(programs: Sequence[Seen]) -> list[str]:
    """What is wrong, by what was seen."""
    wrong: list[str] = []
    for one in programs:
        wrong += _troubles_of(one)
    wrong += _unknown_to_the_manager(programs)
    kinds = {one.program for one in programs}
    if kinds != {"peer"}:
        wrong += [f"there is no {kind}: {why}" for kind, why in _NEEDED.items() if kind not in kinds]
    versions = {one.version for one in programs if one.version}
    if len(versions) > 1:
        newest = max(versions, key=_ordered)
        wrong += [
            f"{one.title} is {one.version}, others are {newest}"
            for one in programs
            if one.version not in (None, newest)
        ]
    return wrong


_NEEDED = {"manager": "nobody can log in", "relay": "nobody can send a message"}


def _unknown_to_the_manager(programs: Sequence[Seen]) -> list[str]:
    managers = [one for one in programs if one.program == "manager" and "relays" in one.facts]
    known = {str(relay["place"]) for one in managers for relay in one.facts["relays"]}
    relays = [one for one in programs if one.program == "relay" and one.seconds is not None]
    return [f"{one.title} is not at the manager" for one in relays if managers and one.place not in known]


def _troubles_of(one: Seen) -> list[str]:
    facts, wrong = one.facts, []
    if one.why:
        wrong.append(f"{one.title} does not answer: {one.why}")
    wrong += [f"{one.title}: {why}" for why in (*facts.get("missing", ()), *facts.get("broken", ()))]
    wrong += [f"{one.title} is not linked with the relay at {place}" for place in facts.get("unlinked", ())]
    wrong += [f"{one.title} has given up {relay}" for relay in facts.get("given_up", ())]
    queue, share = one.fullest
    if share >= NEARLY_FULL:
        wrong.append(f"{one.title}: {queue}, {share:.0%} full")
    return wrong


def _ordered(version: str) -> list[int]:
    return [int(part) if part.isdigit() else -1 for part in version.split(".")]
