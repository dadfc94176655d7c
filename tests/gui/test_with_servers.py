# SPDX-License-Identifier: MIT
"""The world with servers, on the whole suite in memory and a fake clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest import mock

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.gui.histories import open_directly
from xjrelay.client.tx import IClientReactor
from xjrelay.gui.elsewhere import Peers
from xjrelay.gui.problems import NOT_THERE, REPLACED
from xjrelay.gui.with_servers import ADDED_BY, ServersWorld
from xjrelay.gui.world import (
    Beginning,
    Happening,
    Kind,
    Line,
    LineAdded,
    LineChanged,
    LinkChanged,
    Missed,
    Over,
    Person,
    PersonChanged,
    PersonGone,
    Problem,
    Progress,
    Said,
    ServersDoor,
    State,
    Way,
)
from xjrelay.sandbox.suite import Sandbox
from xjrelay.storage.history import History, Kept, StoredLine
from xjrelay.storage.interfaces import StoreFailed


class Window:
    """What a window would hear.

    Args:
        sandbox: where.
        user: who.
        folder: its own.
        direct: whether it has direct links.
        peers: who is known there without servers.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        user: str,
        folder: Path,
        direct: bool = False,
        peers: Peers | None = None,
    ) -> None:
        self.told: list[Happening] = []
        self._sandbox = sandbox
        machine = sandbox.machine(f"user {user}")
        tracker = sandbox.machine("tracker").address
        door = ServersDoor(f"{tracker}:5000", user, "rahasia", register=True, direct=direct)
        self._make: Callable[[ServersDoor], ServersWorld] = lambda door: ServersWorld(
            cast(IClientReactor, machine),
            door,
            self.told.append,
            folder,
            open_directly,
            lambda: f"{sandbox.random.getrandbits(64):x}",
            peers=peers,
        )
        self.world = self._make(door)
        self.beginning: Beginning = sandbox.run(self.world.start())
        self._again = ServersDoor(door.tracker, user, "rahasia")

    def reopen(self) -> None:
        """Closed, and opened again."""
        self._sandbox.run(self.world.stop())
        self.open_again()

    def open_again(self) -> None:
        """Another window of the same account."""
        self.told.clear()
        self.world = self._make(self._again)
        self.beginning = self._sandbox.run(self.world.start())

    def heard(self, kind: type[Any]) -> list[Any]:
        """What was told of one kind."""
        return [one for one in self.told if isinstance(one, kind)]

    def states(self, line: Line) -> list[Progress]:
        """How far a line has come."""
        return [one.progress for one in self.heard(LineChanged) if one.id == line.id]

    def texts(self, key: str) -> list[str]:
        """The history with somebody."""
        return [one.text for one in self._sandbox.run(self.world.page(key, None, 100))]


