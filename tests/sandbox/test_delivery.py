# SPDX-License-Identifier: MIT
"""Acknowledged delivery in the whole suite: the mailbox, lost relays, who is online, draining."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.client.errors import ClientError
from xjrelay.client.model import Message, Notice, Receipt
from xjrelay.client.tx import Client
from xjrelay.sandbox.suite import Sandbox
from xjrelay.security.scram import MIN_ROUNDS
from xjrelay.servers.manager.state import Policy
from xjrelay.servers.relay.switch import RelaySettings

LEASE = 10.0
RESUME = 20.0


class Reader:
    """An application that takes whatever comes.

    Attributes:
        bodies: of the messages.
        notices: what a server said that nobody asked for.
    """

    def __init__(self, client: Client) -> None:
        self.bodies: list[str] = []
        self.notices: list[Notice] = []
        Deferred.fromCoroutine(self._read(client))

    async def _read(self, client: Client) -> None:
        async for event in client.events():
            if isinstance(event, Message):
                self.bodies.append(event.body)
            elif isinstance(event, Notice):
                self.notices.append(event)


class DeliveryCase(SynchronousTestCase):
    """A suite."""

    def start(self, relays: int = 2, mailbox_max: int = 1000, drain: float = 2.0) -> None:
        policy = Policy(
            key_rounds=MIN_ROUNDS, allow_plaintext=True, lease=LEASE, mailbox_max=mailbox_max
        )
        settings = RelaySettings(resume=RESUME, drain=drain)
        self.sandbox = Sandbox(3, relays, policy=policy, settings=settings, lease=LEASE)
        self.sandbox.start()
        self.sandbox.advance(1)
        self.outcomes: dict[str, Receipt] = {}

    def send(self, sender: Client, to: str, *bodies: str) -> None:
        """Messages whose outcomes are kept by their bodies."""
        for body in bodies:
            sent = sender.send(to, body, timeout=1e6)
            sent.addCallbacks(self.heard, lambda failure: failure.trap(ClientError), (body,))

    def heard(self, receipt: Receipt, body: str) -> None:
        """An outcome."""
        self.outcomes[body] = receipt

    def told(self, *bodies: str) -> list[str]:
        """The outcomes so far."""
        found = [self.outcomes.get(body) for body in bodies]
        return [f"{one.status} {one.code or ''}".strip() if one is not None else "none" for one in found]

    def back(self, name: str) -> tuple[Client, Reader]:
        """A user logs in again."""
        client = self.sandbox.run(self.sandbox.connect(name))
        return client, Reader(client)

    def relay_of(self, client: Client) -> Any:
        """The relay a user is at."""
        return self.sandbox.server(client.relay).relay


class MailboxTests(DeliveryCase):
    """Who is on no relay."""

    def test_what_is_sent_to_somebody_away_is_stored_and_waits(self) -> None:
        self.start()
        esa, fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        self.sandbox.run(fajar.close())
        self.send(esa, "fajar", "1", "2", "3")
        self.sandbox.advance(1)
        self.assertEqual(self.told("1", "2", "3"), ["stored"] * 3)
        for program in ("manager", "relay1", "relay2"):
            self.sandbox.kill(program)
            self.sandbox.restart(program)
        self.sandbox.advance(LEASE)
        fajar, reader = self.back("fajar")
        self.send(esa, "fajar", "4")
        self.sandbox.advance(2)
        self.assertEqual(reader.bodies, ["1", "2", "3", "4"])
        self.assertEqual(self.told("4"), ["delivered"])
        self.sandbox.run(fajar.close())
        _, reader = self.back("fajar")
        self.sandbox.advance(1)
        self.assertEqual(reader.bodies, [], "what was taken has left the mailbox")

    def test_a_mailbox_larger_than_any_window(self) -> None:
        self.start()
        esa, fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        self.sandbox.run(fajar.close())
        bodies = [str(number) for number in range(350)]
        self.send(esa, "fajar", *bodies)
        self.sandbox.advance(1)
        self.assertEqual(Counter(self.told(*bodies)), {"stored": 350})
        _, reader = self.back("fajar")
        self.send(esa, "fajar", "live")
        self.sandbox.advance(5)
        self.assertEqual(reader.bodies, [*bodies, "live"])

    def test_a_full_mailbox_and_a_user_there_is_not(self) -> None:
        self.start(mailbox_max=2)
        esa, fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        self.sandbox.run(fajar.close())
        self.send(esa, "fajar", "1", "2", "3")
        self.send(esa, "nobody", "4")
        self.sandbox.advance(1)
        self.assertEqual(self.told("1", "2", "3", "4"), ["stored", "stored", "failed 507", "failed 404"])
        _, reader = self.back("fajar")
        self.sandbox.advance(1)
        self.send(esa, "fajar", "5")
        self.sandbox.advance(1)
        self.assertEqual((reader.bodies, self.told("5")), (["1", "2", "5"], ["delivered"]))

    def test_old_mail_is_thrown_away(self) -> None:
        self.start()
        esa, fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        self.sandbox.run(fajar.close())
        self.send(esa, "fajar", "1")
        self.sandbox.advance(1)
        self.sandbox.run(esa.close())
        for name in reversed(self.sandbox.programs):
            self.sandbox.stop(name)
        self.sandbox.clock.rightNow += 31 * 86400.0
        for name in self.sandbox.programs:
            self.sandbox.restart(name)
        self.sandbox.advance(LEASE)
        _, reader = self.back("fajar")
        self.sandbox.advance(1)
        self.assertEqual(reader.bodies, [])

    def test_what_a_session_leaves_is_handed_over_when_its_time_is_up(self) -> None:
        self.start()
        esa, fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        reader = Reader(esa)
        self.sandbox.machine("user fajar").kill()
        self.send(esa, "fajar", "1", "2")
        self.sandbox.advance(RESUME / 2)
        self.assertEqual(self.told("1", "2"), ["none", "none"])
        self.sandbox.advance(RESUME)
        self.assertEqual((self.told("1", "2"), reader.notices), (["stored", "stored"], []))
        self.assertEqual(fajar.relay, "relay2")

    def test_with_the_manager_away_the_sender_keeps_it(self) -> None:
        self.start()
        esa, fajar, gita = (self.sandbox.user(name) for name in ("esa", "fajar", "gita"))
        Reader(gita)
        self.sandbox.run(fajar.close())
        self.sandbox.advance(1)
        self.sandbox.kill("manager")
        self.send(esa, "fajar", "1", "2")
        self.send(esa, "gita", "3")
        self.sandbox.advance(20)
        self.assertEqual(self.told("1", "2", "3"), ["none", "none", "delivered"])
        self.sandbox.restart("manager")
        self.sandbox.advance(LEASE)
        self.assertEqual(self.told("1", "2"), ["stored", "stored"])
        _, reader = self.back("fajar")
        self.sandbox.advance(1)
        self.assertEqual(reader.bodies, ["1", "2"])


class LostRelayTests(DeliveryCase):
    """The manager, and relays that it can't see."""

    def test_a_manager_that_has_just_started_waits_for_the_relays_it_had_or_one_lease(self) -> None:
        self.start(relays=3)
        esa, fajar, gita = (self.sandbox.user(name) for name in ("esa", "fajar", "gita"))
        self.assertEqual([one.relay for one in (esa, fajar, gita)], ["relay1", "relay2", "relay3"])
        self.sandbox.run(fajar.close())
        self.sandbox.advance(1)
        self.sandbox.kill("manager")
        self.sandbox.kill("relay3")
        self.sandbox.restart("manager")
        self.sandbox.advance(2)
        self.send(esa, "fajar", "1")
        self.sandbox.advance(LEASE / 2)
        self.assertEqual(self.told("1"), ["none"])
        self.sandbox.advance(LEASE)
        self.assertEqual(self.told("1"), ["stored"])

    def test_a_relay_that_is_given_up_is_out_of_the_mesh_until_it_has_begun_anew(self) -> None:
        self.start()
        esa, fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        reader = Reader(fajar)
        peers = self.relay_of(esa).peers
        self.sandbox.advance(1)
        self.assertEqual((fajar.relay, peers.linked), ("relay2", ["relay2"]))
        self.sandbox.partition("relay2", "manager")
        self.sandbox.partition("user fajar", "manager")
        self.send(esa, "fajar", "1")
        self.sandbox.until(lambda: not peers.linked)
        self.assertEqual((self.told("1"), reader.bodies), (["delivered"], ["1"]))
        self.send(esa, "fajar", "2")
        self.sandbox.until(lambda: self.told("2") == ["stored"])
        self.sandbox.advance(20)
        self.assertEqual((reader.bodies, peers.linked), (["1"], []))
        self.sandbox.heal()
        self.sandbox.until(lambda: peers.linked == ["relay2"])
        self.send(esa, "fajar", "3")
        self.sandbox.until(lambda: len(reader.bodies) == 3)
        self.assertEqual(reader.bodies, ["1", "2", "3"])


