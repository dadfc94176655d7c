# SPDX-License-Identifier: MIT
"""``xj status``: the whole suite on a screen: who is there, how much each carries, what is wrong."""

from __future__ import annotations

import argparse

from xjrelay.cli import doors
from xjrelay.cli.options import Call
from xjrelay.cli.screen import safe, table
from xjrelay.cli.suite import Seen, Suite, look_at_all

HEAD = ["PROGRAM", "PLACE", "NAME", "VERSION", "ANSWERS", "USERS", "MESH", "FULLEST QUEUE", "STATE"]

NO_DOORS = (
    "Load and queues are not shown: no program's admin.sock can be opened from here. Run this as the user"
    " whose programs they are, or say --admin."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj status``."""
    doors.add_options(parser)


async def status(call: Call) -> int:
    """Draw the suite; 1 when anything is wrong."""
    suite = await look_at_all(call)
    if call.screen.as_json:
        for one in suite.programs:
            call.screen.show("", **as_value(one))
        if suite.wrong:
            call.screen.show("", program="suite", wrong=suite.wrong)
    else:
        call.screen.note(drawn(suite))
    return 1 if suite.wrong else 0


def drawn(suite: Suite) -> str:
    """The table, and what is wrong."""
    lines = [table([HEAD, *([safe(cell) for cell in cells(one)] for one in suite.programs)])]
    if suite.wrong:
        lines += ["", *(f"WRONG  {safe(one)}" for one in suite.wrong)]
    if not suite.doors:
        lines += ["", NO_DOORS]
    return "\n".join(lines)


def cells(one: Seen) -> list[str]:
    """One program's row."""
    return [
        *(one.program, one.place, one.name, one.version or "-"),
        answer(one),
        users(one),
        mesh(one),
        queue(one),
        state(one),
    ]


def answer(one: Seen) -> str:
    """How long it took to answer."""
    if one.seconds is not None:
        return f"{one.seconds * 1000:.1f} ms"
    return f"no: {one.why}" if one.why else "-"


def users(one: Seen) -> str:
    """Sessions at a relay, accounts online at a manager, peers of a peer, programs at a tracker."""
    facts = one.facts
    if "components" in facts:
        return f"{len(facts['components'])} listed"
    for name, what in (("online", " online"), ("sessions", ""), ("linked", " linked")):
        if name in facts:
            return f"{facts[name]}{what}"
    return "-"


def mesh(one: Seen) -> str:
    """How many relays it is linked with, of how many there are."""
    if "mesh" not in one.facts:
        return "-"
    linked = len(one.facts["mesh"])
    return f"{linked} of {linked + len(one.facts.get('unlinked', ()))}"


def queue(one: Seen) -> str:
    """Its fullest queue, where anything waits at all."""
    if "queues" not in one.facts:
        return "-"
    name, share = one.fullest
    return f"{share:.0%} {name}" if share >= 0.01 else "empty"


def state(one: Seen) -> str:
    """In a word or two."""
    if one.why:
        return "away"
    if one.facts.get("broken"):
        return "broken"
    if one.facts.get("draining"):
        return "drains"
    return "not ready" if one.facts.get("missing") else "serves"


def as_value(one: Seen) -> dict[str, object]:
    """For a script: what was seen, and what it said of itself."""
    seen = {"program": one.program, "place": one.place, "name": one.name, "seconds": one.seconds}
    return {**one.facts, **seen, "version": one.version, "why": one.why, "state": state(one)}
