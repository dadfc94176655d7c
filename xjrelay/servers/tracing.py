# SPDX-License-Identifier: MIT
"""What a program remembers of messages, as its options say; and each event as a line of its log.

Knows no program. ``docs/tracing.md`` says what an event means and what remembering costs.
"""

from __future__ import annotations

from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from xjrelay.net.trace import Note, Trace
from xjrelay.servers.startup import Options

_log = Logger()


def remembering(options: Options, clock: IReactorTime, program: str) -> Trace | None:
    """The memory of ``--trace`` and ``--log-messages``; None where neither is wanted.

    Args:
        options: of a program that carries messages; a node adds ``part``, what it calls it.
        clock: the reactor.
        program: what it is called otherwise.
    """
    most, logs = options["trace"], options["log-messages"]
    if not most and not logs:
        return None
    trace = Trace(clock.seconds, most)
    if logs:
        trace.on_note = partial(_say, options.get("part", program))
    return trace


def prefix(options: Options) -> str:
    """What goes before the name of each link of a program: nothing, or in a node which program it is."""
    return f"{options['part']}:" if "part" in options else ""


def _say(program: str, note: Note) -> None:
    for message_id in note.ids:
        _log.info(
            "message {message} {what}: {sender} to {recipient} {where}",
            event="message",
            program=program,
            message=message_id,
            what=note.event,
            sender=note.from_,
            recipient=note.to,
            where=note.where,
            at=note.at,
        )
