# SPDX-License-Identifier: MIT
"""``xj roster`` and ``xj presence``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from xjrelay.cli.options import ONE_SHOT, Call, UsageError
from xjrelay.cli.screen import safe, table
from xjrelay.cli.talk import as_value, presence_in_words
from xjrelay.client.aio import Client
from xjrelay.client.model import Contact, Presence


async def roster(call: Call) -> int:
    """Show the contacts, or change one."""
    args = call.args
    client = await call.connect(ONE_SHOT)
    try:
        if args.what == "add":
            _show_contact(call, await client.roster.add(args.contact, args.name), "Added")
        elif args.what == "rename":
            _show_contact(call, await client.roster.rename(args.contact, args.name), "Renamed")
        elif args.what == "remove":
            await client.roster.remove(args.contact)
            call.screen.show(f"Removed {safe(args.contact)}.", username=args.contact, removed=True)
        else:
            _show_roster(call, await client.roster.refresh())
    finally:
        await client.close()
    return 0


async def presence(call: Call) -> int:
    """Show how the contacts are, ask how somebody is, or set the bio."""
    args = call.args
    if args.what == "set" and args.bio is None:
        raise UsageError("presence set: say --bio TEXT")
    client = await call.connect(ONE_SHOT)
    try:
        if args.what == "set":
            await client.presence.set(bio=args.bio)
            call.screen.show("Done.", bio=args.bio)
        elif args.what == "ask":
            _show_presence(call, await client.presence.ask(args.contact))
        else:
            await _show_all(call, client)
    finally:
        await client.close()
    return 0


async def _show_all(call: Call, client: Client) -> None:
    contacts = await client.roster.refresh()
    if not contacts:
        call.screen.note("No contacts yet: xj roster add NAME")
    for contact in contacts:
        _show_presence(call, await client.presence.ask(contact.username))


def _show_presence(call: Call, told: Presence) -> None:
    call.screen.show(presence_in_words(told).removeprefix("* "), **as_value(told))


def _show_contact(call: Call, contact: Contact, done: str) -> None:
    called = f" ({safe(contact.name)})" if contact.name else ""
    call.screen.show(f"{done} {safe(contact.username)}{called}.", **asdict(contact))


def _show_roster(call: Call, contacts: Iterable[Contact]) -> None:
    listed = list(contacts)
    if call.screen.as_json:
        for contact in listed:
            call.screen.show("", **asdict(contact))
    elif listed:
        rows = [[safe(one.username), safe(one.name or ""), one.subscription] for one in listed]
        call.screen.note(table([["USER", "NAME", "SUBSCRIPTION"], *rows]))
    else:
        call.screen.note("No contacts yet: xj roster add NAME")
