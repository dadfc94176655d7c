# SPDX-License-Identifier: MIT
"""Peers that mean harm: they flood, lie, and point at others; nobody else notices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.protocol import Protocol, ServerFactory
from twisted.trial.unittest import SynchronousTestCase

from tests.servers.original_peer import OriginalPeer, OriginalServer, dial
from xjrelay.domain.hearsay import MAX_OF_HOST
from xjrelay.domain.peers import Status
from xjrelay.sandbox.peers import LIMITS, PORT, PeerSandbox
from xjrelay.servers.peer.events import Warned


class Canary(ServerFactory):
    """Something that listens, and counts who comes and what they say."""

    def __init__(self) -> None:
        self.connections = 0
        self.heard: list[bytes] = []

    def buildProtocol(self, addr: Any) -> Protocol:
        """One more."""
        self.connections += 1
        canary = self

        class Silent(Protocol):
            def dataReceived(self, data: bytes) -> None:
                canary.heard.append(data)

        return Silent()


class HostileTestCase(SynchronousTestCase):
    """Alice and Bob talk; Mallory has a machine of her own."""

    def setUp(self) -> None:
        self.mesh = PeerSandbox(seed=3)
        self.alice, self.bob = self.mesh.start("Alice"), self.mesh.start("Bob")
        self.mesh.run(self.bob.connect(self.mesh.address("Alice"), PORT))
        self.machine = self.mesh.network.machine("10.0.9.9")

    def dial(self, name: str = "Mallory", peer_id: str = "Mallory_1", join: bool = True) -> OriginalPeer:
        mallory = dial(self.machine, self.mesh.address("Alice"), PORT, OriginalPeer(name, peer_id))
        self.mesh.until(lambda: mallory.transport is not None)
        if join:
            mallory.join("10.0.9.9", 5001)
            self.mesh.until(lambda: bool(mallory.of("PEERS")) or mallory.lost)
        return mallory

    def tearDown(self) -> None:
        """Whatever she did, the others talk as before."""
        texts = len(self.mesh.texts("Alice"))
        self.mesh.run(self.bob.send(self.alice.own_id, "masih di sini"))
        self.mesh.until(lambda: len(self.mesh.texts("Alice")) > texts)
        self.assertEqual(self.mesh.texts("Alice")[-1], "masih di sini")
        self.assertIs(self.bob.status(self.alice.own_id), Status.HERE)

    def list_of(self, entries: list[Any]) -> dict[str, Any]:
        return {"peers": entries, "my_info": {"peer_id": "x", "name": "x", "host": "10.0.9.9", "port": 1}}


class LiarTests(HostileTestCase):
    """Who says it is somebody else."""

    def test_another_sender_in_mid_conversation(self) -> None:
        mallory = self.dial()
        mallory.say("MESSAGE", {"text": "aku Bob"}, sender_id=self.bob.own_id)
        self.mesh.until(lambda: mallory.lost)
        self.assertEqual(self.mesh.texts("Alice"), [])
        self.assertEqual(mallory.of("LEAVE")[0]["data"]["reason"], "the key is not the one of this sender_id")

    def test_a_key_s_id_in_plain(self) -> None:
        for stolen in (self.bob.own_id, self.alice.own_id, "xj1-" + "0" * 40):
            mallory = self.dial("Bob", stolen)
            self.mesh.until(lambda mallory=mallory: mallory.lost)  # type: ignore[misc]
        self.assertEqual({peer.name for peer in self.alice.peers()}, {"Bob"})

    def test_the_id_of_a_plain_peer_that_is_there(self) -> None:
        victim = self.dial("Orig", "Orig_1")
        thief = self.dial("Orig", "Orig_1")
        self.mesh.until(lambda: thief.lost)
        self.assertFalse(victim.lost)
        self.mesh.run(self.alice.send("Orig_1", "rahasia"))
        self.mesh.until(lambda: victim.texts() == ["rahasia"])
        self.assertEqual(thief.texts(), [])

    def test_the_id_of_a_plain_peer_that_died(self) -> None:
        dead = self.dial("Orig", "Orig_1")
        dead.answer = lambda packet: None  # type: ignore[method-assign]
        back = self.dial("Orig", "Orig_1")
        self.mesh.until(lambda: bool(back.of("PEERS")))
        self.mesh.run(self.alice.send("Orig_1", "halo"))
        self.mesh.until(lambda: back.texts() == ["halo"])

    def test_a_message_for_somebody_else(self) -> None:
        mallory = self.dial()
        mallory.say("MESSAGE", {"text": "untuk Bob"}, self.bob.own_id)
        self.mesh.advance(1)
        self.assertEqual((self.mesh.texts("Alice"), self.mesh.texts("Bob")), ([], []))

    def test_a_receipt_for_what_she_never_got(self) -> None:
        self.mesh.kill("Bob")
        sent = self.mesh.run(self.alice.send(self.bob.own_id, "untuk Bob"))
        mallory = self.dial()
        mallory.say("RECEIPT", {"ids": [sent.message_id]})
        self.mesh.advance(1)
        self.bob = self.mesh.start("Bob")
        self.mesh.until(lambda: self.mesh.texts("Bob") == ["untuk Bob"])

    def test_a_name_that_is_not_fit_to_be_shown(self) -> None:
        self.dial("\x1b[31mAlice\u202e" + "x" * 500, "Mallory_2")
        name = next(peer.name for peer in self.alice.peers() if peer.plain)
        self.assertTrue(name.isprintable())
        self.assertLessEqual(len(name), 64)

    def test_a_known_name_at_the_known_place(self) -> None:
        carol = dial(self.mesh.machine("Bob"), self.mesh.address("Alice"), PORT, OriginalPeer("Bob", "b"))
        self.mesh.until(lambda: carol.transport is not None)
        carol.join(self.mesh.address("Bob"), PORT)
        self.mesh.until(lambda: carol.lost)
        warned = [event.text for event in self.mesh.events("Alice") if isinstance(event, Warned)]
        self.assertEqual(len(warned), 1)
        self.assertIn("none at all", warned[0])


class PointerTests(HostileTestCase):
    """Who lists what isn't there."""

    def test_ten_thousand_entries(self) -> None:
        mallory = self.dial()
        victim = Canary()
        self.mesh.network.machine("10.5.0.1").listenTCP(80, victim)
        for batch in range(100):
            entries = [
                {"peer_id": f"p{batch}-{n}", "name": "P", "host": f"10.{6 + batch}.0.{n + 1}", "port": 80}
                for n in range(100)
            ]
            entries[0]["host"] = "10.5.0.1"
            mallory.say("PEERS", self.list_of(entries))
        before = len(self.mesh.clock.getDelayedCalls())
        self.assertLess(before, 1000)
        self.mesh.advance(600)
        self.assertLessEqual(victim.connections, 10)
        self.assertEqual({peer.name for peer in self.alice.peers()}, {"Bob", "Mallory"})

    def test_ten_thousand_in_one_packet(self) -> None:
        mallory = self.dial()
        entry = {"peer_id": "p", "name": "P", "host": "10.5.0.1", "port": 80}
        mallory.say("PEERS", self.list_of([entry] * 10_000))
        self.mesh.until(lambda: mallory.lost)

    def test_one_victim_s_ports(self) -> None:
        mallory = self.dial()
        canary = Canary()
        for port in range(1, 200):
            self.mesh.network.machine("10.5.0.1").listenTCP(port, canary)
            entry = {"peer_id": f"p{port}", "name": "P", "host": "10.5.0.1", "port": port}
            mallory.say("PEERS", self.list_of([entry]))
        self.mesh.advance(60)
        self.assertGreater(canary.connections, 0)
        self.assertLessEqual(canary.connections, MAX_OF_HOST)

    def test_this_machine_s_own_ports(self) -> None:
        """From outside: nothing on Alice's machine is dialled, neither its services nor herself."""
        canary = Canary()
        machine = self.mesh.machine("Alice")
        machine.listenTCP(22, canary)
        machine.listenTCP(6379, canary, interface="127.0.0.1")
        mallory = self.dial()
        hosts = ("127.0.0.1", "localhost", "127.9.9.9", "::1", "0.0.0.0", self.mesh.address("Alice"))
        entries = [
            {"peer_id": f"{kind}{host}{port}", "name": "P", "host": host, "port": port}
            for kind in ("plain", "xj1-")
            for host in hosts
            for port in (22, 6379, PORT)
        ]
        mallory.say("PEERS", self.list_of(entries))
        self.mesh.advance(300)
        self.assertEqual((canary.connections, canary.heard), (0, []))
        self.assertEqual(self.mesh.connections("Alice", "Alice"), 0)

    def test_herself_under_a_thousand_names(self) -> None:
        self.machine.listenTCP(5001, server := OriginalServer())
        mallory = self.dial()
        for number in range(1000):
            entry = {"peer_id": f"p{number}", "name": "P", "host": "10.0.9.9", "port": 5001}
            mallory.say("PEERS", self.list_of([entry]))
        self.mesh.advance(60)
        self.assertLessEqual(len(server.accepted), 2)


