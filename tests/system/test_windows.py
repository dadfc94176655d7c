# SPDX-License-Identifier: MIT
"""The window for real, under Xvfb: two of them, without servers and with them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.gui.display import missing
from tests.system.programs import Suite
from tests.system.windows import Seen, WindowProcess

Again = Callable[[], Awaitable[None]]

SHOTS = os.environ.get("XJ_SHOTS")
"""A folder for pictures of each screen; none are made where it isn't said."""


def somebody(name: str, state: str, colour: str) -> Any:
    """A condition: that person is shown so."""

    def holds(seen: Seen) -> bool:
        wanted = {"name": name, "state": state, "colour": colour}
        return any(wanted.items() <= one.items() for one in seen.get("people", ()))

    return holds


class WindowTests(TestCase):
    """What both worlds have in common."""

    timeout = 240
    skip = missing()

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.windows: list[WindowProcess] = []
        self.addCleanup(self.kill_all)

    async def kill_all(self) -> None:
        for window in self.windows:
            await window.kill()

    def window(self, home: str, place: str = "+0+0", language: str = "C", direct: str = "") -> WindowProcess:
        made = WindowProcess(self.folder / home, place, language, direct)
        self.windows.append(made)
        made.start()
        return made

    async def done(self, window: WindowProcess, do: str, **fields: Any) -> None:
        answer = await window.ask(do, **fields)
        self.assertNotIn("broken", answer, (do, fields))

    async def shot(self, window: WindowProcess, name: str, again: Again | None = None) -> None:
        """A picture in both themes, where they are wanted.

        Args:
            window: of which.
            name: of the file.
            again: brings back what another theme takes away, an open sheet.
        """
        if not SHOTS:
            return
        for theme in ("dark", "light"):
            await self.done(window, "shot", path=f"{SHOTS}/{name}-{theme}.png")
            await self.done(window, "theme")
            if again is not None:
                await again()


class ServerlessTests(WindowTests):
    """Alice and Bob, each a program of its own and nobody else."""

    async def enter(self, window: WindowProcess, name: str) -> str:
        """In by the door without servers; returns where others connect to."""
        await self.done(window, "fill", name=name, port="0")
        await self.done(window, "press", button="nearby_box")
        await self.done(window, "press", button="begin_button")
        seen = await window.until(lambda seen: seen["screen"] == "MAIN", f"{name} is in")
        return str(seen["where"])

    async def test_G1_to_G7_bob_connects_to_alice_and_they_talk(self) -> None:
        alice, bob = self.window("alice"), self.window("bob", "+900+0")
        await self.shot(alice, "start")
        where = await self.enter(alice, "Alice")
        await self.enter(bob, "Bob")
        await self.connect(bob, where)
        await bob.until(somebody("Alice", "online", "green"), "Alice at Bob's")
        met = await alice.until(somebody("Bob", "online", "green"), "Bob at Alice's")
        self.assertEqual(met["people"][0]["fingerprint"], (await bob.ask("see"))["fingerprint"])
        await self.talk(alice, bob)
        await self.leave_and_return(alice, bob)
        for window in (alice, bob):
            self.assertNotIn("Traceback", window.said)

    async def connect(self, bob: WindowProcess, where: str) -> None:
        """By *+ Connect to Peer*; a wrong address is said beside the field."""
        host, _, port = where.rpartition(":")

        async def wrong() -> None:
            await self.done(bob, "press", button="add_button")
            await self.done(bob, "fill", host=host, port="nowhere")
            await self.done(bob, "press", button="button")
            await bob.until(lambda seen: "1 to 65535" in seen["errors"].get("port", ""), "the error")

        await wrong()
        await self.shot(bob, "connect", wrong)
        await self.done(bob, "fill", host=host, port=port)
        await self.done(bob, "press", button="button")
        await bob.until(lambda seen: not seen["sheet"] and seen["with"] == "Alice", "the sheet is gone")

    async def talk(self, alice: WindowProcess, bob: WindowProcess) -> None:
        await self.done(alice, "front", there=False)
        await self.done(bob, "say", text="Aku dari Bob")
        await bob.until(lambda seen: any("delivered" in foot for foot in seen["feet"]), "delivered")
        waiting = await alice.until(lambda seen: seen["people"][0]["unread"] == 1, "an unread line")
        self.assertIn("(1)", waiting["title"])
        self.assertIn("Aku dari Bob", waiting["listed"])
        await self.done(alice, "front", there=True)
        await self.done(alice, "click", name="Bob")
        seen = await alice.until(lambda seen: seen["said"] == ["Aku dari Bob"], "what Bob said")
        self.assertEqual((seen["people"][0]["unread"], seen["days"]), (0, ["Today"]))
        await self.done(alice, "say", text="Halo Bob, aku Alice 👋")
        await bob.until(lambda seen: seen["said"] == ["Aku dari Bob", "Halo Bob, aku Alice 👋"], "the answer")

    async def leave_and_return(self, alice: WindowProcess, bob: WindowProcess) -> None:
        """Green, red, green; what is said meanwhile arrives; what was said is still there."""
        self.assertTrue(await bob.close(), bob.said)
        gone = await alice.until(somebody("Bob", "offline", "red"), "Bob has gone")
        self.assertIn("Bob is offline", gone["notes"])
        await self.done(alice, "say", text="sampai nanti\ndua baris, https://example.org/halaman")
        await alice.until(
            lambda seen: any("waits until Bob is back" in foot for foot in seen["feet"]), "waits"
        )
        await self.shot(alice, "without-servers")
        bob.start()
        await self.enter(bob, "Bob")
        await alice.until(somebody("Bob", "online", "green"), "Bob is back")
        await alice.until(lambda seen: "delivered" in seen["feet"][-1], "what waited was delivered")
        await bob.until(somebody("Alice", "online", "green"), "Alice at Bob's again")
        await self.done(bob, "click", name="Alice")
        seen = await bob.until(lambda seen: len(seen["said"]) == 3, "the whole history")
        self.assertEqual(seen["said"][:2], ["Aku dari Bob", "Halo Bob, aku Alice 👋"])

    async def test_in_indonesian(self) -> None:
        window = self.window("siti", language="id_ID.UTF-8")
        await self.done(window, "press", button="begin_button")
        seen = await window.ask("see")
        self.assertEqual(seen["errors"], {"name": "! Ini wajib diisi."})
        await self.shot(window, "start-id")
        self.assertTrue(await window.close(), window.said)


