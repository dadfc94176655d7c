# SPDX-License-Identifier: MIT
"""What happens in ``xj chat``: lines in, lines out. Knows no terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from xjrelay.cli.screen import safe, table
from xjrelay.cli.talk import in_words, presence_in_words, why_failed
from xjrelay.client.aio import Client
from xjrelay.client.errors import ClientError
from xjrelay.client.model import Components, Event, LinkState, Message, Presence, RosterChange, user_key

HELP = """\
  text            to whom you talk with at the moment
  NAME: text      to a contact, who is then whom you talk with
  /to NAME        talk with somebody
  /add NAME [AS]  add a contact, under a name of your own if you like
  /rename NAME AS call a contact something else
  /remove NAME    remove a contact
  /roster         your contacts, and who is there
  /who            who you are, and where
  /bio TEXT       what others read about you
  /ask NAME       how somebody is
  /quit           leave (Ctrl-D does too)"""

SOON = 0.3
"""Seconds a sent line waits for its outcome before it is shown without."""

PATIENCE = 300.0
"""Seconds to an outcome: a person at a terminal would rather have a late one than say it again."""


class Conversation:
    """A user at a terminal.

    Args:
        client: logged in.
        show: prints a line.

    Attributes:
        to: whom a plain line goes to, or None.
    """

    def __init__(self, client: Client, show: Callable[[str], None]) -> None:
        self.to: str | None = None
        self._client = client
        self._show = show
        self._sending: set[asyncio.Task[None]] = set()
        self._lost: set[str] = set()  # links the user was told are gone
        self._told: dict[str, Presence] = {}  # by key, what the user knows of others
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "/to": self._set_to,
            "/add": self._add,
            "/rename": self._rename,
            "/remove": self._remove,
            "/roster": self._roster,
            "/who": self._who,
            "/bio": self._bio,
            "/ask": self._ask,
            "/help": self._help,
        }

    @property
    def prompt(self) -> str:
        """What stands before the line being typed."""
        return f"{safe(self.to)}> " if self.to else "> "

    def begin(self) -> None:
        """The first lines."""
        self._show(f"You are {safe(self._client.username)}, connected. /help says what can be typed.")
        contacts = list(self._client.roster)
        self._told = {user_key(one.username): one for one in self._client.presence}
        if not contacts:
            self._show("You have no contacts yet. Add one: /add NAME")
            return
        online = [one.username for one in contacts if self._is_online(one.username)]
        self._show(f"{len(contacts)} contacts, online: {safe(', '.join(online)) or 'nobody'}.")
        self.to = (online or [contacts[0].username])[0]

    async def typed(self, line: str) -> bool:
        """A line was typed; False when it says to leave."""
        line = line.strip()
        if not line:
            return True
        if not line.startswith("/"):
            self._say(line)
            return True
        word, _, rest = line.partition(" ")
        if word == "/quit":
            return False
        command = self._commands.get(word)
        if command is None:
            self._show(f"There is no {safe(word)}. /help says what there is.")
            return True
        try:
            await command(rest.strip())
        except ClientError as error:
            self._show(f"! {safe(error)}")
        return True

    def happened(self, event: Event) -> None:
        """Something came over a link."""
        if isinstance(event, Message) and self.to is None:
            self.to = event.from_.partition("/")[0]
        if isinstance(event, LinkState):
            self._link_changed(event)
        elif isinstance(event, Presence):
            self._presence_changed(event)
        elif isinstance(event, Message):
            self._show(f"{safe(self._called(event.from_))}: {safe(event.body)}")
        elif isinstance(event, RosterChange) and event.by_other and not event.removed:
            both = event.contact.subscription == "both"
            how = "and you are each other's contacts" if both else "does not have you as a contact"
            self._show(f"* {safe(event.contact.username)} {how}")
        elif not isinstance(event, Components | RosterChange):
            self._show(in_words(event))

    def _link_changed(self, event: LinkState) -> None:
        """A person needs to know what can't be done meanwhile, not which socket failed."""
        if event.link == "tracker" or event.up == (event.link not in self._lost):
            return
        if event.up:
            self._lost.discard(event.link)
        else:
            self._lost.add(event.link)
        if event.link == "relay":
            self._show(
                f"* connected, at {safe(event.detail)}" if event.up else "* connection lost, coming back ..."
            )
        else:
            self._show(
                "* contacts and presence are back" if event.up else "* the manager is away; messages still go"
            )

    def _presence_changed(self, event: Presence) -> None:
        """Shown when it is news: after each login the manager says everything again."""
        key = user_key(event.username)
        before = self._told.get(key)
        self._told[key] = replace(event, directed=False)
        if not event.directed and self._told[key] != before and (event.online or before is not None):
            self._show(in_words(event))

    async def finish(self) -> None:
        """Wait for what is being sent."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=2.0)
        for task in self._sending:
            task.cancel()

    # -- messages ----------------------------------------------------------------------------

    def _say(self, line: str) -> None:
        name, colon, text = line.partition(":")
        if colon and text.strip() and (name in self._client.roster or name == self.to):
            self.to, line = name, text.strip()
        if self.to is None:
            self._show("To whom? /to NAME says it, or /add NAME adds a contact.")
            return
        task = asyncio.get_running_loop().create_task(self._send(self.to, line))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, to: str, text: str) -> None:
        line = f"you to {safe(self._called(to))}: {safe(text)}"
        sending = asyncio.ensure_future(self._client.send(to, text, timeout=PATIENCE))
        await asyncio.wait([sending], timeout=SOON)
        quick = sending.done()
        if not quick:
            self._show(f"{line}  ...")
        try:
            receipt = await sending
        except ClientError as error:
            self._show(f"! not sent to {safe(to)}: {safe(error)}")
            return
        if receipt.status == "failed":
            self._show(f"{line}\n! not delivered: {safe(why_failed(receipt, to))}")
        elif quick:
            self._show(f"{line}  [{receipt.status}]")
        else:
            self._show(f"* {receipt.status}: {safe(text[:40])}")

    def _called(self, user: str) -> str:
        name = user.partition("/")[0]
        contact = self._client.roster.get(name)
        return contact.name if contact is not None and contact.name else name

    def _is_online(self, user: str) -> bool:
        presence = self._client.presence.get(user)
        return presence is not None and presence.online

    # -- commands ----------------------------------------------------------------------------

    async def _set_to(self, rest: str) -> None:
        if not rest:
            self._show("Whom? /to NAME")
            return
        self.to = rest
        self._show(f"You talk with {safe(rest)}.")

    async def _add(self, rest: str) -> None:
        name, _, called = rest.partition(" ")
        if not name:
            self._show("Whom? /add NAME")
            return
        contact = await self._client.roster.add(name, called.strip() or None)
        self._show(f"{safe(contact.username)} is a contact.")
        self.to = self.to or contact.username

    async def _rename(self, rest: str) -> None:
        name, _, called = rest.partition(" ")
        if not called.strip():
            self._show("Which one, and what? /rename NAME AS")
            return
        contact = await self._client.roster.rename(name, called.strip())
        self._show(f"{safe(contact.username)} is called {safe(contact.name or contact.username)}.")

    async def _remove(self, rest: str) -> None:
        if not rest:
            self._show("Whom? /remove NAME")
            return
        await self._client.roster.remove(rest)
        self._show(f"{safe(rest)} is no longer a contact.")
        if self.to is not None and user_key(self.to) == user_key(rest):
            self.to = None

    async def _roster(self, rest: str) -> None:
        rows = [["NAME", "CALLED", "THERE", "ABOUT"]]
        for one in await self._client.roster.refresh():
            presence = self._client.presence.get(one.username)
            there = (presence.show or "online") if presence and presence.online else "no"
            bio = safe(presence.bio)[:50] if presence and presence.bio else ""
            rows.append([safe(one.username), safe(one.name or ""), safe(there), bio])
        self._show(table(rows) if len(rows) > 1 else "You have no contacts yet. Add one: /add NAME")

    async def _who(self, rest: str) -> None:
        client = self._client
        self._show(f"You are {safe(client.username)}, at {safe(client.relay)} (manager {client.manager}).")

    async def _bio(self, rest: str) -> None:
        if not rest:
            self._show("What? /bio TEXT")
            return
        await self._client.presence.set(bio=rest)
        self._show("Others read that about you now.")

    async def _ask(self, rest: str) -> None:
        name = rest or self.to
        if not name:
            self._show("Whom? /ask NAME")
            return
        self._show(presence_in_words(await self._client.presence.ask(name)))

    async def _help(self, rest: str) -> None:
        self._show(HELP)
