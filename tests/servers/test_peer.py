# SPDX-License-Identifier: MIT
"""Every function of a peer, by its number, between real peers on a fake network, TLS included."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.peers import RETURN_TIME, Known, Status, is_keyed
from xjrelay.sandbox.peers import PORT, PeerSandbox
from xjrelay.security.identity import id_of, make_key
from xjrelay.servers.peer.events import Changed, Met, Received, Settled, Warned
from xjrelay.servers.peer.local import LocalPeer, NotConnected, TooLong, UnknownPeer


class PeerTestCase(SynchronousTestCase):
    """Alice and Bob, not connected."""

    def setUp(self) -> None:
        self.mesh = PeerSandbox(seed=6)
        self.alice = self.mesh.start("Alice")
        self.bob = self.mesh.start("Bob")

    def connect(self, one: str, other: str) -> str:
        """By address and port, as a person does."""
        address = self.mesh.address(other)
        peer_id: str = self.mesh.run(self.mesh.peer(one).connect(address, PORT))
        return peer_id

    def send(self, sender: LocalPeer, to: LocalPeer, text: str) -> str:
        """Say something; its id."""
        return self.mesh.run(sender.send(to.own_id, text)).message_id

    def hears(self, name: str, *texts: str) -> None:
        """Wait until somebody has heard just these, in this order."""
        self.mesh.until(lambda: len(self.mesh.texts(name)) >= len(texts))
        self.assertEqual(self.mesh.texts(name), list(texts))

    def statuses(self, name: str, of: LocalPeer) -> list[str]:
        """How somebody's status went, as told to a user."""
        told = [event.peer for event in self.mesh.events(name) if isinstance(event, Changed)]
        return [peer.status.value for peer in told if peer.peer_id == of.own_id]


class IdentityTests(PeerTestCase):
    """P1."""

    def test_P1_an_id_is_unique_and_stays_over_restarts_and_moves(self) -> None:
        before = self.alice.own_id
        self.assertTrue(is_keyed(before))
        self.assertNotEqual(before, self.bob.own_id)
        self.mesh.stop("Alice")
        self.mesh.move("Alice", "10.0.7.7")
        self.assertEqual(self.mesh.start("Alice").own_id, before)

    def test_P1_a_peer_has_a_name_and_a_port(self) -> None:
        self.connect("Bob", "Alice")
        (seen,) = self.bob.peers()
        self.assertEqual((seen.name, seen.place), ("Alice", (self.mesh.address("Alice"), PORT)))


