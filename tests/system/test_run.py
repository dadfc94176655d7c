# SPDX-License-Identifier: MIT
"""The original test plan with real processes and real sockets.

Tracker up; manager up and recorded; the first relay is given the components, the second joins
through it; users register, are spread, manage rosters and presence, and write to one another on
one relay and across two; then each process in turn is stopped, and killed, and started again
while the others go on. ``tests/sandbox/test_suite.py`` runs the same in memory.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from tests.system.programs import Program, Suite, until
from tests.system.raw import dial, within
from xjrelay.client.model import Receipt
from xjrelay.client.tx import Client, connect

PASSWORD = "rahasia"


async def components(tracker: Program) -> Counter[str]:
    """How many of each type the tracker lists."""
    link = await dial(tracker.address)
    link.say({"ip_local": "127.0.0.1", "port": 0, "type": "client"})
    listed = await link.hear()
    await link.close()
    return Counter(component["type"] for component in listed)


class RunTests(TestCase):
    """One suite for the whole plan: starting five processes takes seconds."""

    timeout = 240

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.suite = Suite(folder)
        self.addCleanup(self.suite.end)
        self.users: list[Client] = []
        self.heard: list[Counter[str]] = []
        self.addCleanup(self.close_all)

    async def close_all(self) -> None:
        await gatherResults([within(user.close()) for user in self.users])

    async def user(self, name: str) -> Client:
        client: Client = await within(connect(self.suite.url, name, PASSWORD, register=True))
        heard: Counter[str] = Counter()
        self.users.append(client)
        self.heard.append(heard)

        async def read() -> None:
            async for message in client.messages():
                heard[message.body] += 1

        Deferred.fromCoroutine(read())
        return client

    async def everybody_writes_to_everybody(self, word: str) -> None:
        """Each message is delivered or stored, and arrives once."""
        sent = [
            Deferred.fromCoroutine(self.deliver(one, other.username, f"{word} from {one.username}"))
            for one in self.users
            for other in self.users
            if one is not other
        ]
        await within(gatherResults(sent))
        others = len(self.users) - 1
        await until(lambda: all(len(self.of(word, heard)) >= others for heard in self.heard), word)
        for user, heard in zip(self.users, self.heard, strict=True):
            wanted = {f"{word} from {other.username}": 1 for other in self.users if other is not user}
            self.assertEqual(self.of(word, heard), wanted)

    def of(self, word: str, heard: Counter[str]) -> dict[str, int]:
        """What somebody heard, if it begins with a word."""
        return {body: count for body, count in heard.items() if body.startswith(word)}

    async def deliver(self, one: Client, to: str, body: str) -> None:
        """Send; whoever is between two relays has it from the mailbox a moment later."""
        receipt: Receipt = await one.send(to, body)
        self.assertIn(receipt.status, ("delivered", "stored"), body)

    async def test_the_original_test_plan(self) -> None:
        suite = self.suite
        await suite.tracker.start()
        self.assertEqual(await components(suite.tracker), {})
        for program, listed in (
            (suite.manager, {"manager": 1}),
            (suite.relays[0], {"manager": 1, "relay": 1}),
            (suite.relays[1], {"manager": 1, "relay": 2}),
        ):
            program.options += ("--tracker", suite.tracker.address)
            await program.start()
            self.assertEqual(await components(suite.tracker), listed)
        await self.users_meet()
        await self.rosters_and_presence()
        for signal in ("TERM", "KILL"):
            for program in suite.programs:
                await self.comes_back(program, signal)

    async def users_meet(self) -> None:
        for name in ("esa", "fajar", "gita", "hadi"):
            await self.user(name)
        self.assertEqual(Counter(user.relay for user in self.users), {"relay1": 2, "relay2": 2})
        await self.everybody_writes_to_everybody("halo")

    async def rosters_and_presence(self) -> None:
        esa, fajar = self.users[:2]
        await within(esa.roster.add("fajar", "Fajar"))
        await within(fajar.roster.add("esa"))
        await within(fajar.presence.set(bio="di pantai"))

        def told() -> bool:
            contact, presence = esa.roster.get("fajar"), esa.presence.get("fajar")
            return (contact is not None and contact.subscription == "both") and (
                presence is not None and presence.bio == "di pantai"
            )

        await until(told, "esa hears of fajar's bio")

    async def comes_back(self, program: Program, signal: str) -> None:
        """The others go on while it is away; when it is back, everybody reaches everybody."""
        status = await within(program.stop(signal))
        # twistd ends in order, then by the very signal it was sent: its parent sees why.
        self.assertEqual(status, -15 if signal == "TERM" else -9, program.log)
        if program in (self.suite.tracker, self.suite.manager):
            await self.everybody_writes_to_everybody(f"without {program.plugin} {signal}")
        await program.start()
        await self.everybody_writes_to_everybody(f"{signal} {program.plugin} {program.port}")
        for one in self.suite.programs:
            self.assertNotIn("Traceback", one.log, one.plugin)