class ServersWorldTests(SynchronousTestCase):
    """Two windows and the servers."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.sandbox = Sandbox(6, relays=2)
        self.sandbox.start()
        self.sandbox.advance(2)
        self.alice, self.bob = self.window("alice"), self.window("bob")

    def window(self, user: str) -> Window:
        made = Window(self.sandbox, user, self.folder / user)
        self.addCleanup(lambda: self.sandbox.run(made.world.stop()))
        return made

    def run_(self, work: Any) -> Any:
        return self.sandbox.run(work)

    def befriend(self) -> None:
        self.run_(self.alice.world.add("bob", "Bobby"))
        self.run_(self.bob.world.add("alice", ""))
        self.sandbox.advance(1)

    def test_G7_a_line_goes_from_sending_to_delivered_and_is_in_both_histories(self) -> None:
        self.befriend()
        line = self.run_(self.alice.world.send("bob", "halo"))
        self.assertIs(line.progress, Progress.SENDING)
        self.sandbox.advance(2)
        self.assertEqual(self.alice.states(line), [Progress.DELIVERED])
        (came,) = self.bob.heard(LineAdded)
        self.assertEqual((came.line.text, came.line.incoming, came.line.key), ("halo", True, "alice"))
        for window in (self.alice, self.bob):
            window.reopen()
        self.assertEqual((self.alice.texts("bob"), self.bob.texts("alice")), (["halo"], ["halo"]))
        self.assertEqual(self.bob.beginning.unread, {"alice": 1})
        self.run_(self.bob.world.read("alice", came.line.number))
        self.bob.reopen()
        self.assertEqual(self.bob.beginning.unread, {})

    def test_people_come_go_and_are_renamed_and_removed(self) -> None:
        self.befriend()
        people = {one.key: one for one in self.run_(self.alice.world.overview()).people}
        self.assertEqual((people["bob"].name, people["bob"].state), ("Bobby", State.ONLINE))
        self.assertIn(Said(ADDED_BY, {"name": "Bobby"}, key="bob"), self.alice.told)
        self.run_(self.bob.world.stop())
        self.sandbox.advance(1)
        self.assertIs(self.alice.heard(PersonChanged)[-1].person.state, State.OFFLINE)
        self.run_(self.alice.world.rename("bob", "Si Bob"))
        self.assertEqual(self.alice.heard(PersonChanged)[-1].person.name, "Si Bob")
        self.run_(self.alice.world.remove("bob"))
        self.assertIn(PersonGone("bob"), self.alice.told)
        self.assertEqual(self.run_(self.alice.world.overview()).people, ())

    def test_a_bio_is_read_by_others(self) -> None:
        self.befriend()
        self.run_(self.bob.world.set_bio("di pantai"))
        self.sandbox.advance(1)
        self.assertEqual(self.alice.heard(PersonChanged)[-1].person.bio, "di pantai")
        self.bob.reopen()
        self.assertEqual(self.bob.beginning.bio, "di pantai")

    def test_who_writes_and_is_no_contact_is_shown_as_that(self) -> None:
        self.run_(self.alice.world.send("bob", "halo"))
        self.sandbox.advance(2)
        stranger = self.bob.heard(PersonChanged)[0].person
        self.assertEqual((stranger.key, stranger.contact), ("alice", False))
        self.bob.reopen()
        self.assertEqual([one.contact for one in self.bob.beginning.people], [False])

    def test_what_fails_says_why_and_can_be_tried_again(self) -> None:
        line = self.run_(self.alice.world.send("carol", "halo"))
        self.sandbox.advance(2)
        (failed,) = self.alice.heard(LineChanged)
        self.assertEqual((failed.progress, failed.why), (Progress.FAILED, NOT_THERE))
        carol = self.window("carol")
        again = self.run_(self.alice.world.retry(line))
        self.assertIs(again.progress, Progress.SENDING)
        self.sandbox.advance(2)
        self.assertIs(self.alice.states(line)[-1], Progress.DELIVERED)
        self.assertEqual(carol.texts("alice"), ["halo"])

    def test_a_lost_relay_is_told_and_nothing_is_lost(self) -> None:
        self.befriend()
        self.sandbox.cut("user alice", self.alice.beginning.where)
        line = self.run_(self.alice.world.send("bob", "halo"))
        self.sandbox.advance(30)
        ups = [one.up for one in self.alice.heard(LinkChanged)]
        self.assertEqual((ups[-2:], self.alice.states(line)), ([False, True], [Progress.DELIVERED]))

    def test_a_window_closed_before_an_outcome_goes_on_when_it_is_opened(self) -> None:
        self.befriend()
        for name in ("relay1", "relay2"):
            self.sandbox.kill(name)
        line = self.run_(self.alice.world.send("bob", "halo"))
        self.run_(self.alice.world.stop())
        for name in ("relay1", "relay2"):
            self.sandbox.restart(name)
        self.sandbox.advance(90)
        self.alice.open_again()
        self.sandbox.advance(90)
        self.assertEqual(self.bob.texts("alice"), ["halo"])
        states = [one.progress for one in self.run_(self.alice.world.page("bob", None, 9))]
        self.assertEqual((states, len(self.alice.states(line))), ([Progress.DELIVERED], 1))

    def test_the_same_account_elsewhere_ends_this_one(self) -> None:
        folder = self.folder / "elsewhere"
        machine = cast(IClientReactor, self.sandbox.machine("user alice"))
        door = ServersDoor(f"{self.sandbox.machine('tracker').address}:5000", "alice", "rahasia")
        world = ServersWorld(machine, door, lambda _: None, folder, open_directly, lambda: "x1")
        self.run_(world.start())
        self.addCleanup(lambda: self.run_(world.stop()))
        self.sandbox.advance(2)
        (over,) = self.alice.heard(Over)
        self.assertEqual(over.problem.text, REPLACED)

    def test_a_disk_that_takes_nothing_is_told_and_waited_for(self) -> None:
        carol = self.sandbox.user("carol")
        with mock.patch.object(History, "add", lambda *_: fail(StoreFailed("the disk is full"))):
            sent = [carol.send("bob", text, timeout=600) for text in ("satu", "dua")]
            self.sandbox.advance(20)
            self.assertNoResult(sent[1])  # nobody was told that it has arrived
        (said,) = self.bob.heard(Said)
        self.assertEqual((said.warning, said.fields), (True, {"why": "the disk is full"}))
        self.assertEqual(self.bob.heard(LineAdded), [])
        self.sandbox.advance(20)
        self.assertEqual([self.run_(one).status for one in sent], ["delivered", "delivered"])
        self.assertEqual(self.bob.texts("carol"), ["satu", "dua"])

    def test_to_all_goes_to_who_is_there(self) -> None:
        self.befriend()
        lines = self.run_(self.alice.world.say_to_all("selamat pagi"))
        self.assertEqual([one.key for one in lines], ["bob"])

    def test_nobody_can_ask_before_the_start(self) -> None:
        door = ServersDoor("127.0.0.1:1", "x", "y")
        machine = cast(IClientReactor, self.sandbox.machine("user x"))
        world = ServersWorld(machine, door, lambda _: None, self.folder / "x", open_directly, str)
        failure = self.failureResultOf(_deferred(world.page("bob", None, 1)), Problem)
        self.assertIn("no connection", str(failure.value))


def _deferred(work: Any) -> Any:
    from twisted.internet.defer import Deferred

    return Deferred.fromCoroutine(work)


class DirectTests(SynchronousTestCase):
    """Two windows with direct links."""

    def setUp(self) -> None:
        self.sandbox = Sandbox(seed=3)
        self.sandbox.start()
        folder = Path(self.mktemp())
        self.asked: list[str] = []
        self.said: list[StoredLine] = []
        peers = Peers(self.find, lambda kept, before, most: succeed(self.said[: kept.newest][-most:]))
        self.alice = Window(self.sandbox, "alice", folder / "alice", True, peers)
        self.bob = Window(self.sandbox, "bob", folder / "bob", True)
        for one, other in ((self.alice, "bob"), (self.bob, "alice")):
            self.sandbox.run(one.world.add(other, ""))

    def find(self, peer_id: str) -> Deferred[Kept | None]:
        self.asked.append(peer_id)
        return succeed(Kept(Path("peer.sqlite3"), peer_id, "Bob", newest=len(self.said)))

    def person(self, window: Window) -> Person:
        told: PersonChanged = window.heard(PersonChanged)[-1]
        return told.person

    def talk(self) -> None:
        self.sandbox.run(self.alice.world.send("bob", "halo"))
        self.sandbox.advance(5)

    def test_each_is_told_the_way_and_who_it_is(self) -> None:
        self.assertEqual((self.person(self.alice).way, self.person(self.alice).fingerprint), (Way.RELAY, ""))
        self.talk()
        bob, alice = self.person(self.alice), self.person(self.bob)
        self.assertEqual((bob.way, bob.peer), (Way.DIRECT, "Bob"))
        self.assertEqual((alice.way, alice.peer), (Way.DIRECT, ""))
        self.assertRegex(bob.fingerprint, "^([0-9a-f]{4} ?){5}$")
        self.sandbox.cut("user alice", "user bob")
        self.sandbox.advance(0.5)
        again = self.person(self.alice)
        self.assertEqual((again.way, again.peer, again.fingerprint), (Way.RELAY, "Bob", bob.fingerprint))

    def test_who_it_is_stays_known_and_what_was_said_as_peers_is_there_too(self) -> None:
        before = int(self.sandbox.machine("user alice").seconds() * 1000) - 60_000
        self.said = [
            StoredLine("xj1-b", f"p{n}", f"dulu {n}", before + n, True, "received", "", n) for n in (1, 2)
        ]
        self.assertEqual(self.asked, [], "an address book is no proof")
        self.talk()
        self.assertEqual(len(self.alice.heard(Missed)), 1, "the conversation is another now")
        self.assertEqual(self.alice.texts("bob"), ["dulu 1", "dulu 2", "halo"])
        self.alice.reopen()
        (bob,) = self.alice.beginning.people
        self.assertEqual((bob.peer, bob.way), ("Bob", None))
        self.assertRegex(bob.fingerprint, "^([0-9a-f]{4} ?){5}$")
        page = self.sandbox.run(self.alice.world.page("bob", None, 2))
        self.assertEqual(
            [(one.text, one.elsewhere) for one in page], [("dulu 2", Kind.PEERS), ("halo", None)]
        )
        self.assertEqual(self.alice.beginning.last["bob"].text, "halo")

    def test_what_is_said_as_peers_meanwhile_is_there_the_next_time(self) -> None:
        at = int(self.sandbox.machine("user alice").seconds() * 1000)
        self.said = [StoredLine("xj1-b", "p1", "dulu", at, True, "received", "", 1)]
        self.talk()
        self.said.append(StoredLine("xj1-b", "p2", "baru", at + 90_000, True, "received", "", 2))
        self.sandbox.cut("user alice", "user bob")
        self.sandbox.advance(120)
        self.talk()
        self.assertEqual((self.person(self.alice).way, len(self.asked)), (Way.DIRECT, 2))
        self.assertEqual(self.alice.texts("bob"), ["dulu", "halo", "halo"])
        self.sandbox.run(self.alice.world.overview())
        self.assertEqual(self.alice.texts("bob"), ["dulu", "halo", "baru", "halo"])

    def test_a_key_that_was_only_offered_is_nobody_s(self) -> None:
        self.sandbox.partition("user alice", "user bob")
        self.talk()
        self.sandbox.advance(60)
        self.assertEqual(self.bob.texts("alice"), ["halo"], "by the relay")
        self.assertEqual((self.asked, self.person(self.alice).fingerprint), ([], ""))
        self.alice.reopen()
        self.assertEqual((self.asked, self.alice.beginning.people[0].peer), ([], ""))

    def test_without_the_tick_there_is_nothing_to_say(self) -> None:
        window = Window(self.sandbox, "carol", Path(self.mktemp()))
        self.sandbox.run(window.world.add("bob", ""))
        self.assertIsNone(self.person(window).way)
