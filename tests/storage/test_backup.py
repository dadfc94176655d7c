# SPDX-License-Identifier: MIT
"""Copies of databases in use, and copies that are no good."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.storage.test_migrate import schema
from tests.storage.test_released import records, written
from xjrelay.storage.backup import copy_database, examine, rehearse
from xjrelay.storage.migrate import APPLICATION_IDS, DamagedFile, ForeignFile, NewerFile, prepare, steps
from xjrelay.storage.transfer import encode


class CopyTests(SynchronousTestCase):
    """One file to another."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.source = written(self.folder, "manager", len(steps("manager")))
        self.copy = self.folder / "copy.sqlite3"

    def test_a_copy_of_a_file_in_use_has_what_is_only_in_the_wal(self) -> None:
        prepare(self.source, "manager")
        with closing(sqlite3.connect(self.source)) as writer:
            writer.execute("PRAGMA wal_autocheckpoint = 0")
            writer.execute("UPDATE accounts SET bio = 'new' WHERE key = 'esa'")
            writer.commit()
            writer.execute("UPDATE accounts SET bio = 'not committed' WHERE key = 'esa'")
            found = copy_database(self.source, self.copy)
            wanted = records(self.source)
            writer.rollback()
        self.assertIn(b'"bio":"new"', encode(wanted[0]))
        self.assertEqual(records(self.copy), wanted)
        self.assertEqual(schema(self.copy), schema(self.source))
        self.assertEqual((found.program, found.rows["accounts"]), ("manager", 2))

    def test_the_copy_is_one_file_for_its_owner_alone(self) -> None:
        copy_database(self.source, self.copy)
        examine(self.copy)
        names = {path.name for path in self.folder.iterdir()}
        self.assertEqual(names, {self.source.name, self.copy.name})
        self.assertEqual(stat.S_IMODE(self.copy.stat().st_mode), 0o600)

    def test_what_is_damaged_is_found(self) -> None:
        content = bytearray(self.source.read_bytes())
        for place in range(4096, len(content), 4096):
            self.copy.write_bytes(bytes(content[:place] + b"\xff" * 4096 + content[place + 4096 :]))
            self.assertRaises(DamagedFile, examine, self.copy)
        self.copy.write_bytes(content[:-4096])
        self.assertRaises(DamagedFile, examine, self.copy)
        self.copy.write_text("no database at all" * 50)
        self.assertRaises(DamagedFile, examine, self.copy)

    def test_a_row_without_its_account_is_found(self) -> None:
        with closing(sqlite3.connect(self.source)) as connection:
            connection.execute("DELETE FROM accounts WHERE key = 'fajar'")
            connection.commit()
        self.assertIn("belongs to none", str(self.assertRaises(DamagedFile, examine, self.source)))

    def test_somebody_else_s_file_is_refused(self) -> None:
        with closing(sqlite3.connect(self.copy)) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        self.assertRaises(ForeignFile, examine, self.copy)

    def test_a_rehearsal_changes_nothing(self) -> None:
        older = written(self.folder, "manager", 1)
        before = older.read_bytes()
        rehearse(older, "manager")
        self.assertEqual(older.read_bytes(), before)

    def test_a_rehearsal_finds_what_would_not_start(self) -> None:
        self.assertRaises(ForeignFile, rehearse, self.source, "tracker")
        with closing(sqlite3.connect(self.source)) as connection:
            connection.execute("PRAGMA user_version = 99")
        self.assertRaises(NewerFile, rehearse, self.source, "manager")

    def test_every_program_s_file_is_known(self) -> None:
        for program in APPLICATION_IDS:
            path = self.folder / program
            prepare(path, program)
            self.assertEqual(examine(path).program, program)