class FloodTests(HostileTestCase):
    """Who says too much, or nothing."""

    def test_a_flood_of_messages_waits_in_her_own_machine(self) -> None:
        mallory = self.dial()
        for number in range(5000):
            mallory.say("MESSAGE", {"text": str(number)}, self.alice.own_id)
        self.mesh.advance(1)
        heard = len(self.mesh.texts("Alice"))
        self.assertLess(heard, 1000)
        self.mesh.run(self.bob.send(self.alice.own_id, "di tengah"))
        self.mesh.until(lambda: "di tengah" in self.mesh.texts("Alice"), 1)
        self.mesh.advance(60)
        mallorys = [text for text in self.mesh.texts("Alice") if text != "di tengah"]
        self.assertEqual(mallorys, [str(number) for number in range(5000)])

    def test_a_flood_of_questions(self) -> None:
        mallory = self.dial()
        for _ in range(2000):
            mallory.say("DISCOVERY", {})
        self.mesh.advance(1)
        self.assertLess(len(mallory.of("PEERS")), 1000)

    def test_bad_frames(self) -> None:
        mallory = self.dial(join=False)
        for _ in range(10):
            mallory.say_bytes(b"not a packet\n")
        self.mesh.until(lambda: mallory.lost)
        self.assertEqual(mallory.garbage, [])

    def test_a_frame_without_end(self) -> None:
        mallory = self.dial(join=False)
        mallory.say_bytes(b"{" + b" " * 70_000)
        self.mesh.until(lambda: mallory.lost, 5)

    def test_whoever_says_nothing_at_all(self) -> None:
        silent = [self.dial(join=False) for _ in range(50)]
        self.assertLessEqual(self.mesh.until(lambda: all(one.lost for one in silent)), 11)

    def test_those_who_say_nothing_make_way(self) -> None:
        self.mesh.stop("Alice")
        self.mesh.limits = replace(LIMITS, max_handshakes=20)
        self.alice = self.mesh.start("Alice")
        self.mesh.until(lambda: len(self.alice.links) == 1)
        silent = [self.dial(join=False) for _ in range(23)]
        self.mesh.advance(1)
        self.assertEqual([one.lost for one in silent].index(False), 3)
        friend = self.dial("Orig", "Orig_1")
        self.assertTrue(friend.of("PEERS"))

    def test_an_end_takes_those_at_the_door_along(self) -> None:
        silent = self.dial(join=False)
        self.mesh.stop("Alice")
        self.assertTrue(silent.lost)
        self.alice = self.mesh.start("Alice")

    def test_whoever_begins_tls_and_stops(self) -> None:
        mallory = self.dial(join=False)
        mallory.say_bytes(b"\x16\x03\x01\x02\x00")
        self.assertLessEqual(self.mesh.until(lambda: mallory.lost), 11)

    def test_nonsense_after_the_first_byte_of_tls(self) -> None:
        mallory = self.dial(join=False)
        mallory.say_bytes(b"\x16" + b"\xff" * 500)
        self.mesh.until(lambda: mallory.lost, 5)

    def test_many_strangers_push_out_no_friend(self) -> None:
        self.mesh.run(self.alice.send(self.bob.own_id, "teman"))
        for number in range(1100):
            stranger = self.dial("S", f"s{number}")
            stranger.leave()
        self.assertLessEqual(len(self.alice.book), 1000)
        self.assertIsNotNone(self.alice.peer(self.bob.own_id))
