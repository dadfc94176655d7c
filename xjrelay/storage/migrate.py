# SPDX-License-Identifier: MIT
"""Brings a program's database file to the schema this version knows, or says why not.

Steps are numbered files (``schema/<program>/NNN.sql``), each applied in one transaction together
with the number it leaves behind (``pragma user_version``), so a file is always at one whole
step. ``pragma application_id`` tells our files from others'. Before an older file is upgraded,
a copy of it is kept beside it. Everything here is synchronous: it runs at start-up, before
there is a reactor to block. This module must not import Twisted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from xjrelay.storage.interfaces import StoreError

APPLICATION_IDS = {"tracker": 0x786A7431, "manager": 0x786A6D31, "peer": 0x786A7031, "window": 0x786A7731}
"""``xjt1``, ``xjm1``, ``xjp1`` and ``xjw1``: what ``file(1)`` and we know our files by."""

_LOCK_TIMEOUT = 5.0  # seconds to wait for another process that has the file


class SchemaError(StoreError):
    """The database can't be used; the text is one sentence for the operator."""


class NewerFile(SchemaError):
    """A newer version of the program has written the file."""


class ForeignFile(SchemaError):
    """The file belongs to another program."""


class DamagedFile(SchemaError):
    """The file is no database, or a broken one."""


class UnusableFolder(SchemaError):
    """The file can't be opened or written where it is."""


class FailedStep(SchemaError):
    """A step of the upgrade failed; the file is as it was before that step."""


def steps(program: str) -> list[str]:
    """The SQL of every step of a program, in order.

    Args:
        program: ``tracker``, ``manager``, ``peer`` or ``window``.
    """
    folder = files("xjrelay.storage").joinpath("schema", program)
    scripts = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [entry.read_text(encoding="utf-8") for _, entry in scripts]


def prepare(path: Path, program: str, scripts: Sequence[str] | None = None) -> None:
    """Make the file, or upgrade it, or refuse it.

    Args:
        path: the file; its folder must exist.
        program: ``tracker``, ``manager``, ``peer`` or ``window``.
        scripts: the steps, by default the program's own.

    Raises:
        SchemaError: one of its subclasses, with one sentence that names the file.
    """
    scripts = steps(program) if scripts is None else scripts
    _refuse_no_database(path)
    try:
        with closing(sqlite3.connect(path, timeout=_LOCK_TIMEOUT, isolation_level=None)) as connection:
            version = _checked_version(connection, path, program, len(scripts))
            if 0 < version < len(scripts):
                _keep_copy(connection, path, version)
            for number in range(version + 1, len(scripts) + 1):
                _apply(connection, path, number, scripts[number - 1], APPLICATION_IDS[program])
            _try_to_write(connection)
    except sqlite3.OperationalError as error:
        raise UnusableFolder(f"the database {path} can't be opened or written: {error}") from error
    except sqlite3.DatabaseError as error:
        raise DamagedFile(f"the database {path} is damaged: {error}") from error


def _refuse_no_database(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnusableFolder(f"the database {path} can't be read: {error.strerror}") from error
    if head and head != b"SQLite format 3\0":
        raise DamagedFile(f"the file {path} is not a database")


def _checked_version(connection: sqlite3.Connection, path: Path, program: str, newest: int) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if owner != APPLICATION_IDS[program] and not (owner == 0 and version == 0 and empty):
        raise ForeignFile(f"the database {path} is not a {program}'s")
    if version > newest:
        raise NewerFile(
            f"the database {path} is of version {version}, newer than the {newest} this program knows: "
            "install the newer program, or use the copy that was kept at the upgrade"
        )
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DamagedFile(f"the database {path} is damaged: {' '.join(str(verdict).split())}")
    return version


def _keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> None:
    # SQLite's own backup, because what was last committed may still stand in the WAL file.
    with closing(sqlite3.connect(path.with_name(f"{path.name}.v{version}"))) as copy:
        connection.backup(copy)


def _apply(connection: sqlite3.Connection, path: Path, number: int, script: str, owner: int) -> None:
    # DDL and both pragmas are transactional in SQLite, so a step is there whole or not at all.
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _statements(script):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {owner}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if not connection.in_transaction:
            raise  # the transaction never began, or the disk ended it: not the step's fault
        connection.rollback()
        raise FailedStep(f"step {number} of the upgrade of {path} failed: {error}") from error


def _statements(script: str) -> list[str]:
    """A script cut into statements, since ``executescript`` would commit behind our back."""
    found: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return [*found, pending] if pending.strip() else found


def _try_to_write(connection: sqlite3.Connection) -> None:
    # The only sure test of a folder: in WAL mode, which stays with the file, a write makes files there.
    connection.execute("PRAGMA journal_mode = WAL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version = {int(version)}")
    connection.execute("COMMIT")
