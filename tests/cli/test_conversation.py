# SPDX-License-Identifier: MIT
"""A chat without a terminal and without a network."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli.conversation import Conversation
from xjrelay.client.aio import Client
from xjrelay.client.contacts import ContactBook, PresenceBook
from xjrelay.client.errors import ClientError, Disconnected, Refused
from xjrelay.client.model import Contact, LinkState, Message, Presence, Receipt, RosterChange

FAJAR = Presence("fajar", True, "Busy")


class FakeRoster(ContactBook):
    """Contacts that are changed at once."""

    async def refresh(self) -> list[Contact]:
        return list(self)

    async def add(self, user: str, name: str | None = None) -> Contact:
        if user == "nobody":
            raise Refused(404, "there is no such user")
        self.put(contact := Contact(user, name))
        return contact

    rename = add

    async def remove(self, user: str) -> None:
        if self.drop(user) is None:
            raise Refused(400, f"{user} is not a contact")


class FakePresence(PresenceBook):
    """Remembers what was set."""

    bio = ""

    async def set(self, bio: str) -> None:
        self.bio = bio

    async def ask(self, user: str) -> Presence:
        return Presence(user, True, directed=True)


class FakeClient:
    """What a conversation sees of a client."""

    username = "esa"
    relay = "relay1"
    manager = "127.0.0.1:5001"

    def __init__(self) -> None:
        self.roster = FakeRoster()
        self.presence = FakePresence()
        self.sent: list[tuple[str, str]] = []
        self.outcome: Receipt | ClientError = Receipt("1", "delivered")

    async def send(self, to: str, body: str, timeout: float) -> Receipt:
        self.sent.append((to, body))
        if isinstance(self.outcome, ClientError):
            raise self.outcome
        return self.outcome


class ConversationTests(SynchronousTestCase):
    """Lines in, lines out."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.lines: list[str] = []
        self.chat = Conversation(cast(Client, self.client), self.lines.append)

    def type(self, *lines: str) -> list[str]:
        """What is shown for these lines."""

        async def typing() -> None:
            for line in lines:
                self.stays = await self.chat.typed(line)
            await self.chat.finish()

        self.lines.clear()
        asyncio.run(typing())
        return self.lines

    def hear(self, *events: Any) -> list[str]:
        """What is shown for these events."""
        self.lines.clear()
        for event in events:
            self.chat.happened(event)
        return self.lines

    def test_the_first_minute(self) -> None:
        self.chat.begin()
        self.assertIn("You are esa", self.lines[0])
        self.assertIn("/add NAME", self.lines[1])
        self.assertIn("To whom?", self.type("hello?")[0])
        self.assertEqual(self.type("/add fajar"), ["fajar is a contact."])
        self.assertEqual(self.chat.prompt, "fajar> ")
        self.assertEqual(self.type("hello"), ["you to fajar: hello  [delivered]"])
        self.assertEqual(self.client.sent, [("fajar", "hello")])

    def test_begins_with_a_contact_who_is_there(self) -> None:
        for name in ("adi", "fajar"):
            self.client.roster.put(Contact(name))
        self.client.presence.put(FAJAR)
        self.chat.begin()
        self.assertEqual(self.chat.to, "fajar")
        self.assertIn("2 contacts, online: fajar.", self.lines)

    def test_a_name_and_a_colon_change_whom_one_talks_with(self) -> None:
        self.client.roster.put(Contact("fajar"))
        self.client.roster.put(Contact("gita"))
        self.type("/to fajar", "gita: hi", "more", "note: not a name")
        self.assertEqual(self.client.sent, [("gita", "hi"), ("gita", "more"), ("gita", "note: not a name")])

    def test_who_writes_first_is_answered(self) -> None:
        self.assertEqual(self.hear(Message(from_="fajar/phone", to="esa", body="hi\x1b")), ["fajar: hi\\x1b"])
        self.assertEqual(self.chat.to, "fajar")

    def test_a_contact_goes_by_the_users_own_name_for_it(self) -> None:
        self.client.roster.put(Contact("fajar", "Jar"))
        self.assertEqual(self.hear(Message(from_="fajar", to="esa", body="hi")), ["Jar: hi"])

    def test_a_message_that_fails_says_why(self) -> None:
        self.client.outcome = Receipt("1", "failed", 404)
        self.type("/to fajar")
        self.assertIn("! not delivered: there is no user fajar", self.type("hi")[0])
        self.client.outcome = Disconnected("the client is closed")
        self.assertEqual(self.type("hi"), ["! not sent to fajar: the client is closed"])

    def test_commands(self) -> None:
        self.assertIn("/quit", self.type("/help")[0])
        self.assertIn("no /nope", self.type("/nope")[0])
        self.assertEqual(self.type("/add nobody"), ["! there is no such user"])
        self.type("/add fajar Jar Wo")
        self.assertEqual(self.client.roster.get("fajar"), Contact("fajar", "Jar Wo"))
        self.type("/rename fajar Jarwo")
        self.assertIn("Jarwo", self.type("/roster")[0])
        self.assertIn("relay1", self.type("/who")[0])
        self.type("/bio Out for lunch")
        self.assertEqual(self.client.presence.bio, "Out for lunch")
        self.assertEqual(self.type("/ask"), ["* fajar is online"])
        self.assertEqual(self.type("/remove fajar"), ["fajar is no longer a contact."])
        self.assertIsNone(self.chat.to)
        self.assertEqual(self.type("/remove fajar"), ["! fajar is not a contact"])
        self.assertIn("no contacts yet", self.type("/roster")[0])

    def test_commands_that_lack_something_say_what(self) -> None:
        for line in ("/to", "/add", "/rename fajar", "/remove", "/bio", "/ask"):
            self.assertEqual(len(self.type(line)), 1)
            self.assertIn(line.split()[0], self.lines[0])

    def test_leaving(self) -> None:
        self.type("/who", "", "text")
        self.assertTrue(self.stays)
        self.type("/quit")
        self.assertFalse(self.stays)

    def test_presence_is_shown_when_it_is_news(self) -> None:
        self.assertEqual(self.hear(Presence("fajar", False, "Busy")), [])
        self.assertEqual(self.hear(FAJAR, FAJAR), ["* fajar is online: Busy"])
        self.assertEqual(self.hear(Presence("fajar", False, "Busy")), ["* fajar is offline: Busy"])
        self.assertEqual(self.hear(Presence("gita", True, directed=True)), [])

    def test_links_are_shown_when_they_are_lost_and_back(self) -> None:
        up, down = LinkState("relay", True, "relay2"), LinkState("relay", False, "x")
        self.assertEqual(self.hear(up, LinkState("tracker", False)), [])
        shown = self.hear(down, down, up, LinkState("manager", False), LinkState("manager", True))
        self.assertEqual(len(shown), 4)
        self.assertIn("relay2", shown[1])
        self.assertIn("manager is away", shown[2])

    def test_being_added_and_removed_is_shown(self) -> None:
        change = RosterChange(Contact("fajar", None, "both"), by_other=True)
        self.assertEqual(self.hear(change), ["* fajar and you are each other's contacts"])
        change = RosterChange(Contact("fajar", None, "to"), by_other=True)
        self.assertEqual(self.hear(change), ["* fajar does not have you as a contact"])
        self.assertEqual(self.hear(RosterChange(Contact("fajar"), removed=True)), [])
