# SPDX-License-Identifier: MIT
"""Why a program is not ready, or not well; and that a limit that is reached is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.net.lines import Chatty, context, message, opened
from tests.servers.relay_house import house_with
from tests.servers.relay_house import message as stanza
from xjrelay.net.trace import Note, Trace
from xjrelay.sandbox.peers import PORT, PeerSandbox
from xjrelay.sandbox.suite import Sandbox
from xjrelay.servers.manager.state import Policy
from xjrelay.servers.relay.switch import RelaySettings
from xjrelay.storage.interfaces import StoreFailed, StoreLoad
from xjrelay.storage.pool import GroupCommit, Operation, Outcome


class ReadyTests(SynchronousTestCase):
    """A suite of which parts go away."""

    def setUp(self) -> None:
        self.sandbox = Sandbox(seed=2, relays=2)
        self.sandbox.start()
        self.sandbox.advance(5)

    def missing(self, name: str) -> list[str]:
        return list(self.sandbox.part(name).missing())

    def test_all_is_there(self) -> None:
        self.assertEqual([self.missing(name) for name in self.sandbox.programs], [[]] * 4)
        self.assertTrue(all(self.sandbox.part(name).ready() for name in self.sandbox.programs))

    def test_without_the_tracker(self) -> None:
        self.sandbox.kill("tracker")
        self.sandbox.advance(1)
        self.assertEqual(
            [self.missing(name) for name in ("manager", "relay1")], [["no tracker lists it"]] * 2
        )

    def test_without_the_manager(self) -> None:
        self.sandbox.kill("manager")
        self.sandbox.advance(1)
        self.assertEqual(self.missing("relay1"), ["the manager is away"])
        self.assertEqual(self.missing("tracker"), [])

    def test_while_it_drains(self) -> None:
        self.sandbox.server("manager").relays.drain("relay1", 5.0)
        self.sandbox.advance(1)
        drained = next(name for name in ("relay1", "relay2") if self.missing(name))
        self.assertEqual(self.missing(drained), ["it drains"])
        facts = self.sandbox.part("manager").facts()
        self.assertEqual([one["draining"] for one in facts["relays"] if one["name"] == "relay1"], [True])

    def test_a_relay_that_is_not_linked_is_known_by_its_place(self) -> None:
        self.sandbox.partition("relay1", "relay2")
        self.sandbox.advance(60)
        self.assertEqual(self.sandbox.part("relay1").facts()["unlinked"], ["10.0.1.2:5002"])
        self.sandbox.heal()
        self.sandbox.advance(60)
        self.assertEqual(self.sandbox.part("relay1").facts()["unlinked"], [])


class HealthTests(SynchronousTestCase):
    """A store that can't write."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.running: list[Deferred[list[Outcome]]] = []
        self.queue = GroupCommit(self.clock, self.transact, max_queue=4, max_batch=3)

    def transact(self, operations: Any) -> Deferred[list[Outcome]]:
        self.running.append(Deferred())
        return self.running[-1]

    def test_it_is_broken_until_something_was_written(self) -> None:
        nothing: Operation = lambda cursor: None  # noqa: E731
        told = self.queue.run(nothing)
        self.clock.advance(0.25)
        self.clock.advance(0.25)
        self.running.pop().errback(StoreFailed("the disk is full"))
        self.failureResultOf(told, StoreFailed)
        self.assertEqual((self.queue.load.failing, self.queue.load.failures), ("the disk is full", 1))
        self.queue.run(nothing)
        self.clock.advance(0)
        self.running.pop().callback([None])
        self.assertEqual((self.queue.load.failing, self.queue.load.failures), ("", 1))
        self.assertEqual(len(self.queue.load.commits), 2)
        self.assertAlmostEqual(self.queue.load.commits.total, 0.25)

    def test_the_program_says_so(self) -> None:
        sandbox = Sandbox(seed=2, relays=1)
        sandbox.start()
        manager = sandbox.server("manager").manager
        load = StoreLoad(failing="the disk is full")
        manager.stores = replace(manager.stores, load=lambda: load)
        self.assertEqual(list(sandbox.part("manager").broken()), ["the store: the disk is full"])
        load.failing = ""
        self.assertEqual(list(sandbox.part("manager").broken()), [])


