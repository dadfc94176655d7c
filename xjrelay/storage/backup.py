# SPDX-License-Identifier: MIT
"""Copies of a program's database: made while it runs, and proved good before they are relied on.

SQLite's own backup is used, which gives the file as it was at one moment, whatever is written
meanwhile and whatever stands in the WAL file. Everything here is synchronous: it runs in commands,
not in servers. This module must not import Twisted.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from xjrelay.storage.migrate import APPLICATION_IDS, DamagedFile, ForeignFile, prepare

_PROGRAMS = {number: program for program, number in APPLICATION_IDS.items()}


@dataclass(frozen=True, slots=True)
class Examined:
    """What a database file was found to be.

    Args:
        program: whose it is.
        version: of its schema.
        rows: how many each table has.
    """

    program: str
    version: int
    rows: dict[str, int] = field(default_factory=dict)


def copy_database(source: Path, target: Path) -> Examined:
    """Copy a database that may be in use; the copy is one file, whole, and examined.

    Args:
        source: the file.
        target: where the copy goes; there is nothing yet.

    Raises:
        SchemaError: the source, or the copy made of it, is no good database of ours.
    """
    target.touch(mode=0o600)  # SQLite would make it as the umask says
    try:
        with (
            closing(sqlite3.connect(_read_only(source), uri=True)) as connection,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, with no WAL beside it
    except sqlite3.Error as error:
        raise DamagedFile(f"the database {source} can't be copied: {error}") from error
    return examine(target)


def examine(path: Path) -> Examined:
    """Read a whole database, every page and every reference; it is not changed.

    Raises:
        DamagedFile: something in it is broken.
        ForeignFile: it is a database, and of no program of ours.
    """
    try:
        with closing(sqlite3.connect(_read_only(path), uri=True)) as connection:
            return _examine(connection, path)
    except sqlite3.Error as error:
        raise DamagedFile(f"the database {path} is damaged: {error}") from error


def rehearse(path: Path, program: str) -> None:
    """Prove that this version would start on a database: the upgrade is done on a copy.

    Raises:
        SchemaError: it would not, and why.
    """
    with tempfile.TemporaryDirectory(prefix="xjrelay-") as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        prepare(copy, program)
        examine(copy)


def _examine(connection: sqlite3.Connection, path: Path) -> Examined:
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise DamagedFile(f"the database {path} is damaged: {' '.join(str(verdict).split())}")
    stray = connection.execute("PRAGMA foreign_key_check").fetchone()
    if stray is not None:
        raise DamagedFile(
            f"the database {path} is damaged: a row of {stray[0]} belongs to none of {stray[2]}"
        )
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if owner not in _PROGRAMS:
        raise ForeignFile(f"the database {path} belongs to no program of this suite")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    ).fetchall()
    rows = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in names}
    return Examined(_PROGRAMS[owner], int(version), rows)


def _read_only(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro"
