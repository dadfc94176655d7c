# SPDX-License-Identifier: MIT
"""The world without servers, among peers on a fake network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.gui.histories import open_directly
from tests.servers.original_peer import OriginalPeer, dial
from xjrelay.gui.problems import BAD_PORT
from xjrelay.gui.without import LIED, MET, MET_PLAIN, POSED, PeersWorld
from xjrelay.gui.world import (
    Beginning,
    Happening,
    Kind,
    LineAdded,
    LineChanged,
    PeersDoor,
    PersonChanged,
    PersonGone,
    Problem,
    Progress,
    Said,
    State,
)
from xjrelay.net.context import Context
from xjrelay.sandbox.peers import LIMITS, PORT, PeerSandbox
from xjrelay.security.identity import Identity, make_key
from xjrelay.servers.peer.local import LocalPeer
from xjrelay.servers.peer.service import PeerListening, PeerService
from xjrelay.servers.startup import StartupError
from xjrelay.storage.history import Kept, StoredLine
from xjrelay.storage.interfaces import StoreFailed
from xjrelay.storage.memory_peers import memory_peer_stores

ADDRESS = "10.0.0.50"


class PeersWorldTests(SynchronousTestCase):
    """Alice's window, and Bob, who is a peer."""

    def setUp(self) -> None:
        self.mesh = PeerSandbox(seed=6)
        self.bob = self.mesh.start("Bob")
        self.machine: Any = self.mesh.network.machine(ADDRESS)
        self.key, self.stores = make_key(), memory_peer_stores()
        self.folder = Path(self.mktemp())
        self.told: list[Happening] = []
        self.kept: dict[str, Kept] = {}
        self.said: list[StoredLine] | None = None
        self.asked: list[str] = []
        self.beginning = self.open()

    def tearDown(self) -> None:
        self.mesh.run(self.world.stop())

    def open(self) -> Beginning:
        door = PeersDoor("Alice", PORT)
        self.world = PeersWorld(
            door, self.told.append, self.folder, self.make_peer, open_directly, self.users, self.read
        )
        return self.mesh.run(self.world.start())

    def users(self, own: str) -> Deferred[dict[str, Kept]]:
        self.asked.append(own)
        return succeed(self.kept)

    def read(self, kept: Kept, before: int | None, most: int) -> Deferred[list[StoredLine]]:
        if self.said is None:
            return fail(StoreFailed("it is gone"))
        return succeed([one for one in self.said if before is None or one.number < before][-most:])

    def make_peer(self, door: PeersDoor) -> tuple[MultiService, PeerService]:
        context = Context(self.machine, self.mesh.random, LIMITS)
        peer = LocalPeer(self.machine, context, Identity(self.key), door.name, self.stores)
        listening = PeerListening(self.machine, [f"tcp:{door.port}:interface={ADDRESS}"], peer.factory)
        program, service = MultiService(), PeerService(peer, listening, self.stores)
        service.setServiceParent(program)
        return program, service

    def heard(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.told if isinstance(one, kind)]

    def connect(self) -> None:
        address = self.mesh.address("Bob")
        person = self.mesh.run(self.world.add(f"{address}:{PORT}", ""))
        assert person is not None
        self.assertEqual((person.name, person.state), ("Bob", State.ONLINE))
        self.mesh.advance(1)

    def refused(self, work: Any) -> Problem:
        failed = Deferred.fromCoroutine(work)
        self.mesh.until(lambda: bool(failed.called))
        problem = self.failureResultOf(failed, Problem).value
        assert isinstance(problem, Problem)
        return problem

    def test_who_is_met_is_shown_with_a_fingerprint(self) -> None:
        self.connect()
        met = next(one for one in self.heard(Said))
        self.assertEqual((met.text, met.fields["fingerprint"]), (MET, self.bob.fingerprint))
        people = self.mesh.run(self.world.overview()).people
        self.assertEqual([(one.fingerprint, one.plain) for one in people], [(self.bob.fingerprint, False)])
        self.assertEqual(self.beginning.where, f"{ADDRESS}:{PORT}")

    def test_G7_lines_both_ways_and_what_was_read(self) -> None:
        self.connect()
        key = self.bob.own_id
        line = self.mesh.run(self.world.send(key, "halo"))
        self.mesh.until(lambda: bool(self.heard(LineChanged)))
        self.assertEqual(self.heard(LineChanged), [LineChanged(key, line.id, Progress.DELIVERED)])
        me = self.bob.peers()[0].peer_id
        self.mesh.run(self.bob.send(me, "halo juga"))
        self.mesh.run(self.bob.send(me, "ada?"))
        self.mesh.until(lambda: len(self.heard(LineAdded)) == 2)
        self.mesh.run(self.world.read(key, self.heard(LineAdded)[0].line.number))
        self.mesh.run(self.world.stop())
        again = self.open()
        self.assertEqual((again.unread, again.last[key].text), ({key: 1}, "ada?"))
        page = self.mesh.run(self.world.page(key, None, 9))
        self.assertEqual([one.text for one in page], ["halo", "halo juga", "ada?"])

    def know(self, newest: int) -> None:
        self.kept = {self.bob.own_id: Kept(Path("history.sqlite"), "bob", "bobby", "localhost:5000", newest)}

    def test_a_peer_who_has_proved_to_be_a_user_is_shown_as_that_one(self) -> None:
        self.connect()
        self.assertEqual(self.heard(PersonChanged)[-1].person.user, "")
        self.mesh.run(self.world.stop())
        self.know(0)
        (bob,) = self.open().people
        self.assertEqual((bob.name, bob.user, bob.servers), ("Bob", "bobby", "localhost:5000"))
        self.assertEqual(set(self.asked), {Identity(self.key).peer_id})

    def test_what_was_said_by_the_servers_stands_between_in_order_of_time(self) -> None:
        self.connect()
        key = self.bob.own_id
        own = [self.mesh.run(self.world.send(key, text)) for text in ("satu", "dua")]
        self.mesh.advance(2)
        now = own[1].at
        times = [own[0].at - 9, own[0].at - 8, now + 5000]
        self.said = [
            StoredLine("bob", f"u{n}", f"user {n}", at, False, "failed", "", n)
            for n, at in enumerate(times, 1)
        ]
        self.mesh.run(self.world.stop())
        self.know(3)
        self.assertEqual(self.open().last[key].text, "user 3")
        page = self.mesh.run(self.world.page(key, None, 4))
        self.assertEqual([one.text for one in page], ["user 2", "satu", "dua", "user 3"])
        self.assertEqual([one.elsewhere for one in page], [Kind.SERVERS, None, None, Kind.SERVERS])
        self.assertEqual([one.may_retry for one in page], [False] * 4, "that is for the other window")
        older = self.mesh.run(self.world.page(key, page[1].number, 4, page[0].number))
        self.assertEqual([one.text for one in older], ["user 1"])

    def test_where_that_cannot_be_read_ours_is_shown_alone(self) -> None:
        self.connect()
        self.mesh.run(self.world.send(self.bob.own_id, "satu"))
        self.mesh.run(self.world.stop())
        self.know(3)
        self.assertEqual(self.open().last[self.bob.own_id].text, "satu")

    def test_states_as_they_change(self) -> None:
        self.connect()
        self.mesh.stop("Bob")
        self.mesh.until(lambda: self.heard(PersonChanged)[-1].person.state is State.OFFLINE)
        self.mesh.start("Bob")
        self.mesh.until(lambda: self.heard(PersonChanged)[-1].person.state is State.ONLINE)
        self.mesh.kill("Bob")
        self.mesh.network.cut(self.mesh.address("Bob"), ADDRESS)
        self.mesh.until(lambda: self.heard(PersonChanged)[-1].person.state is State.RESUMING)

    def test_a_plain_peer_is_said_to_be_one(self) -> None:
        machine = self.mesh.network.machine("10.0.0.60")
        original = dial(machine, ADDRESS, PORT, OriginalPeer("Lama", "Lama_5001"))
        self.mesh.until(lambda: original.transport is not None)
        original.join("10.0.0.60", 5001)
        self.mesh.until(lambda: bool(self.heard(Said)))
        self.assertEqual(self.heard(Said)[0].text, MET_PLAIN)
        self.assertTrue(self.heard(PersonChanged)[-1].person.plain)
        original.say("MESSAGE", {"text": "dari yang lama"}, None)
        self.mesh.until(lambda: bool(self.heard(LineAdded)))
        line = self.mesh.run(self.world.send("Lama_5001", "halo"))
        self.mesh.until(lambda: original.texts() == ["halo"])
        self.assertIn(LineChanged("Lama_5001", line.id, Progress.SENT), self.told)

    def test_a_changed_key_is_a_warning_that_names_who(self) -> None:
        self.connect()
        self.mesh.stop("Bob")
        self.mesh.start("Bob", key=make_key())
        self.mesh.until(lambda: any(one.warning for one in self.heard(Said)), 600)
        (warned,) = [one for one in self.heard(Said) if one.warning]
        self.assertEqual((warned.text, warned.fields, warned.key), (POSED, {"name": "Bob"}, self.bob.own_id))
        self.assertNotEqual(warned.text, LIED)

    def test_addresses_that_are_none_and_those_where_nobody_is(self) -> None:
        for address, field in (("nowhere", "host"), (":5000", "host"), ("a b:5000", "host")):
            self.assertEqual(self.refused(self.world.add(address, "")).field, field, address)
        for address in ("10.0.0.1:", "10.0.0.1:x", "10.0.0.1:99999", "10.0.0.1:²"):
            self.assertEqual(self.refused(self.world.add(address, "")).text, BAD_PORT, address)
        problem = self.refused(self.world.add("10.0.0.99:5000", ""))
        self.assertEqual((problem.field, problem.fields["where"]), ("host", "10.0.0.99:5000"))

    def test_renamed_removed_and_told_to_all(self) -> None:
        self.connect()
        key = self.bob.own_id
        self.mesh.run(self.world.rename(key, "Si Bob"))
        self.assertEqual(self.heard(PersonChanged)[-1].person.name, "Si Bob")
        (line,) = self.mesh.run(self.world.say_to_all("semua"))
        self.assertTrue(line.broadcast)
        self.mesh.until(lambda: self.mesh.texts("Bob") == ["semua"])
        self.mesh.run(self.world.remove(key))
        self.assertIn(PersonGone(key), self.told)
        self.assertTrue(self.refused(self.world.send(key, "x")).text)
        self.assertTrue(self.refused(self.world.rename(key, "x")).text)

    def test_a_text_that_is_too_long_is_refused(self) -> None:
        self.connect()
        self.assertIn("too long", str(self.refused(self.world.send(self.bob.own_id, "x" * 70_000))))

    def test_a_port_in_use_is_said_at_its_field(self) -> None:
        def busy(door: PeersDoor) -> Any:
            raise StartupError("cannot listen on tcp:5000: Address already in use")

        door = PeersDoor("Carol", PORT)
        world = PeersWorld(door, self.told.append, self.folder / "carol", busy, open_directly)
        problem = self.refused(world.start())
        self.assertEqual(problem.field, "port")
        self.assertIn("already in use", str(problem))
