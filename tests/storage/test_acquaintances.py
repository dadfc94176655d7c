# SPDX-License-Identifier: MIT
"""Who is known to this computer's peers, looked up by key."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.storage.acquaintances import called
from xjrelay.storage.migrate import prepare

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

    def test_by_the_name_it_has_here_or_else_its_own(self) -> None:
        self.peer("Alice-5000", (ONE, "Bob", ""), (OTHER, "Carol", "Aunt Carol"))
        self.assertEqual((called(self.folder, ONE), called(self.folder, OTHER)), ("Bob", "Aunt Carol"))

    def test_any_of_the_peers_may_know_it(self) -> None:
        self.peer("Alice-5000")
        self.peer("Alice-5001", (ONE, "Bob", ""))
        self.assertEqual(called(self.folder, ONE), "Bob")

    def test_nobody_does(self) -> None:
        self.assertIsNone(called(self.folder, ONE))
        self.peer("Alice-5000", (ONE, "Bob", ""))
        self.assertIsNone(called(self.folder, OTHER))

    def test_a_damaged_file_is_passed_over_and_none_is_made(self) -> None:
        self.peer("Alice-5000").write_bytes(b"no database" * 100)
        (self.folder / "Bob-5000").mkdir()
        self.assertIsNone(called(self.folder, ONE))
        self.assertEqual(list((self.folder / "Bob-5000").iterdir()), [])