class WithServersTests(WindowTests):
    """The same through a tracker, a manager and two relays."""

    async def register(self, window: WindowProcess, tracker: str, user: str) -> None:
        await self.done(window, "fill", tracker=tracker, user=user, password="rahasia")
        await self.done(window, "press", button="register_button")
        await window.until(lambda seen: seen["screen"] == "MAIN", f"{user} is in")

    async def test_G1_to_G7_two_users_talk_by_the_servers(self) -> None:
        suite = Suite(self.folder / "suite")
        self.addCleanup(suite.end)
        await suite.start()
        alice, bob = self.window("alice"), self.window("bob", "+900+0")
        await self.refused(alice, suite.tracker.address)
        await self.register(alice, suite.tracker.address, "alice")
        await self.register(bob, suite.tracker.address, "bob")
        await self.add(bob, "alice")
        await self.add(alice, "bob")
        await bob.until(somebody("alice", "online", "green"), "alice at bob's")
        await alice.until(somebody("bob", "online", "green"), "bob at alice's")
        await self.done(bob, "say", text="Aku dari Bob")
        await bob.until(lambda seen: any("delivered" in foot for foot in seen["feet"]), "delivered")
        await alice.until(lambda seen: seen["said"] == ["Aku dari Bob"], "what bob said")
        await self.done(alice, "say", text="Halo Bob")
        await bob.until(lambda seen: seen["said"] == ["Aku dari Bob", "Halo Bob"], "the answer")
        await self.leave_and_return(suite, alice, bob)
        for window in (alice, bob):
            self.assertNotIn("Traceback", window.said)

    async def test_two_friends_talk_directly_and_one_is_the_peer_that_the_other_knows(self) -> None:
        """Bob's window is the peer that he was before; the servers die, and they talk on."""
        suite = Suite(self.folder / "suite")
        self.addCleanup(suite.end)
        await suite.start()
        await self.meet_without_servers()
        alice = self.window("alice", direct="127.0.0.1")
        bob = self.window("bob", "+900+0", "id_ID.UTF-8", direct="127.0.0.1")
        for window, user in ((alice, "alice"), (bob, "bob")):
            await self.done(window, "press", button="direct_box")
            await self.register(window, suite.tracker.address, user)
        await self.add(alice, "bob")
        await self.done(bob, "press", button="add_button")
        await self.done(bob, "fill", user="alice")
        await self.done(bob, "press", button="button")
        await alice.until(lambda seen: "by the relay" in seen["head"], "the relay's way")
        await self.done(alice, "say", text="Halo Bob")
        seen = await alice.until(lambda seen: "direct link" in seen["head"], "the direct way")
        self.assertIn("the peer Bob you know", seen["head"])
        await bob.until(lambda seen: "sambungan langsung" in seen["head"], "the same at bob's")
        for relay in suite.relays:
            await relay.stop("KILL")
        await self.done(bob, "say", text="langsung ke kamu")
        await alice.until(lambda seen: seen["said"] == ["Halo Bob", "langsung ke kamu"], "what bob said")
        await bob.until(lambda seen: "sampai" in seen["feet"][-1], "delivered")
        for relay in suite.relays:
            await relay.start()
        await alice.until(lambda seen: seen["link_up"], "the relay is back")
        await self.shot(alice, "direct")
        self.assertTrue(await bob.close(), bob.said)
        await alice.until(lambda seen: "by the relay" in seen["head"], "the relay's way again")
        self.assertTrue(await alice.close(), alice.said)
        await self.the_same_without_servers(suite.tracker.address)

    async def the_same_without_servers(self, tracker: str) -> None:
        """Alice's peer knows which user Bob is, and what was said with that one."""
        alice = self.window("alice")
        await self.done(alice, "press", button="begin_button")
        await alice.until(lambda seen: seen["screen"] == "MAIN", "without servers")
        await self.done(alice, "click", name="Bob")
        said = ["Halo Bob", "langsung ke kamu"]
        seen = await alice.until(lambda seen: seen["said"] == said, "all that was said")
        self.assertIn(f"the user bob at {tracker}", seen["head"])
        self.assertTrue(all(foot.startswith("by the servers") for foot in seen["feet"]), seen["feet"])
        self.assertTrue(await alice.close(), alice.said)

    async def meet_without_servers(self) -> None:
        """Alice and Bob were peers before."""
        alice, bob = self.window("alice"), self.window("bob", "+900+0")
        for window, name in ((alice, "Alice"), (bob, "Bob")):
            await self.done(window, "fill", name=name, port="0")
            await self.done(window, "press", button="nearby_box")
            await self.done(window, "press", button="begin_button")
            await window.until(lambda seen: seen["screen"] == "MAIN", f"{name} is in")
        where = str((await alice.ask("see"))["where"])
        host, _, port = where.rpartition(":")
        await self.done(bob, "press", button="add_button")
        await self.done(bob, "fill", host=host, port=port)
        await self.done(bob, "press", button="button")
        await alice.until(somebody("Bob", "online", "green"), "Bob at Alice's")
        for window in (alice, bob):
            self.assertTrue(await window.close(), window.said)

    async def refused(self, window: WindowProcess, tracker: str) -> None:
        """Errors stand beside what they are about."""
        await self.done(window, "press", button="log_in_button")
        seen = await window.ask("see")
        self.assertEqual(set(seen["errors"]), {"user", "password"})
        await self.done(window, "fill", tracker="127.0.0.1:1", user="alice", password="rahasia")
        await self.done(window, "press", button="log_in_button")
        await window.until(lambda seen: "Nobody answers" in seen["errors"].get("tracker", ""), "no tracker")
        await self.shot(window, "start-error")
        await self.done(window, "fill", tracker=tracker, user="alice", password="rahasia")
        await self.done(window, "press", button="log_in_button")
        await window.until(lambda seen: "no user" in seen["errors"].get("user", ""), "no such user")

    async def add(self, window: WindowProcess, user: str) -> None:
        await self.done(window, "press", button="add_button")
        await self.done(window, "fill", user="nobody-of-that-name")
        await self.done(window, "press", button="button")
        await window.until(lambda seen: "no user" in seen["errors"].get("user", ""), "no such contact")
        await self.done(window, "fill", user=user)
        await self.done(window, "press", button="button")
        await window.until(lambda seen: not seen["sheet"] and seen["with"] == user, f"{user} is added")

    async def leave_and_return(self, suite: Suite, alice: WindowProcess, bob: WindowProcess) -> None:
        self.assertTrue(await bob.close(), bob.said)
        await alice.until(somebody("bob", "offline", "red"), "bob has gone")
        await self.done(alice, "say", text="kalau kamu kembali")
        await alice.until(lambda seen: any("stored" in foot for foot in seen["feet"]), "stored")
        await self.shot(alice, "with-servers")
        bob.start()
        await self.done(bob, "fill", password="rahasia")
        await self.done(bob, "press", button="log_in_button")
        await alice.until(somebody("bob", "online", "green"), "bob is back")
        await bob.until(somebody("alice", "online", "green"), "alice at bob's again")
        await self.done(bob, "click", name="alice")
        seen = await bob.until(lambda seen: len(seen["said"]) == 3, "the history and what was stored")
        self.assertEqual(seen["said"][-1], "kalau kamu kembali")
