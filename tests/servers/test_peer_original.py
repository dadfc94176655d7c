# SPDX-License-Identifier: MIT
"""A peer of the original form, byte for byte, and one of ours: without any option, both ways."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.servers.original_peer import OriginalPeer, OriginalServer, dial
from xjrelay.domain.peers import Status
from xjrelay.sandbox.peers import PORT, PeerSandbox
from xjrelay.servers.peer.events import Changed, Met, Settled

JOIN = (
    b'{"type": "JOIN", "sender_id": "Bob_5001", "sender_name": "Bob", '
    b'"timestamp": "2024-05-01T10:00:00.123456", '
    b'"data": {"host": "10.0.9.9", "port": 5001}, "target_id": null}\n'
)
MESSAGE = (
    b'{"type": "MESSAGE", "sender_id": "Bob_5001", "sender_name": "Bob", '
    b'"timestamp": "2024-05-01T10:00:01.123456", '
    b'"data": {"text": "Aku dari Bob \\u263a"}, "target_id": "%s"}\n'
)
BROADCAST = (
    b'{"type": "BROADCAST", "sender_id": "Bob_5001", "sender_name": "Bob", '
    b'"timestamp": "2024-05-01T10:00:02.123456", "data": {"text": "halo semua"}, "target_id": null}\n'
)
PING = (
    b'{"type": "PING", "sender_id": "Bob_5001", "sender_name": "Bob", '
    b'"timestamp": "2024-05-01T10:00:03.123456", "data": {}, "target_id": null}\n'
)
LEAVE = (
    b'{"type": "LEAVE", "sender_id": "Bob_5001", "sender_name": "Bob", '
    b'"timestamp": "2024-05-01T10:00:04.123456", '
    b'"data": {"reason": "User disconnected"}, "target_id": null}\n'
)
KEYS = ["type", "sender_id", "sender_name", "timestamp", "data", "target_id"]


class OriginalTestCase(SynchronousTestCase):
    """Alice, of ours, and a machine for Bob, of the original."""

    def setUp(self) -> None:
        self.mesh = PeerSandbox(seed=1)
        self.alice = self.mesh.start("Alice")
        self.machine = self.mesh.network.machine("10.0.9.9")

    def dial(self, peer: OriginalPeer | None = None) -> OriginalPeer:
        original = dial(self.machine, self.mesh.address("Alice"), PORT, peer)
        self.mesh.until(lambda: original.transport is not None)
        return original

    def packet(self, original: OriginalPeer, kind: str) -> dict[str, Any]:
        """The first of a kind that it hears."""
        self.mesh.until(lambda: bool(original.of(kind)))
        return original.of(kind)[0]


class DialledByTheOriginal(OriginalTestCase):
    """It dials us, and says what it always said."""

    def setUp(self) -> None:
        super().setUp()
        self.bob = self.dial(OriginalPeer("Bob", "Bob_5001"))

    def join(self) -> dict[str, Any]:
        self.bob.say_bytes(JOIN)
        return self.packet(self.bob, "PEERS")

    def test_the_whole_conversation_cut_anywhere(self) -> None:
        said = JOIN + MESSAGE % self.alice.own_id.encode() + BROADCAST + PING
        for at in range(0, len(said), 7):
            self.bob.say_bytes(said[at : at + 7])
            self.mesh.advance(0.01)
        self.packet(self.bob, "PONG")
        self.assertEqual(self.mesh.texts("Alice"), ["Aku dari Bob ☺", "halo semua"])
        self.assertEqual((self.bob.lost, self.bob.garbage), (False, []))

    def test_the_answer_has_the_original_s_keys_and_no_others(self) -> None:
        answer = self.join()
        self.assertEqual(list(answer), KEYS)
        mine = {"peer_id": self.alice.own_id, "name": "Alice", "host": "10.0.0.1", "port": PORT}
        self.assertEqual(answer["data"], {"peers": [], "my_info": mine})
        self.assertEqual((answer["sender_id"], answer["sender_name"]), (self.alice.own_id, "Alice"))

    def test_it_is_shown_as_plain(self) -> None:
        self.join()
        (met,) = [event for event in self.mesh.events("Alice") if isinstance(event, Met)]
        self.assertEqual((met.peer.plain, met.peer.fingerprint, met.peer.name), (True, "", "Bob"))
        self.assertEqual(met.peer.place, ("10.0.9.9", 5001))

    def test_ours_answers(self) -> None:
        self.join()
        self.mesh.run(self.alice.send("Bob_5001", "halo, Bob"))
        self.mesh.run(self.alice.broadcast("halo semua"))
        message, broadcast = self.packet(self.bob, "MESSAGE"), self.packet(self.bob, "BROADCAST")
        self.assertEqual((message["data"], message["target_id"]), ({"text": "halo, Bob"}, "Bob_5001"))
        self.assertEqual((broadcast["data"], broadcast["target_id"]), ({"text": "halo semua"}, None))
        self.assertEqual(list(message), KEYS)
        states = [event.state for event in self.mesh.events("Alice") if isinstance(event, Settled)]
        self.assertEqual(states, ["sent", "sent"])

    def test_it_learns_of_the_others_and_they_stay_apart(self) -> None:
        carol = self.mesh.start("Carol")
        self.mesh.run(carol.connect(self.mesh.address("Alice"), PORT))
        listed = self.join()["data"]["peers"]
        address = self.mesh.address("Carol")
        self.assertEqual(listed, [{"peer_id": carol.own_id, "name": "Carol", "host": address, "port": PORT}])

    def test_it_leaves(self) -> None:
        self.join()
        self.bob.say_bytes(LEAVE)
        self.mesh.until(lambda: self.alice.status("Bob_5001") is Status.GONE)
        told = [event for event in self.mesh.events("Alice") if isinstance(event, Changed)][-1]
        self.assertEqual(told.why, "User disconnected")

    def test_it_just_closes(self) -> None:
        self.join()
        self.bob.leave()
        self.mesh.until(lambda: self.alice.status("Bob_5001") is Status.RETURNING)

    def test_it_is_pinged_and_heard_of_for_hours(self) -> None:
        self.join()
        self.mesh.advance(3600)
        self.assertGreaterEqual(len(self.bob.of("PING")), 100)
        self.assertEqual(list(self.bob.of("PING")[0]), KEYS)
        self.assertIs(self.alice.status("Bob_5001"), Status.HERE)
        self.assertLessEqual({packet["type"] for packet in self.bob.heard}, {"PEERS", "PING"})

    def test_it_says_nothing_for_ninety_seconds(self) -> None:
        class Silent(OriginalPeer):
            def answer(self, packet: dict[str, Any]) -> None:
                """Nothing."""

        silent = self.dial(Silent("Diam", "Diam_5002"))
        silent.join("10.0.9.9", 5002)
        self.packet(silent, "PEERS")
        self.assertLessEqual(self.mesh.until(lambda: silent.lost), 91)
        self.assertTrue(silent.lost)


class DialsTheOriginal(OriginalTestCase):
    """We dial it."""

    def setUp(self) -> None:
        super().setUp()
        self.server = OriginalServer()
        self.port = self.machine.listenTCP(PORT, self.server)

    def connect(self) -> OriginalPeer:
        """Connected; the connection on which it understands us."""
        self.mesh.run(self.alice.connect("10.0.9.9", PORT))
        return self.server.accepted[-1]

    def test_it_hears_join_first_in_its_own_form(self) -> None:
        bob = self.connect()
        join = bob.heard[0]
        self.assertEqual(list(join), KEYS)
        self.assertEqual((join["type"], join["data"]), ("JOIN", {"host": "10.0.0.1", "port": PORT}))
        self.assertEqual(bob.garbage, [])

    def test_both_talk(self) -> None:
        bob = self.connect()
        self.mesh.run(self.alice.send("Orig_5000", "halo"))
        bob.say("MESSAGE", {"text": "halo juga"}, self.alice.own_id)
        self.mesh.until(lambda: bob.texts() == ["halo"] and self.mesh.texts("Alice") == ["halo juga"])
        self.assertTrue(self.alice.peers()[0].plain)

    def test_an_original_that_waits_for_a_line_for_ever_is_reached_within_seconds(self) -> None:
        self.assertEqual(self.mesh.run(self.alice.connect("10.0.9.9", PORT), 5), "Orig_5000")
        self.assertEqual(len(self.server.accepted), 2)  # the first was dialled by TLS, and is over
        self.assertTrue(self.server.accepted[0].lost)

    def test_the_next_time_it_is_dialled_in_its_own_form_at_once(self) -> None:
        self.connect().leave()
        self.mesh.until(lambda: len(self.server.accepted) == 3)
        self.mesh.until(lambda: self.alice.status("Orig_5000") is Status.HERE)
        self.assertEqual(self.server.accepted[-1].heard[0]["type"], "JOIN")
        self.assertEqual(self.server.accepted[-1].garbage, [])

    def test_what_waits_for_it_goes_when_it_is_back_once(self) -> None:
        bob = self.connect()
        self.port.stopListening()
        bob.leave()
        self.mesh.until(lambda: self.alice.status("Orig_5000") is not Status.HERE)
        for text in ("satu", "dua"):
            self.mesh.run(self.alice.send("Orig_5000", text))
        self.mesh.advance(200)
        self.machine.listenTCP(PORT, self.server)
        self.mesh.until(lambda: self.server.accepted[-1].texts() == ["satu", "dua"])
        self.server.accepted[-1].leave()
        self.mesh.advance(60)
        self.assertEqual(self.server.accepted[-1].texts(), [])
        self.assertEqual([text for one in self.server.accepted for text in one.texts()], ["satu", "dua"])

    def test_it_answers_join_by_a_join_of_its_own(self) -> None:
        class Mutual(OriginalPeer):
            def answer(self, packet: dict[str, Any]) -> None:
                """Joins back, and lists whom it knows when it is joined."""
                if packet["type"] == "JOIN":
                    self.join("10.0.9.9")
                super().answer(packet)

        self.port.stopListening()
        self.server = OriginalServer(Mutual)
        self.machine.listenTCP(PORT, self.server)
        bob = self.connect()
        self.mesh.until(lambda: bool(bob.of("PEERS")))
        self.mesh.run(self.alice.send("Orig_5000", "halo"))
        self.mesh.until(lambda: bob.texts() == ["halo"])

    def test_those_it_lists_are_dialled(self) -> None:
        class Lists(OriginalPeer):
            def answer(self, packet: dict[str, Any]) -> None:
                """Knows somebody."""
                other = {"peer_id": "Cici_5000", "name": "Cici", "host": "10.0.9.8", "port": PORT}
                mine = {"peer_id": self.peer_id, "name": self.name, "host": "10.0.9.9", "port": PORT}
                if packet["type"] == "JOIN":
                    self.say("PEERS", {"peers": [other], "my_info": mine})

        class Cici(OriginalPeer):
            def __init__(self) -> None:
                super().__init__("Cici", "Cici_5000")

        self.port.stopListening()
        self.server = OriginalServer(Lists)
        self.machine.listenTCP(PORT, self.server)
        self.mesh.network.machine("10.0.9.8").listenTCP(PORT, cici := OriginalServer(Cici))
        self.connect()
        self.mesh.until(lambda: self.mesh.linked("Alice") == {"Orig", "Cici"})
        self.assertEqual(json.dumps(cici.accepted[0].heard[0]["data"]), '{"host": "10.0.0.1", "port": 5000}')
