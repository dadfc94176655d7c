# SPDX-License-Identifier: MIT
"""A client of the original middleware still works, byte for byte.

Every frame is written out here as the original's client sent it: its key order, its spaces
(the standard library's ``json.dumps``), its six-byte delimiter.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.system.programs import Suite
from tests.system.raw import ORIGINAL, Raw, dial


class OriginalClientTests(TestCase):
    """One relay that admits clients without a token; one user of each framing."""

    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.suite = Suite(folder, relays=1, relay_options=("--allow-legacy-clients",))
        self.addCleanup(self.suite.end)
        await self.suite.start()

    async def original_login(self, name: bytes) -> tuple[Raw, str]:
        """The original's way in: hello, register, and the relay's address."""
        tracker = await dial(self.suite.tracker.address, ORIGINAL)
        tracker.say_bytes(
            b'{"ip_local": "127.0.0.1", "port": 0, "type": "client", "is_private": true}' + ORIGINAL
        )
        await self.array_of(tracker)
        await tracker.close()
        manager = await dial(self.suite.manager.address, ORIGINAL)
        manager.say_bytes(b'{"ip_local": "127.0.0.1", "port": 0, "type": "client"}' + ORIGINAL)
        manager.say_bytes(
            b'{"type": "auth", "username": "%s", "password": "rahasia", "register": true}' % name + ORIGINAL
        )
        answer = await manager.hear(code=201)
        component = answer["component"][0]
        return manager, f"{component['ip_local']}:{component['port']}"

    async def array_of(self, tracker: Raw) -> None:
        """The components are there: an array, a manager and a relay in it, nobody else."""
        components = await tracker.hear()
        self.assertEqual(sorted(component["type"] for component in components), ["manager", "relay"])
        self.assertEqual({component["is_private"] for component in components}, {True})

    async def newline_login(self, name: str) -> tuple[Raw, Raw]:
        """A newline client's two connections."""
        manager = await dial(self.suite.manager.address)
        manager.say({"ip_local": "127.0.0.1", "port": 0, "type": "client"})
        manager.say({"type": "auth", "username": name, "password": "rahasia", "register": True})
        answer = await manager.hear(code=201)
        component = answer["component"][0]
        relay = await dial((component["ip_local"], component["port"]))
        relay.say({"username": name, "message": "hello!", "token": answer["token"]})
        await relay.hear(message="hello!")
        return manager, relay

    async def test_an_original_client_chats_with_a_newline_client(self) -> None:
        """Registers, logs in, gets a relay, and messages go both ways."""
        manager, relay_address = await self.original_login(b"esa")
        relay = await dial(relay_address, ORIGINAL)
        relay.say_bytes(b'{"username": "esa", "message": "hello!"}' + ORIGINAL)
        fajar_manager, fajar = await self.newline_login("fajar")

        fajar.say({"stanza": "message", "from": "fajar", "to": "esa", "body": "halo"})
        heard = await relay.hear(stanza="message")
        self.assertEqual(
            {key: heard[key] for key in ("from", "to", "body")},
            {"from": "fajar", "to": "esa", "body": "halo"},
        )
        relay.say_bytes(
            b'{"stanza": "message", "from": "esa", "to": "fajar", "body": "halo juga", "lang": "id"}'
            + ORIGINAL
        )
        heard = await fajar.hear(stanza="message")
        self.assertEqual((heard["from"], heard["body"], heard["lang"]), ("esa", "halo juga", "id"))
        for link in (relay, fajar, fajar_manager, manager):
            await link.close()

    async def test_log_in_again_says_it_as_the_original_did(self) -> None:
        """``Login successfull``, and the least loaded relay inside an array of one."""
        manager, _ = await self.original_login(b"esa")
        manager.say_bytes(b'{"stanza": "presence", "from": "esa", "type": "unavailable"}' + ORIGINAL)
        await manager.ended
        manager = await dial(self.suite.manager.address, ORIGINAL)
        manager.say_bytes(b'{"ip_local": "127.0.0.1", "port": 0, "type": "client"}' + ORIGINAL)
        manager.say_bytes(b'{"type": "auth", "username": "esa", "password": "rahasia"}' + ORIGINAL)
        answer = await manager.hear(code=200)
        self.assertEqual(answer["msg"], "Login successfull")
        manager.say_bytes(b'{"type": "get_relay_less_connection"}' + ORIGINAL)
        answers = await manager.hear()
        self.assertEqual((len(answers), answers[0]["msg"]), (1, "Relay Less Connection"))
        self.assertEqual(len(answers[0]["component"]), 1)
        await manager.close()

    async def test_a_stranger_without_a_login_is_not_let_in(self) -> None:
        """Even where clients without a token are admitted, they must be logged in."""
        relay = await dial(self.suite.relays[0].address, ORIGINAL)
        relay.say_bytes(b'{"username": "esa", "message": "hello!"}' + ORIGINAL)
        await relay.hear(code=401)
        await relay.ended
