# SPDX-License-Identifier: MIT
"""``xj trace ID``: one message's life over all the programs, in the order in which it was lived.

Asked at the doors of the programs that can be reached from here (``cli.doors``), or read from files: logs in
JSON with a line for each event (``--log-messages``), or what this command printed with ``--json`` elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xjrelay.cli import doors
from xjrelay.cli.options import Call, UsageError
from xjrelay.cli.screen import safe, table

OUTCOMES = ("delivered", "stored", "failed", "refused", "sent")


@dataclass(frozen=True)
class Event:
    """One thing that happened to it.

    Attributes:
        time: seconds since the epoch, by the program's clock.
        program: where.
        event: what, one of ``net.trace.EVENTS``.
        from_: the sender, where that is known.
        to: the recipient, likewise.
        where: to whom, from whom, or why.
    """

    time: float
    program: str
    event: str
    from_: str
    to: str
    where: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be typed after ``xj trace``."""
    doors.add_options(parser)
    parser.add_argument("--from", dest="sender", metavar="USER", help="of this sender; ids may be alike")
    parser.add_argument("id", help="the message's id, as a receipt has it")
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="logs in JSON instead of the programs themselves; - is standard input",
    )


async def trace(call: Call) -> int:
    """Tell it; 1 when nobody remembers anything."""
    if call.args.files:
        events = list(_read(call.args.files, call.args.id))
    else:
        events = await _asked(call)
    events = ordered(events, call.args.sender)
    for one in events if call.screen.as_json else ():
        value = asdict(one)
        value["from"] = value.pop("from_")
        call.screen.show("", id=call.args.id, **value)
    if not events:
        call.screen.error(_nothing(call))
        return 1
    call.screen.note(drawn(events))
    return 0


def ordered(events: Iterable[Event], sender: str | None = None) -> list[Event]:
    """By time, each once; of one sender where that is said."""
    found = sorted(dict.fromkeys(events), key=lambda one: one.time)
    if sender is None:
        return found
    bare = sender.partition("/")[0].casefold()
    return [one for one in found if one.from_.partition("/")[0].casefold() in ("", bare)]


def drawn(events: Sequence[Event]) -> str:
    """A line an event, and in the end what became of it."""
    rows = [["TIME (UTC)", "PROGRAM", "WHAT"]]
    for one in events:
        at = datetime.fromtimestamp(one.time, UTC).strftime("%H:%M:%S.%f")[:-3]
        rows.append([at, safe(one.program), safe(sentence(one))])
    return table(rows)


def sentence(one: Event) -> str:
    """One event in words."""
    told = f"told {one.from_ or 'its sender'}"
    words = {
        "accepted": f"accepted from {one.from_} for {one.to}: goes to {one.where or one.to}",
        "waits": f"accepted from {one.from_} for {one.to}: waits for {one.where or one.to}",
        "refused": f"refused to {one.from_}: {one.where}",
        "arrived": f"arrived from {one.where or one.from_}: by {one.from_} for {one.to}",
        "handed over": f"{one.where} did not acknowledge it and is gone: goes elsewhere",
        "to store": f"asked by {one.where} to keep it for {one.to}",
        "handed out": f"out of the mailbox, to {one.where}",
        "taken": f"acknowledged by {one.to}: out of the mailbox for good",
        "sent": f"written to {one.to}, which tells nothing",
        "delivered": f"delivered; {told}",
        "stored": f"stored on disk; {told}",
        "failed": f"failed: {reason(one.where)}; {told}",
        "passed over": f"too much came at once: {one.where} events were not remembered, perhaps some of it",
    }
    return words.get(one.event, f"{one.event} {one.where}")


def reason(code: str) -> str:
    """Why one failed, by its code."""
    words = {
        "404": "404, nobody of that name",
        "503": "503, the way there is not open now; it is sent again",
        "507": "507, the mailbox is full",
    }
    return words.get(code, code or "no reason was told")


async def _asked(call: Call) -> list[Event]:
    found = doors.doors(call)
    answers = await asyncio.gather(*(_ask(call, one) for one in found))
    shut = [one for one in answers if isinstance(one, doors.Shut)]
    if len(shut) == len(found):
        why = f"{found[0]}: {shut[0]}" if found else "there is no admin.sock of this user's programs"
        raise doors.Shut(f"no program can be asked ({why}); say --admin, or give JSON logs as arguments")
    return [event for one in answers if not isinstance(one, doors.Shut) for event in one]


async def _ask(call: Call, door: doors.Door) -> list[Event] | doors.Shut:
    try:
        said = await doors.ask(call, door, "trace", id=call.args.id)
        return [_event(one) for one in said["events"]]
    except doors.Shut as error:
        return error
    except (KeyError, TypeError, ValueError):
        return doors.Shut(doors.STRANGER)


def _event(said: dict[str, Any]) -> Event:
    return Event(
        *(float(said["time"]), str(said["program"]), str(said["event"])),
        *(str(said["from"]), str(said["to"]), str(said["where"])),
    )


def _read(files: Sequence[Path], message_id: str) -> Iterator[Event]:
    for path in files:
        try:
            if str(path) == "-":
                yield from said_in(sys.stdin, message_id)
            else:
                with path.open(encoding="utf-8", errors="replace") as lines:
                    yield from said_in(lines, message_id)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None


def said_in(lines: Iterable[str], message_id: str) -> Iterator[Event]:
    """What lines of JSON say of a message; whatever else they say is passed over."""
    for line in lines:
        if message_id not in line:
            continue
        try:
            said = json.loads(line)
            if said.get("event") == "message" and said.get("message") == message_id:
                yield Event(
                    *(float(said["at"]), str(said["program"]), str(said["what"])),
                    *(str(said["sender"]), str(said["recipient"]), str(said["where"])),
                )
            elif said.get("id") == message_id and "where" in said:
                yield _event(said)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def _nothing(call: Call) -> str:
    if call.args.files:
        return f"no line is about {call.args.id}; was it logged (--log-format json --log-messages)?"
    return (
        f"nobody remembers {call.args.id}: it is long ago (--trace says how much is remembered), came when"
        " too much came at once, has another id, or went between sessions without acknowledgement, which"
        " leave no trace"
    )