class PresenceTests(DeliveryCase):
    """Who is online is the truth."""

    def setUp(self) -> None:
        self.start()
        self.esa, self.fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        self.sandbox.run(self.esa.roster.add("fajar"))
        self.sandbox.run(self.fajar.roster.add("esa"))
        self.sandbox.advance(3)
        self.began = self.sandbox.clock.seconds()

    def state(self) -> str:
        """What Esa is shown of Fajar."""
        presence = self.esa.presence.get("fajar")
        return presence.state if presence is not None else "unknown"

    def until(self, state: str) -> float:
        """Wait until that is so; seconds since the beginning of the test."""
        self.sandbox.until(lambda: self.state() == state)
        return self.sandbox.clock.seconds() - self.began

    def test_a_lost_connection_is_resuming_and_then_online_or_offline(self) -> None:
        self.assertEqual(self.state(), "online")
        self.sandbox.network.cut(*self.between("user fajar", "relay2"))
        self.sandbox.advance(3)
        self.assertEqual(self.state(), "online", "back before anybody need know")
        self.sandbox.partition("user fajar", "relay2")
        self.sandbox.cut("user fajar", "relay2")
        self.until("resuming")
        self.sandbox.heal()
        self.until("online")

    def between(self, one: str, other: str) -> tuple[str, str]:
        return self.sandbox.machine(one).address, self.sandbox.machine(other).address

    def test_a_half_open_connection_is_found_within_two_heartbeats(self) -> None:
        for program in self.sandbox.programs:
            self.sandbox.partition("user fajar", program)
        self.assertLessEqual(self.until("offline"), 30.0)

    def test_a_relay_s_death_puts_its_users_in_resuming_and_then_offline(self) -> None:
        self.sandbox.partition("user fajar", "relay1")  # or it would be back at the other within a second
        self.sandbox.kill("relay2")
        self.assertLess(self.until("resuming"), 5)
        self.assertLessEqual(self.until("offline"), LEASE + 5)
        self.sandbox.heal()
        self.sandbox.restart("relay2")
        self.until("online")

    def test_a_relay_s_death_goes_unnoticed_where_its_users_are_back_at_once(self) -> None:
        states: set[str] = set()
        self.sandbox.kill("relay2")

        def watched() -> bool:
            states.add(self.state())
            return self.sandbox.clock.seconds() > self.began + 30

        self.sandbox.until(watched)
        self.assertEqual((states, self.fajar.relay), ({"online"}, "relay1"))

    def test_nobody_is_locked_out_by_a_dead_session(self) -> None:
        for program in self.sandbox.programs:
            self.sandbox.partition("user fajar", program)
        again = self.sandbox.run(self.sandbox.connect("fajar", machine="user fajar elsewhere"), 5)
        Reader(again)
        self.send(self.esa, "fajar", "1")
        self.sandbox.advance(2)
        self.assertEqual((self.told("1"), self.state()), (["delivered"], "online"))


