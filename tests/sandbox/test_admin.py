# SPDX-License-Identifier: MIT
"""An operator's acts in the whole suite, with the network against it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.client.errors import ClientError
from xjrelay.client.tx import Client
from xjrelay.sandbox.suite import Sandbox
from xjrelay.servers.manager.acts import (
    Acts,
    BanUser,
    DrainRelay,
    EndSessions,
    MoveUsers,
    User,
    WhichSessions,
)


class ActsTests(SynchronousTestCase):
    """Two relays, and some users on each."""

    def setUp(self) -> None:
        self.sandbox = Sandbox(seed=11, relays=2)
        self.sandbox.start()
        self.ends: dict[str, str] = {}

    @property
    def acts(self) -> Acts:
        """Those of the manager that runs now."""
        service = self.sandbox.server("manager")

        async def step(step: str) -> int:
            raise AssertionError("there is no file")

        return Acts(service.manager, service.rotation, step, dict)

    def does(self, act: Any) -> Any:
        return self.sandbox.run(Deferred.fromCoroutine(act))

    def user(self, name: str) -> Client:
        client = self.sandbox.user(name)
        Deferred.fromCoroutine(self.read(client, name))
        return client

    async def read(self, client: Client, name: str) -> None:
        try:
            async for _ in client.messages():
                pass
        except ClientError as error:
            self.ends[name] = str(error)

    def sessions(self, relay: str) -> list[str]:
        """Whom a relay has."""
        table = self.sandbox.server(relay).relay.switch.table
        return sorted(route.user.username for route in table.local())

    def both(self) -> list[str]:
        return self.sessions("relay1") + self.sessions("relay2")

    def test_a_ban_ends_everything_within_a_second_and_holds_over_a_kill(self) -> None:
        self.user("esa")
        fajar = self.user("fajar")
        self.assertEqual(sorted(self.both()), ["esa", "fajar"])
        self.does(self.acts.ban(BanUser(user="esa", reason="spam")))
        self.sandbox.advance(1)
        self.assertEqual(self.both(), ["fajar"])
        self.sandbox.until(lambda: "esa" in self.ends)
        self.assertEqual(self.ends["esa"], "Banned: spam")
        receipt = self.sandbox.run(fajar.send("esa", "are you there?"))
        self.assertEqual(receipt.status, "stored")
        self.sandbox.kill("manager")
        self.sandbox.restart("manager")
        self.sandbox.until(lambda: self.sandbox.ready("manager"))
        refused = self.sandbox.run(self.sandbox.connect("esa").addErrback(lambda failure: failure.value))
        self.assertEqual(str(refused), "Banned: spam")
        self.does(self.acts.lift(User(user="esa")))
        heard: list[str] = []
        back = self.sandbox.run(self.sandbox.connect("esa"))
        Deferred.fromCoroutine(self.hear(back, heard))
        self.sandbox.until(lambda: heard == ["are you there?"])

    async def hear(self, client: Client, heard: list[str]) -> None:
        async for message in client.messages():
            heard.append(message.body)

    def test_a_relay_out_of_reach_ends_the_sessions_when_it_is_back(self) -> None:
        self.user("esa")
        relay = "relay1" if "esa" in self.sessions("relay1") else "relay2"
        self.sandbox.partition("manager", relay)
        self.sandbox.advance(5)
        self.does(self.acts.ban(BanUser(user="esa")))
        self.sandbox.heal()
        self.sandbox.until(lambda: self.both() == [])
        self.sandbox.until(lambda: self.ends.get("esa") == "Banned")

    def test_ended_sessions_come_back_by_themselves(self) -> None:
        esa = self.user("esa")
        before = self.does(self.acts.sessions(WhichSessions()))["sessions"][0]["session"]
        self.does(self.acts.end(EndSessions(user="esa")))
        self.sandbox.advance(0.5)
        self.sandbox.until(lambda: self.both() == ["esa"])
        after = self.does(self.acts.sessions(WhichSessions()))["sessions"][0]["session"]
        self.assertGreater(after, before)
        receipt = self.sandbox.run(self.user("fajar").send("esa", "halo"))
        self.assertEqual(receipt.status, "delivered")
        self.assertEqual((esa.username, self.ends), ("esa", {}))

    def test_users_are_moved_and_a_relay_is_drained_with_nothing_lost(self) -> None:
        users = [self.user(f"user{number}") for number in range(6)]
        self.assertEqual((len(self.sessions("relay1")), len(self.sessions("relay2"))), (3, 3))
        self.sandbox.until(lambda: self.sandbox.server("relay1").relay.peers.linked == ["relay2"])
        self.does(self.acts.move(MoveUsers(relay="relay1", users=2, within=4)))
        self.sandbox.until(lambda: len(self.sessions("relay1")) == 1 and len(self.sessions("relay2")) == 5)
        self.does(self.acts.drain(DrainRelay(relay="relay1", within=4)))
        self.sandbox.until(lambda: len(self.sessions("relay2")) == 6)
        for user in users[1:]:
            self.assertEqual(self.sandbox.run(users[0].send(user.username, "halo")).status, "delivered")
