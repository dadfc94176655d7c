# SPDX-License-Identifier: MIT
"""Files made, upgraded and refused; an upgraded file is a fresh one's equal."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.storage import migrate
from xjrelay.storage.migrate import (
    APPLICATION_IDS,
    DamagedFile,
    FailedStep,
    ForeignFile,
    NewerFile,
    SchemaError,
    UnusableFolder,
    prepare,
)

STEP_1 = "CREATE TABLE notes (text TEXT NOT NULL); -- with; a semicolon in a comment\n"
STEP_2 = "ALTER TABLE notes ADD COLUMN mood TEXT;\nCREATE INDEX notes_mood ON notes (mood);\n"
BROKEN = "CREATE TABLE more (x);\nINSERT INTO nowhere VALUES (1);\n"


def schema(path: Path) -> dict[str, Any]:
    """The whole structure of a file: tables, columns, keys, indexes, triggers, version."""
    with closing(sqlite3.connect(path)) as connection:
        ask = lambda sql: connection.execute(sql).fetchall()  # noqa: E731
        structure: dict[str, Any] = {
            "version": ask("PRAGMA user_version"),
            "application": ask("PRAGMA application_id"),
            "other": ask("SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')"),
        }
        for (table,) in ask("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
            structure[table] = {
                "columns": ask(f"PRAGMA table_xinfo({table})"),
                "keys": ask(f"PRAGMA foreign_key_list({table})"),
                "indexes": {row[1]: row[2:] for row in ask(f"PRAGMA index_list({table})")},
                "indexed": {
                    row[1]: ask(f"PRAGMA index_xinfo({row[1]})") for row in ask(f"PRAGMA index_list({table})")
                },
            }
        return structure


class Files(SynchronousTestCase):
    """One file in one folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.path = self.folder / "manager.sqlite3"

    def refused(self, kind: type[SchemaError], scripts: list[str] | None = None) -> str:
        """The sentence a file is refused with."""
        error = self.assertRaises(SchemaError, prepare, self.path, "manager", scripts)
        self.assertIs(type(error), kind)
        sentence = str(error)
        self.assertIn(str(self.path), sentence)
        self.assertNotIn("\n", sentence)
        return sentence

    def test_a_fresh_file(self) -> None:
        for program, application in APPLICATION_IDS.items():
            path = self.folder / program
            prepare(path, program)
            found = schema(path)
            self.assertEqual(found["version"], [(len(migrate.steps(program)),)])
            self.assertEqual(found["application"], [(application,)])
        self.assertEqual({found.name for found in self.folder.iterdir()}, set(APPLICATION_IDS))

    def test_preparing_again_changes_nothing(self) -> None:
        prepare(self.path, "manager")
        before = schema(self.path)
        prepare(self.path, "manager")
        self.assertEqual(schema(self.path), before)
        self.assertEqual([found.name for found in self.folder.iterdir()], [self.path.name])

    def test_an_upgraded_file_has_a_fresh_ones_schema(self) -> None:
        for program in APPLICATION_IDS:
            scripts = migrate.steps(program)
            fresh = self.folder / f"{program}-fresh"
            prepare(fresh, program)
            for version in range(1, len(scripts) + 1):
                older = self.folder / f"{program}-{version}"
                prepare(older, program, scripts[:version])
                prepare(older, program)
                self.assertEqual(schema(older), schema(fresh), f"{program} from {version}")

    def test_an_upgrade_keeps_the_data_and_a_copy(self) -> None:
        prepare(self.path, "manager", [STEP_1])
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("INSERT INTO notes VALUES ('hello')")
        before = schema(self.path)
        prepare(self.path, "manager", [STEP_1, STEP_2])
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT * FROM notes").fetchall(), [("hello", None)])
        copy = self.path.with_name("manager.sqlite3.v1")
        self.assertEqual(schema(copy), before)
        with closing(sqlite3.connect(copy)) as connection:
            self.assertEqual(connection.execute("SELECT * FROM notes").fetchall(), [("hello",)])

    def test_a_failing_step_leaves_the_file_as_it_was(self) -> None:
        prepare(self.path, "manager", [STEP_1])
        before = schema(self.path)
        sentence = self.refused(FailedStep, [STEP_1, BROKEN])
        self.assertIn("step 2", sentence)
        self.assertEqual(schema(self.path), before)
        prepare(self.path, "manager", [STEP_1, STEP_2])
        self.assertEqual(schema(self.path)["version"], [(2,)])

    def test_a_newer_file(self) -> None:
        prepare(self.path, "manager", [STEP_1, STEP_2])
        self.assertIn("newer", self.refused(NewerFile, [STEP_1]))

    def test_another_programs_file(self) -> None:
        prepare(self.path, "tracker")
        self.refused(ForeignFile)
        self.path.unlink()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        self.refused(ForeignFile)

    def test_no_database_at_all(self) -> None:
        self.path.write_text("once upon a time, in a file far away")
        self.assertIn("not a database", self.refused(DamagedFile))

    def test_a_damaged_file(self) -> None:
        prepare(self.path, "manager")
        content = bytearray(self.path.read_bytes())
        content[4096:12288] = b"\xff" * 8192
        self.path.write_bytes(bytes(content))
        self.refused(DamagedFile)

    def test_a_truncated_file(self) -> None:
        prepare(self.path, "manager")
        self.path.write_bytes(self.path.read_bytes()[:5000])
        self.refused(DamagedFile)

    def test_folders_that_can_not_be_used(self) -> None:
        blocker = self.folder / "blocker"
        blocker.write_text("")
        for path in (self.folder / "none" / "x", blocker / "x", Path("/proc/xjrelay.sqlite3")):
            self.path = path
            self.refused(UnusableFolder)

    def test_a_folder_in_the_way(self) -> None:
        self.path.mkdir()
        self.refused(UnusableFolder)

    def test_a_file_that_another_process_holds(self) -> None:
        prepare(self.path, "manager")
        self.patch(migrate, "_LOCK_TIMEOUT", 0.0)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            self.assertIn("locked", self.refused(UnusableFolder))

    def test_statements_are_cut_where_they_end(self) -> None:
        script = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\nSELECT 1;\nSELECT 2;\nEND;\n-- end\nSELECT ';'"
        prepare(self.path, "manager", ["CREATE TABLE a (x);\n" + script])
        self.assertEqual([row[1] for row in schema(self.path)["other"]], ["t"])
