# SPDX-License-Identifier: MIT
"""``xj send`` and ``xj listen``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from xjrelay.cli.direct import direct_links
from xjrelay.cli.options import Call
from xjrelay.cli.screen import safe
from xjrelay.client.aio import Client
from xjrelay.client.model import (
    Components,
    Event,
    LinkState,
    Message,
    Missed,
    Notice,
    Presence,
    Receipt,
    RoadChange,
    RosterChange,
)
from xjrelay.client.session import Settings
from xjrelay.domain.peers import fingerprint


async def send(call: Call) -> int:
    """Send one message and say what became of it."""
    args = call.args
    client = await call.connect(Settings(available=False))
    try:
        receipt = await client.send(args.to, " ".join(args.body), timeout=args.timeout)
    finally:
        await client.close()
    if receipt.status == "failed":
        if call.screen.as_json:
            call.screen.show("", **asdict(receipt))
        call.screen.error(why_failed(receipt, args.to))
        return 1
    call.screen.show(receipt.status, **asdict(receipt))
    return 0


def why_failed(receipt: Receipt, to: str) -> str:
    """Why a message failed, for a person."""
    reasons = {
        404: f"there is no user {to}, or it is not online",
        507: f"the mailbox of {to} is full",
        413: "the message is too large for this relay",
    }
    return reasons.get(receipt.code or 0, f"refused with code {receipt.code}")


async def listen(call: Call) -> int:
    """Print what arrives, until Ctrl-C or ``--count`` messages."""
    async with direct_links(call) as direct:
        client = await call.connect(resource=call.args.resource, direct=direct)
        try:
            await _print(call, client)
        finally:
            await client.close()
    return 0


async def _print(call: Call, client: Client) -> None:
    args = call.args
    left = args.count
    call.screen.note(f"Listening as {safe(client.username)}. Ctrl-C ends it.")
    async for event in client.events():
        if not isinstance(event, Message) and not args.all:
            continue
        call.screen.show(in_words(event), **as_value(event))
        left -= isinstance(event, Message)
        if args.count and left <= 0:
            break


def as_value(event: Event) -> dict[str, Any]:
    """An event as ``--json`` prints it: its fields, and ``event`` for what it is."""
    value = {key.rstrip("_"): item for key, item in asdict(event).items()}
    return {"event": _NAMES[type(event)], **value}


def in_words(event: Event) -> str:
    """An event as a person reads it."""
    if isinstance(event, Message):
        return f"{safe(event.from_)}: {safe(event.body)}"
    if isinstance(event, Presence):
        return presence_in_words(event)
    if isinstance(event, RosterChange):
        what = "is no longer a contact" if event.removed else "is a contact"
        return f"* {safe(event.contact.username)} {what}"
    if isinstance(event, LinkState | RoadChange):
        return way_in_words(event)
    if isinstance(event, Notice):
        return f"* the {event.link} says: {safe(event.text)} ({event.code})"
    if isinstance(event, Receipt):
        return f"* message {safe(event.id)}: {event.status}"
    if isinstance(event, Missed):
        return f"* {event.count} events were left out"
    return f"* the tracker knows {len(event.components)} programs"


def way_in_words(event: LinkState | RoadChange) -> str:
    """``* relay up: relay1``, ``* with fajar directly now, 3f2a 91bc 77d0 ab12 c0de``."""
    if isinstance(event, LinkState):
        return f"* {event.link} {'up' if event.up else 'lost'}: {safe(event.detail)}"
    how = f"directly now, {fingerprint(event.detail)}" if event.direct else "by the relay again"
    return f"* with {safe(event.user)} {how}"


def presence_in_words(presence: Presence) -> str:
    """``* fajar is away (lunch): the bio``."""
    how = presence.show or "online" if presence.online else "offline"
    status = f" ({safe(presence.status)})" if presence.status else ""
    bio = f": {safe(presence.bio)}" if presence.bio else ""
    return f"* {safe(presence.username)} is {safe(how)}{status}{bio}"


_NAMES: dict[type[Any], str] = {
    Message: "message",
    Presence: "presence",
    RosterChange: "roster",
    LinkState: "link",
    Components: "components",
    Notice: "notice",
    Receipt: "receipt",
    Missed: "missed",
    RoadChange: "road",
}