class ConnectTests(PeerTestCase):
    """P2."""

    def test_P2_connects_by_address_and_port_and_both_know_each_other(self) -> None:
        self.assertEqual(self.connect("Bob", "Alice"), self.alice.own_id)
        self.mesh.until(lambda: self.mesh.linked("Alice") == {"Bob"})
        (seen,) = self.alice.peers()
        self.assertEqual((seen.peer_id, seen.place), (self.bob.own_id, (self.mesh.address("Bob"), PORT)))
        for name in ("Alice", "Bob"):
            met = [event for event in self.mesh.events(name) if isinstance(event, Met)]
            self.assertEqual(len(met), 1)
            self.assertRegex(met[0].peer.fingerprint, r"^[0-9a-f]{4}( [0-9a-f]{4}){4}$")

    def test_P2_the_joiner_connects_to_everyone_it_learns_of(self) -> None:
        self.mesh.start("Carol")
        self.mesh.start("Dian")
        for name in ("Bob", "Carol", "Dian"):
            self.connect(name, "Alice")
        for name in ("Alice", "Bob", "Carol", "Dian"):
            others = {"Alice", "Bob", "Carol", "Dian"} - {name}
            self.mesh.until(lambda name=name, others=others: self.mesh.linked(name) == others)  # type: ignore[misc]

    def test_P2_what_is_said_between_ours_is_encrypted(self) -> None:
        self.connect("Bob", "Alice")
        link = self.bob.links.get(self.alice.own_id)
        assert link is not None
        self.assertFalse(link.plain)
        self.assertEqual(id_of(link.certificate or b""), self.alice.own_id)

    def test_P2_a_peer_asked_to_dial_itself_does_so_once(self) -> None:
        machine = self.mesh.machine("Bob")
        port = machine.listenTCP(6000, self.bob.factory)
        self.bob.ask(self.mesh.address("Bob"), 6000)
        self.mesh.advance(300)
        self.assertEqual((self.mesh.connections("Bob", "Bob"), self.bob.peers()), (0, []))
        self.assertLessEqual(self.bob.context.counters.links_opened, 2)
        port.stopListening()

    def test_P2_who_comes_before_the_memory_is_read_waits_for_it(self) -> None:
        self.connect("Bob", "Alice")
        self.mesh.stop("Alice")
        remembered, peers = Deferred[list[Known]](), self.mesh.stores("Alice").peers.peers
        self.patch(self.mesh.stores("Alice").peers, "peers", lambda: remembered)
        self.alice = self.mesh.start("Alice", wait=False)
        self.mesh.advance(5)
        self.assertEqual(self.mesh.linked("Alice"), set())
        peers().chainDeferred(remembered)
        self.mesh.until(lambda: self.mesh.linked("Alice") == {"Bob"}, 60)
        met = [event for event in self.mesh.events("Alice") if isinstance(event, Met)]
        self.assertEqual(len(met), 1)

    def test_P2_nobody_there_is_told_in_words(self) -> None:
        for host, why in (("10.0.0.200", "nobody listens there"), (self.mesh.address("Bob"), "itself")):
            error = self.assertRaises(NotConnected, self.mesh.run, self.bob.connect(host, PORT))
            self.assertIn(why, str(error))
        dials = len(self.mesh.clock.getDelayedCalls())
        self.mesh.advance(100)
        self.assertLessEqual(len(self.mesh.clock.getDelayedCalls()), dials)

    def test_P2_a_peer_asked_for_is_dialled_until_it_is_there(self) -> None:
        self.mesh.stop("Alice")
        self.bob.ask(self.mesh.address("Alice"), PORT)
        self.mesh.advance(300)
        self.mesh.start("Alice")
        self.mesh.until(lambda: self.mesh.linked("Bob") == {"Alice"}, 60)


class MessageTests(PeerTestCase):
    """P3 and P4."""

    def setUp(self) -> None:
        super().setUp()
        self.connect("Bob", "Alice")

    def test_P3_private_messages_both_ways_in_order(self) -> None:
        self.mesh.start("Carol")
        self.connect("Carol", "Alice")
        ids = [self.send(self.bob, self.alice, f"Aku dari Bob {number}") for number in range(100)]
        self.send(self.alice, self.bob, "halo, Bob 👋\n")
        self.hears("Alice", *(f"Aku dari Bob {number}" for number in range(100)))
        self.hears("Bob", "halo, Bob 👋\n")
        self.mesh.advance(1)
        self.assertEqual(self.mesh.texts("Carol"), [])
        settled = [event for event in self.mesh.events("Bob") if isinstance(event, Settled)]
        self.assertEqual([one for event in settled for one in event.message_ids], ids)
        self.assertEqual({event.state for event in settled}, {"delivered"})

    def test_P3_a_message_is_in_the_history_of_both(self) -> None:
        self.send(self.bob, self.alice, "Aku dari Bob")
        self.hears("Alice", "Aku dari Bob")
        self.mesh.advance(1)
        (mine,) = self.mesh.run(self.bob.history(self.alice.own_id))
        (theirs,) = self.mesh.run(self.alice.history(self.bob.own_id))
        self.assertEqual((mine.text, mine.state, mine.incoming), ("Aku dari Bob", "delivered", False))
        self.assertEqual((theirs.text, theirs.state, theirs.incoming), ("Aku dari Bob", "received", True))
        self.assertEqual((mine.at, mine.message_id), (theirs.at, theirs.message_id))

    def test_P3_what_can_not_be_said_is_refused_here(self) -> None:
        with self.assertRaises(TooLong):
            self.mesh.run(self.bob.send(self.alice.own_id, "x" * 61_440))
        with self.assertRaises(TooLong):
            self.mesh.run(self.bob.send(self.alice.own_id, ""))
        with self.assertRaises(UnknownPeer):
            self.mesh.run(self.bob.send("xj1-nobody", "halo"))
        self.send(self.bob, self.alice, "x" * 61_000)
        self.hears("Alice", "x" * 61_000)

    def test_P4_a_broadcast_reaches_everybody_who_is_there(self) -> None:
        for name in ("Carol", "Dian"):
            self.mesh.start(name)
            self.connect(name, "Alice")
        self.mesh.until(lambda: len(self.mesh.linked("Bob")) == 3)
        self.mesh.stop("Dian")
        sent = self.mesh.run(self.bob.broadcast("halo semua"))
        self.assertEqual(len(sent), 2)
        self.hears("Alice", "halo semua")
        self.hears("Carol", "halo semua")
        (received,) = [event for event in self.mesh.events("Carol") if isinstance(event, Received)]
        self.assertTrue(received.message.broadcast)
        self.mesh.start("Dian")
        self.mesh.advance(60)
        self.assertEqual(self.mesh.texts("Dian"), [])


