# SPDX-License-Identifier: MIT
"""The original test plan, in memory and on a fake clock, from a seed.

The same scenario runs with real processes in ``tests/system/test_run.py``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.client.model import Message, Receipt
from xjrelay.client.tx import Client
from xjrelay.sandbox.suite import Sandbox


class Reader:
    """An application that takes whatever comes."""

    def __init__(self, client: Client) -> None:
        self.bodies: list[str] = []
        self.ended = Deferred.fromCoroutine(self._read(client))

    async def _read(self, client: Client) -> None:
        async for message in client.messages():
            assert isinstance(message, Message)
            self.bodies.append(message.body)


class SuiteTests(SynchronousTestCase):
    """Tracker, manager, two relays, six users."""

    def start(self, seed: int = 0, relays: int = 2, users: int = 6) -> None:
        self.sandbox = Sandbox(seed, relays)
        self.sandbox.start()
        self.sandbox.advance(2)
        self.users = [self.sandbox.user(f"user{number}") for number in range(users)]
        self.readers = [Reader(user) for user in self.users]

    def everybody_writes_to_everybody(self, word: str) -> list[Receipt]:
        sent = [
            (one, other, one.send(other.username, f"{word} {one.username}"))
            for one in self.users
            for other in self.users
            if one is not other
        ]
        return [self.sandbox.run(receipt) for _, _, receipt in sent]

    def assertAllDelivered(self, word: str) -> None:
        """Everybody hears everybody once; of who is just between two relays it may be stored first."""
        receipts = self.everybody_writes_to_everybody(word)
        self.assertLessEqual({receipt.status for receipt in receipts}, {"delivered", "stored"}, word)
        self.sandbox.advance(10)
        for user, reader in zip(self.users, self.readers, strict=True):
            wanted = Counter(f"{word} {other.username}" for other in self.users if other is not user)
            self.assertEqual(Counter(body for body in reader.bodies if body.startswith(word)), wanted)

    def test_everybody_reaches_everybody_on_one_relay_and_across(self) -> None:
        self.start()
        self.assertEqual(Counter(user.relay for user in self.users), {"relay1": 3, "relay2": 3})
        self.assertAllDelivered("halo")

    def test_rosters_and_presence(self) -> None:
        self.start(users=3)
        esa, fajar, gita = self.users
        run = self.sandbox.run
        run(esa.roster.add("user1", "Fajar"))
        run(fajar.roster.add("user0"))
        self.sandbox.advance(1)
        for one, other in ((esa, "user1"), (fajar, "user0")):
            contact, presence = one.roster.get(other), one.presence.get(other)
            assert contact is not None and presence is not None
            self.assertEqual((contact.subscription, presence.online), ("both", True))
        run(fajar.presence.set(bio="di pantai", show="away"))
        self.sandbox.advance(1)
        heard = esa.presence.get("user1")
        assert heard is not None
        self.assertEqual((heard.bio, heard.show), ("di pantai", "away"))
        self.assertEqual(run(gita.presence.ask("user0")).online, True)
        run(fajar.close())
        self.sandbox.advance(1)
        heard = esa.presence.get("user1")
        assert heard is not None
        self.assertEqual(heard.online, False)
        run(esa.roster.remove("user1"))
        self.assertNotIn("user1", esa.roster)

    def test_each_program_in_turn_is_killed_and_comes_back(self) -> None:
        self.start()
        for name in self.sandbox.programs:
            self.sandbox.kill(name)
            self.sandbox.advance(3)
            self.sandbox.restart(name)
            self.sandbox.until(lambda name=name: self.sandbox.ready(name))  # type: ignore[misc]
            self.sandbox.advance(10)
            self.assertAllDelivered(f"after {name}")

    def test_each_program_in_turn_is_stopped_in_order_and_comes_back(self) -> None:
        self.start()
        for name in self.sandbox.programs:
            self.sandbox.stop(name)
            self.sandbox.advance(3)
            self.sandbox.restart(name)
            self.sandbox.until(lambda name=name: self.sandbox.ready(name))  # type: ignore[misc]
            self.sandbox.advance(10)
            self.assertAllDelivered(f"after {name}")

    def test_users_of_a_lost_relay_move_to_the_other(self) -> None:
        self.start()
        self.sandbox.kill("relay1")
        self.sandbox.advance(70)
        self.assertEqual({user.relay for user in self.users}, {"relay2"})
        self.assertAllDelivered("together")

    def test_fifty_users_on_three_relays(self) -> None:
        self.start(relays=3, users=50)
        counts = Counter(user.relay for user in self.users)
        self.assertEqual(sorted(counts.values()), [16, 17, 17])
        receipts = [
            self.sandbox.run(self.users[n].send(self.users[(n * 7 + 1) % 50].username, "halo"))
            for n in range(50)
        ]
        self.assertEqual({receipt.status for receipt in receipts}, {"delivered"})

    def test_the_same_seed_gives_the_same_run(self) -> None:
        self.assertEqual(self.trace(11), self.trace(11))
        self.assertNotEqual(self.trace(11), self.trace(12))

    def trace(self, seed: int) -> str:
        """All that the log says of a run, with the times at which it was said."""
        digest = hashlib.sha256()

        def observe(event: LogEvent) -> None:
            line = f"{self.sandbox.clock.seconds()} {event.get('log_format')} {event.get('link')}"
            digest.update(line.encode())

        observer: Any = observe  # a function is an observer, says Twisted; mypy doesn't know
        self.start(seed, users=2)
        globalLogPublisher.addObserver(observer)
        try:
            self.sandbox.kill("relay1")
            self.sandbox.advance(30)
            self.everybody_writes_to_everybody("lagi")
        finally:
            globalLogPublisher.removeObserver(observer)
        return digest.hexdigest()
