# SPDX-License-Identifier: MIT
"""``xj status``: who is there, as a tracker knows, and whether each answers."""

from __future__ import annotations

from dataclasses import dataclass

from xjrelay.cli.options import Call
from xjrelay.cli.screen import safe, table
from xjrelay.client import aio
from xjrelay.client.errors import ClientError, Insecure
from xjrelay.client.model import Component
from xjrelay.client.target import Place, way_in


@dataclass(frozen=True)
class Seen:
    """One program and whether it answers.

    Attributes:
        seconds: to the answer of a ping; None when there was none.
        why: then, why not.
    """

    program: str
    place: Place
    name: str
    seconds: float | None
    why: str = ""

    @property
    def answer(self) -> str:
        """For a table."""
        return f"{self.seconds * 1000:.1f} ms" if self.seconds is not None else safe(f"no: {self.why}")


async def status(call: Call) -> int:
    """Draw the table; 1 when something doesn't answer."""
    seen = [await look(call, "tracker", place) for place in call.trackers()]
    components = await aio.components(call.url(), call.authority())
    for one in sorted(components, key=lambda one: (one.type, one.host, one.port)):
        seen.append(await look_at(call, one))
    if call.screen.as_json:
        for each in seen:
            place = str(each.place)
            call.screen.show("", program=each.program, place=place, name=each.name, seconds=each.seconds)
    else:
        rows = [[safe(one.program), safe(one.place), safe(one.name), one.answer] for one in seen]
        call.screen.note(table([["PROGRAM", "PLACE", "NAME", "ANSWERS"], *rows]))
    return 0 if all(one.seconds is not None for one in seen) else 1


async def look(call: Call, program: str, place: Place, name: str = "") -> Seen:
    """Ping one place."""
    try:
        return Seen(program, place, name, await aio.probe(place, program, call.authority()))
    except ClientError as error:
        return Seen(program, place, name, None, str(error))


async def look_at(call: Call, component: Component) -> Seen:
    """Ping one that a tracker listed, with TLS where the tracker was asked so."""
    program, host, port = component.type, component.host, component.port
    name = component.name or ""
    try:
        place = way_in(program, host, port, component.endpoints, call.trackers()[0].tls)
    except Insecure as error:
        return Seen(program, Place(host, port), name, None, str(error))
    return await look(call, program, place, name)