class DrainTests(DeliveryCase):
    """Relays that send their users elsewhere."""

    def users(self, count: int) -> None:
        self.clients = [self.sandbox.user(f"user{number}") for number in range(count)]
        self.readers = [Reader(client) for client in self.clients]

    def everybody_writes(self, word: str) -> None:
        for number, client in enumerate(self.clients):
            other = (number * 7 + 1) % len(self.clients)
            self.send(client, f"user{other}", f"{word} {number}")

    def even(self, most: float) -> None:
        counts = Counter(client.relay for client in self.clients)
        share = len(self.clients) / 3
        self.assertEqual(len(counts), 3, counts)
        self.assertLessEqual(max(abs(count - share) for count in counts.values()), most * share, counts)

    def test_after_a_rolling_restart_of_three_relays_users_are_even_and_saw_nothing(self) -> None:
        self.start(relays=3, drain=5.0)
        self.users(30)
        self.even(0.0)
        words = []
        for name in ("relay1", "relay2", "relay3"):
            stopped = self.sandbox.server(name).stopService()
            for moment in range(3):
                self.everybody_writes(f"{name} {moment}")
                words.append(f"{name} {moment}")
                self.sandbox.advance(1)
            self.sandbox.run(stopped)
            self.assertNotIn(name, {client.relay for client in self.clients})
            self.sandbox.restart(name)
            self.sandbox.until(lambda name=name: self.sandbox.ready(name))  # type: ignore[misc]
        self.sandbox.advance(90)
        self.even(0.1)
        sent = [f"{word} {number}" for word in words for number in range(30)]
        self.assertLessEqual(set(self.told(*sent)), {"delivered", "stored"})
        bodies = [body for reader in self.readers for body in reader.bodies]
        self.assertEqual(Counter(bodies), Counter(sent))
        self.assertEqual([reader.notices for reader in self.readers], [[]] * 30)

    def test_the_manager_drains_a_relay_which_then_has_nobody_and_is_given_nobody(self) -> None:
        self.start(relays=2)
        self.users(6)
        drained: list[None] = []
        relay = self.sandbox.server("relay1").relay
        relay.on_drained = lambda: drained.append(None)
        manager = self.sandbox.server("manager")
        self.assertFalse(manager.relays.drain("relay9", 5.0))
        self.assertTrue(manager.relays.drain("relay1", 5.0))
        self.sandbox.advance(4)
        self.assertEqual({client.relay for client in self.clients}, {"relay2"})
        self.assertEqual((len(relay.switch.table), drained), (0, [None]))
        self.assertEqual(self.sandbox.user("late").relay, "relay2")
        self.everybody_writes("after")
        self.sandbox.advance(1)
        self.assertEqual(set(self.told(*(f"after {number}" for number in range(6)))), {"delivered"})

    def test_whoever_does_not_move_is_handed_over_at_the_deadline(self) -> None:
        self.start(relays=2)
        esa, fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        for program in self.sandbox.programs:
            self.sandbox.partition("user fajar", program)
        self.send(esa, "fajar", "1")
        self.sandbox.advance(0.1)
        before = self.sandbox.clock.seconds()
        self.sandbox.stop(fajar.relay)
        self.assertLessEqual(self.sandbox.clock.seconds() - before, 2 + 2 + 2.5)
        self.sandbox.advance(2)
        self.assertEqual(self.told("1"), ["stored"])