class StatusTests(PeerTestCase):
    """P5."""

    def setUp(self) -> None:
        super().setUp()
        self.connect("Bob", "Alice")

    def test_P5_who_joins_and_leaves_is_told_at_once(self) -> None:
        self.assertIs(self.bob.status(self.alice.own_id), Status.HERE)
        self.mesh.stop("Alice")
        self.assertLess(self.mesh.until(lambda: self.bob.status(self.alice.own_id) is Status.GONE), 1)
        self.assertEqual(self.statuses("Bob", self.alice), ["here", "not there"])
        left = [event for event in self.mesh.events("Bob") if isinstance(event, Changed)][-1]
        self.assertEqual(left.why, "going")

    def test_P5_a_dead_link_is_coming_back_and_then_gone(self) -> None:
        self.mesh.kill("Alice")
        self.mesh.until(lambda: self.bob.status(self.alice.own_id) is Status.RETURNING, 1)
        self.mesh.advance(RETURN_TIME)
        self.assertEqual(self.statuses("Bob", self.alice), ["here", "coming back", "not there"])
        self.mesh.start("Alice")
        self.mesh.until(lambda: self.bob.status(self.alice.own_id) is Status.HERE, 60)

    def test_P5_a_ping_each_thirty_seconds_and_gone_after_ninety(self) -> None:
        self.mesh.advance(600)
        self.assertEqual(self.statuses("Bob", self.alice), ["here"])
        self.mesh.network.partition(self.mesh.address("Alice"), self.mesh.address("Bob"))
        took = self.mesh.until(lambda: self.bob.status(self.alice.own_id) is not Status.HERE)
        self.assertLessEqual(took, 91)

    def test_P5_a_new_name_is_told(self) -> None:
        self.mesh.run(self.bob.send(self.alice.own_id, "halo"))
        self.bob.rename(self.alice.own_id, "Alisa")
        self.assertEqual(self.bob.peers()[0].shown, "Alisa")
        self.mesh.stop("Bob")
        self.bob = self.mesh.start("Bob")
        self.assertEqual((self.bob.peers()[0].shown, self.bob.peers()[0].name), ("Alisa", "Alice"))


