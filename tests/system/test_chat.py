# SPDX-License-Identifier: MIT
"""``xj chat`` at a terminal of its own: two people, as they would sit there."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.system.commands import XJ, Command, environment, run
from tests.system.programs import Program
from tests.system.raw import Raw, dial, within


class ChatTests(TestCase):
    """One node, two terminals."""

    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        home = Path(self.mktemp()).absolute()
        home.mkdir(parents=True)
        self.node = Program("xjnode", home / "data")
        self.addCleanup(self.node.stop, "KILL")
        await self.node.start()
        self.environ = environment(home, XJ_PASSWORD="rahasia", XJ_TRACKER=self.node.address)
        for name in ("esa", "fajar"):
            self.assertEqual((await run([XJ, "register", "--user", name], self.environ))[2], 0)

    async def sits_down(self, name: str) -> Command:
        """A terminal with a chat in it."""
        chat = Command([XJ, "chat", "--user", name], self.environ, terminal=True)
        self.addCleanup(chat.end)
        await chat.says(f"You are {name}, connected.")
        await chat.says(">")
        return chat

    async def test_two_people_talk(self) -> None:
        esa, fajar = await self.sits_down("esa"), await self.sits_down("fajar")
        esa.enter("/add fajar Pak Fajar")
        await esa.says("fajar is a contact.")
        fajar.enter("/add esa")
        await fajar.says("esa is a contact.")
        await esa.says("you are each other's contacts")
        fajar.enter("/bio di pantai sampai sore")
        await fajar.says("Others read that about you now.")
        await esa.says("fajar is online: di pantai sampai sore")
        esa.enter("/roster")
        await esa.says("Pak Fajar")
        esa.enter("apa kabar, ombak besar?")
        await esa.says("you to Pak Fajar: apa kabar, ombak besar?  [delivered]")
        await fajar.says("esa: apa kabar, ombak besar?")
        fajar.enter("baik 🌊")
        await esa.says("Pak Fajar: baik 🌊")
        fajar.enter("/quit")
        self.assertEqual(await within(fajar.ended), 0)
        await esa.says("* fajar is offline")
        esa.enter("masih di sana?")
        await esa.says("you to Pak Fajar: masih di sana?  [stored]")
        esa.type("\x04")  # Ctrl-D
        self.assertEqual(await within(esa.ended), 0)
        self.assertNotIn("Traceback", esa.raw + fajar.raw)

    async def test_what_a_terminal_would_obey_is_spelt_out(self) -> None:
        esa = await self.sits_down("esa")
        stranger = await self.stranger()
        stranger.say({"stanza": "message", "to": "esa", "body": "\x1b]0;halo\x07\x1b[2Jboo\r\n\x9b1m\u202e"})
        await esa.says(r"stranger: \x1b]0;halo\x07\x1b[2Jboo\r\n\x9b1m\u202e")
        for sequence in ("\x1b]0;halo", "\x1b[2Jboo", "\x9b", "\u202e"):
            self.assertNotIn(sequence, esa.raw)
        esa.enter("/quit")
        self.assertEqual(await within(esa.ended), 0)

    async def stranger(self) -> Raw:
        """Somebody whose client checks nothing, at a relay."""
        tracker = await dial(self.node.address)
        hello = {"ip_local": "127.0.0.1", "port": 0, "type": "client"}
        tracker.say(hello)
        [manager] = [one for one in await tracker.hear() if one["type"] == "manager"]
        at_manager = await dial((manager["ip_local"], manager["port"]))
        at_manager.say(hello)
        at_manager.say({"type": "auth", "username": "stranger", "password": "rahasia", "register": True})
        answer = await at_manager.hear(code=201)
        [relay] = answer["component"]
        at_relay = await dial((relay["ip_local"], relay["port"]))
        at_relay.say({"username": "stranger", "message": "hello!", "token": answer["token"]})
        await at_relay.hear(message="hello!")
        for link in (tracker, at_manager, at_relay):
            self.addCleanup(link.close)
        return at_relay

    async def test_a_login_that_is_refused_is_one_line(self) -> None:
        environ = {**self.environ, "XJ_PASSWORD": "wrong"}
        chat = Command([XJ, "chat", "--user", "esa"], environ, terminal=True)
        self.addCleanup(chat.end)
        self.assertEqual(await within(chat.ended), 1)
        self.assertEqual(chat.read.strip(), "xj: Wrong password")
