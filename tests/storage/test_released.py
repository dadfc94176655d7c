# SPDX-License-Identifier: MIT
"""Every schema that was ever released is upgraded with its data, and a copy of it is kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.storage.test_migrate import schema
from xjrelay.storage.backup import examine
from xjrelay.storage.migrate import prepare, steps
from xjrelay.storage.transfer import Account, Ban, Contact, End, Letter, Record, export

RELEASED = Path(__file__).parent / "released"
"""A file a schema, as that schema wrote it, with data in every table it had."""
PROGRAMS = ("manager", "tracker", "peer", "window")

ESA = Account(
    username="Esa",
    salt=b"\x00\x11",
    iterations=15000,
    stored_key=b"\x01\x02",
    server_key=b"\x03\x04",
    bio="di pantai",
    updated_at=1700000000000,
    last_session=7,
    revoked=0,
)
LETTER = Letter(
    recipient="fajar",
    resource="",
    sender="esa",
    id="m1",
    stored_at=1700000000003,
    frame='{"stanza":"message","from":"Esa","to":"fajar","body":"halo","id":"m1"}',
)

BAN = Ban(username="fajar", reason="spam", since=1700000000004, until=1900000000000)


def written(folder: Path, program: str, version: int) -> Path:
    """A file of that schema."""
    path = folder / f"{program}-{version}.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((RELEASED / f"{program}-{version:03}.sql").read_text(encoding="utf-8"))
    return path


def records(path: Path) -> list[Record]:
    """What a manager's file holds, without the first line."""
    return list(export(path, "test", 0))[1:]


class ReleasedTests(SynchronousTestCase):
    """From each to the newest."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)

    def test_every_schema_is_there(self) -> None:
        for program in PROGRAMS:
            wanted = [f"{program}-{version:03}.sql" for version in range(1, len(steps(program)) + 1)]
            self.assertEqual(sorted(path.name for path in RELEASED.glob(f"{program}-*.sql")), wanted)

    def test_each_is_what_its_steps_make(self) -> None:
        for program in PROGRAMS:
            for version in range(1, len(steps(program)) + 1):
                made = self.folder / "made"
                made.unlink(missing_ok=True)
                prepare(made, program, steps(program)[:version])
                self.assertEqual(schema(written(self.folder, program, version)), schema(made))

    def test_each_becomes_the_newest_and_keeps_a_copy(self) -> None:
        for program in PROGRAMS:
            fresh = self.folder / program
            prepare(fresh, program)
            for version in range(1, len(steps(program)) + 1):
                path = written(self.folder, program, version)
                before = examine(path)
                prepare(path, program)
                self.assertEqual(schema(path), schema(fresh), f"{program} from {version}")
                after = examine(path)
                self.assertEqual({name: after.rows[name] for name in before.rows}, before.rows)
                if version < len(steps(program)):
                    self.assertEqual(examine(path.with_name(f"{path.name}.v{version}")), before)

    def test_a_manager_s_accounts_rosters_and_mail_come_through(self) -> None:
        for version in range(1, len(steps("manager")) + 1):
            path = written(self.folder, "manager", version)
            prepare(path, "manager")
            found = records(path)
            esa, _fajar, *rest = found
            assert isinstance(esa, Account)
            self.assertEqual(esa.revoked, 5 if version >= 3 else 0)
            esa.revoked = 0
            self.assertEqual(esa, ESA)
            self.assertEqual(
                rest,
                [
                    Contact(owner="esa", contact="fajar", subscription="to", name="Jar"),
                    Contact(owner="fajar", contact="esa", subscription="from", name="Esa"),
                    *([LETTER] if version >= 2 else []),
                    *([BAN] if version >= 4 else []),
                    End(accounts=2, contacts=2, letters=int(version >= 2), bans=int(version >= 4)),
                ],
            )
