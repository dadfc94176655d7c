# SPDX-License-Identifier: MIT
"""Who is known to this computer's peers, looked up by key."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.gui.histories import open_directly
from xjrelay.storage.acquaintances import called, said, users
from xjrelay.storage.history import History, Kept, Proof, StoredLine
from xjrelay.storage.interfaces import StoreFailed
from xjrelay.storage.migrate import prepare, steps

ONE, OTHER = "xj1-" + "1" * 40, "xj1-" + "2" * 40


class CalledTests(SynchronousTestCase):
    """``called``."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def peer(self, name: str, *known: tuple[str, str, str]) -> Path:
        file = self.folder / name / "peer.sqlite3"
        file.parent.mkdir(parents=True)
        prepare(file, "peer")
        with closing(sqlite3.connect(file)) as database, database:
            for peer_id, own, label in known:
                row = (peer_id, own, label)
                said = "INSERT INTO peers (peer_id, name, label, met_at, seen_at, kept) VALUES (?, ?, ?"
                database.execute(f"{said}, 0, 0, 1)", row)
        return file

    def called(self, peer_id: str) -> str | None:
        found = called(self.folder, self.folder / "Alice-5000", peer_id)
        return None if found is None else found.name

    def test_by_the_name_it_has_here_or_else_its_own(self) -> None:
        self.peer("Alice-5000", (ONE, "Bob", ""), (OTHER, "Carol", "Aunt Carol"))
        self.assertEqual((self.called(ONE), self.called(OTHER)), ("Bob", "Aunt Carol"))

    def test_any_of_the_peers_may_know_it(self) -> None:
        self.peer("Alice-5000")
        self.peer("Alice-5001", (ONE, "Bob", ""))
        self.assertEqual(self.called(ONE), "Bob")

    def test_our_own_is_asked_first_and_only_its_lines_are_meant(self) -> None:
        for name, called_there in (("Alice-5000", "Bob"), ("Alice-5001", "Robert")):
            file = self.peer(name, (ONE, called_there, ""))
            with closing(sqlite3.connect(file)) as database, database:
                database.execute(
                    "INSERT INTO messages VALUES (7, ?, 1, 'm1', 'halo', 1, 1, 'received')", (ONE,)
                )
        own = called(self.folder, self.folder / "Alice-5001", ONE)
        other = called(self.folder, self.folder / "Alice-5002", ONE)
        assert own is not None and other is not None
        self.assertEqual([(one.name, one.newest) for one in (own, other)], [("Robert", 7), ("Bob", 0)])
        (line,) = said(own, None, 9)
        self.assertEqual((line.text, line.number, line.broadcast), ("halo", 7, True))
        self.assertEqual(said(own, 7, 9), [])

    def test_nobody_does(self) -> None:
        self.assertIsNone(self.called(ONE))
        self.peer("Alice-5000", (ONE, "Bob", ""))
        self.assertIsNone(self.called(OTHER))

    def test_a_damaged_file_is_passed_over_and_none_is_made(self) -> None:
        self.peer("Alice-5000").write_bytes(b"no database" * 100)
        (self.folder / "Bob-5000").mkdir()
        self.assertIsNone(self.called(ONE))
        self.assertEqual(list((self.folder / "Bob-5000").iterdir()), [])


class UsersTests(SynchronousTestCase):
    """``users``, and what is read of them."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def account(self, name: str, *proofs: Proof) -> History:
        (self.folder / name).mkdir(parents=True)
        history = open_directly(self.folder / name / "history.sqlite")
        self.addCleanup(lambda: self.successResultOf(history.close()))
        for proof in proofs:
            self.successResultOf(history.prove(proof, proof.contact.capitalize()))
        return history

    def test_who_has_proved_a_key_to_ours_and_to_no_other(self) -> None:
        self.account("alice", Proof("bob", ONE, OTHER, "localhost:5000", 1))
        self.account("carol", Proof("dewi", OTHER, ONE, "localhost:5000", 1))
        self.account("esa", Proof("bob", ONE, "", "localhost:5000", 9))
        found = users(self.folder, OTHER)
        self.assertEqual(
            {key: (one.name, one.servers) for key, one in found.items()}, {ONE: ("Bob", "localhost:5000")}
        )
        self.assertEqual(users(self.folder, ""), {})

    def test_the_last_proof_counts(self) -> None:
        self.account("alice", Proof("bob", ONE, OTHER, "localhost:5000", 5))
        self.account("alicia", Proof("robert", ONE, OTHER, "localhost:5001", 4))
        self.assertEqual(users(self.folder, OTHER)[ONE].name, "Bob")

    def test_files_that_are_none_or_of_before_are_passed_over(self) -> None:
        for name in ("damaged", "older"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "damaged" / "history.sqlite").write_bytes(b"no database" * 100)
        prepare(self.folder / "older" / "history.sqlite", "window", steps("window")[:1])
        self.account("alice", Proof("bob", ONE, OTHER, "localhost:5000", 1))
        self.assertEqual(list(users(self.folder, OTHER)), [ONE])

    def test_pages_end_where_the_lines_did_when_they_were_found(self) -> None:
        history = self.account("alice", Proof("bob", ONE, OTHER, "localhost:5000", 1))

        def add(number: int) -> None:
            line = StoredLine("bob", f"m{number}", f"text {number}", number, True, "received")
            self.successResultOf(history.add(line, "Bob"))

        for number in range(5):
            add(number)
        kept = users(self.folder, OTHER)[ONE]
        add(5)
        page = said(kept, None, 2)
        self.assertEqual([one.text for one in page], ["text 3", "text 4"])
        self.assertEqual([one.text for one in said(kept, page[0].number, 9)], ["text 0", "text 1", "text 2"])

    def test_a_file_that_is_gone_is_told(self) -> None:
        kept = Kept(self.folder / "alice" / "history.sqlite", "bob", "Bob", "localhost:5000", 1)
        self.assertRaises(StoreFailed, said, kept, None, 9)