class LimitTests(SynchronousTestCase):
    """Each is counted where it is reached."""

    def test_of_frames_and_of_a_reader_that_does_not_read(self) -> None:
        clock = Clock()
        shared = context(clock, max_frame=100, max_bad_frames=2, max_outgoing=50)
        for reached, said in (("max-frame", b"x" * 200), ("max-bad-frames", b"x\nx\n")):
            link = Chatty(shared)
            opened(link)
            link.dataReceived(said)
            self.assertEqual(shared.counters.limited[reached], 1, reached)
        link = Chatty(shared)
        opened(link)
        link.pauseProducing()
        link.send_frame(b"y" * 40)
        self.assertGreaterEqual(link.unwritten, 40)
        self.assertEqual(shared.counters.limited["max-outgoing"], 0)
        link.send_frame(b"y" * 40)
        self.assertEqual(shared.counters.limited["max-outgoing"], 1)

    def test_of_a_session_s_queue(self) -> None:
        house = house_with(1, RelaySettings(max_queue=2))
        [relay] = house.relays.values()
        esa, fajar = house.joined(relay, "esa", ack=True), house.joined(relay, "fajar", ack=True)
        house.wait(1)
        for number in range(4):
            esa.say(stanza("fajar", "halo", id=str(number)))
        self.assertGreaterEqual(relay.context.counters.limited["max-queue"], 1)
        fajar.take()

    def test_of_a_mailbox(self) -> None:
        sandbox = Sandbox(
            seed=2, relays=1, policy=Policy(key_rounds=4096, allow_plaintext=True, mailbox_max=1)
        )
        sandbox.start()
        esa, fajar = sandbox.user("esa"), sandbox.user("fajar")
        sandbox.run(fajar.close())
        sandbox.advance(5)
        told = [sandbox.run(esa.send("fajar", "halo")) for _ in range(2)]
        self.assertEqual([one.status for one in told], ["stored", "failed"])
        counters = sandbox.part("manager").counters
        self.assertEqual(counters.limited["mailbox-max"], 1)
        self.assertEqual(counters.outcomes["stored", None], 1)
        self.assertEqual(counters.outcomes["failed", 507], 1)

    def test_requests_and_handshakes_are_timed(self) -> None:
        clock = Clock()
        shared = context(clock)
        link = Chatty(shared)
        opened(link)
        clock.advance(0.5)
        link.established()
        link.dataReceived(message("later"))
        clock.advance(2.0)
        link.finish()
        counters = shared.counters
        self.assertEqual((len(counters.handshakes), len(counters.requests)), (1, 1))
        self.assertEqual((counters.handshakes.total, counters.requests.total), (0.5, 2.0))


class RelayTraceTests(SynchronousTestCase):
    """What a relay remembers of messages that don't simply arrive."""

    def setUp(self) -> None:
        self.house = house_with(1, RelaySettings(resume=5.0))
        [self.relay] = self.house.relays.values()
        self.trace = self.relay.context.trace = Trace(self.house.clock.seconds, 100)
        self.esa = self.house.joined(self.relay, "esa", ack=True)
        self.fajar = self.house.joined(self.relay, "fajar", ack=True)
        self.house.wait(1)

    def life(self, message_id: str) -> list[tuple[str, str]]:
        return [(note.event, note.where) for note in self.trace.find(message_id)]

    def test_why_one_was_refused(self) -> None:
        self.esa.say(stanza("fajar", "halo", id="1", **{"from": "gita"}))
        self.assertEqual(self.life("1"), [("refused", "403 from is not this session's user")])

    def test_that_its_recipient_was_away_and_gave_it_back(self) -> None:
        self.fajar.vanish()
        self.esa.say(stanza("fajar", "halo", id="1"))
        self.assertEqual(self.life("1"), [("waits", "fajar")])
        self.house.wait(6)
        self.assertEqual(self.life("1")[:2], [("waits", "fajar"), ("handed over", "fajar")])


class PeerTraceTests(SynchronousTestCase):
    """A text between two peers."""

    def test_both_remember_it(self) -> None:
        mesh = PeerSandbox(seed=4)
        alice, bob = mesh.start("Alice"), mesh.start("Bob")
        mesh.run(bob.connect(mesh.address("Alice"), PORT))
        said = mesh.run(bob.send(alice.own_id, "halo"))
        mesh.until(lambda: mesh.texts("Alice") == ["halo"])
        mesh.advance(1)
        self.assertEqual(self.events(mesh, "Bob", said.message_id), ["accepted", "delivered"])
        [arrived] = self.notes(mesh, "Alice", said.message_id)
        self.assertEqual((arrived.event, arrived.from_, arrived.to), ("arrived", bob.own_id, alice.own_id))

    def notes(self, mesh: PeerSandbox, name: str, message_id: str) -> list[Note]:
        trace = mesh.part(name).trace
        assert trace is not None
        return trace.find(message_id)

    def events(self, mesh: PeerSandbox, name: str, message_id: str) -> list[str]:
        return [note.event for note in self.notes(mesh, name, message_id)]