class MeshTests(PeerTestCase):
    """P6; with many and with seeds in ``tests/sandbox/test_peers.py``."""

    def test_P6_a_peer_at_another_address_is_the_same_peer(self) -> None:
        self.connect("Bob", "Alice")
        self.mesh.stop("Alice")
        self.mesh.move("Alice", "10.0.7.7")
        self.mesh.start("Alice")
        self.mesh.until(lambda: self.mesh.linked("Bob") == {"Alice"}, 60)
        (seen,) = self.bob.peers()
        self.assertEqual((seen.peer_id, seen.place), (self.alice.own_id, ("10.0.7.7", PORT)))

    def test_P6_two_that_dial_each_other_at_once_have_one_link(self) -> None:
        for seed in range(20):
            mesh = PeerSandbox(seed)
            alice, bob = mesh.start("Alice"), mesh.start("Bob")
            alice.ask(mesh.address("Bob"), PORT)
            bob.ask(mesh.address("Alice"), PORT)
            mesh.advance(10)
            self.assertEqual((mesh.connections("Alice", "Bob"), mesh.linked("Alice")), (1, {"Bob"}), seed)
            self.assertEqual([len(alice.links), len(bob.links)], [1, 1])

    def test_P6_known_peers_are_tried_again_after_a_restart(self) -> None:
        self.connect("Bob", "Alice")
        for name in ("Alice", "Bob"):
            self.mesh.kill(name)
        self.mesh.start("Bob")
        self.mesh.advance(120)
        self.mesh.start("Alice")
        self.mesh.until(lambda: self.mesh.linked("Bob") == {"Alice"}, 60)

    def test_P6_a_message_to_somebody_absent_waits_and_goes_once(self) -> None:
        self.connect("Bob", "Alice")
        self.mesh.kill("Alice")
        for number in range(40):
            self.send(self.bob, self.alice, f"tunggu {number}")
        self.mesh.kill("Bob")
        self.bob = self.mesh.start("Bob")
        self.mesh.advance(200)
        self.alice = self.mesh.start("Alice")
        texts = [f"tunggu {number}" for number in range(40)]
        self.hears("Alice", *texts)
        self.mesh.kill("Alice")
        self.mesh.start("Alice")
        self.mesh.advance(60)
        self.assertEqual(self.mesh.texts("Alice"), texts)

    def test_P6_what_was_under_way_when_a_link_broke_arrives_once_and_in_order(self) -> None:
        self.connect("Bob", "Alice")
        texts = [f"pesan {number}" for number in range(300)]
        for number, text in enumerate(texts):
            self.send(self.bob, self.alice, text)
            if number % 50 == 25:
                self.mesh.advance(0.003)
                self.mesh.network.cut(self.mesh.address("Alice"), self.mesh.address("Bob"))
        self.hears("Alice", *texts)


class TrustTests(PeerTestCase):
    """Keys that change, and those who lie."""

    def warnings(self, name: str) -> list[str]:
        return [event.text for event in self.mesh.events(name) if isinstance(event, Warned)]

    def test_a_changed_key_is_refused_with_a_warning_until_the_old_one_is_forgotten(self) -> None:
        self.connect("Bob", "Alice")
        self.mesh.stop("Alice")
        old = self.alice
        self.alice = self.mesh.start("Alice", key=make_key())
        self.mesh.advance(200)
        self.assertEqual(self.mesh.linked("Bob"), set())
        (warning,) = self.warnings("Bob")
        for told in ("WARNING", "Alice", old.fingerprint, self.alice.fingerprint):
            self.assertIn(told, warning)
        # Neither does it get in by dialling itself, at the same place under the same name.
        with self.assertRaises(NotConnected) as caught:
            self.connect("Alice", "Bob")
        self.assertIn("known here by another key", str(caught.exception))
        self.assertEqual(self.mesh.linked("Bob"), set())
        self.mesh.run(self.bob.forget(old.own_id))
        self.connect("Bob", "Alice")
        self.assertEqual(self.mesh.linked("Bob"), {"Alice"})

    def test_another_peer_at_a_known_place_is_somebody_new_when_a_person_dials_it(self) -> None:
        self.connect("Bob", "Alice")
        address = self.mesh.address("Alice")
        self.mesh.stop("Alice")
        carol = self.mesh.start("Carol")
        self.mesh.stop("Carol")
        self.mesh.move("Carol", address)
        self.mesh.start("Carol")
        self.assertEqual(self.mesh.run(self.bob.connect(address, PORT)), carol.own_id)
        self.assertEqual(self.warnings("Bob"), [])
        self.assertIsNone(next(one for one in self.bob.peers() if one.name == "Alice").place)

    def test_a_peer_on_loopback_tells_nobody_a_place(self) -> None:
        self.mesh.stop("Bob")
        self.bob = self.mesh.start("Bob", loopback=True)
        self.connect("Bob", "Alice")
        self.mesh.until(lambda: self.mesh.linked("Alice") == {"Bob"})
        self.assertIsNone(self.alice.peers()[0].place)
        self.assertFalse(self.bob.whereabouts.everywhere)
