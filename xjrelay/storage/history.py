# SPDX-License-Identifier: MIT
"""What a window remembers of one account on SQLite: lines, their states, how far was read.

The library forgets a message once the application has it and its outcome is known; a person wants to
read it again tomorrow. Must not import a server or a reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred

from xjrelay.storage.migrate import prepare
from xjrelay.storage.pool import Cursor, Database

MAX_LINES: Final = 100_000
"""Lines kept of one contact; the oldest go first."""
MAX_UNREAD: Final = 1000
"""Unread lines of one contact are counted up to here."""
_TRIM_EVERY: Final = 500  # lines: looking for the oldest costs a walk along the index

_LINE = "contact, incoming, message_id, text, at, state, why"


@dataclass(frozen=True, slots=True)
class StoredLine:
    """One text between us and a contact.

    Attributes:
        contact: the other one's key.
        message_id: unique with that contact, in its direction.
        at: when, milliseconds.
        state: ``sending``, ``stored``, ``delivered`` or ``failed`` for ours, ``received`` for theirs.
        why: for ``failed``: the reason, as its owner wrote it.
        number: rises in the order of the store; 0 for one that is not in it yet.
        broadcast: it was said to all.
    """

    contact: str
    message_id: str
    text: str = field(repr=False)
    at: int
    incoming: bool = False
    state: str = "sending"
    why: str = ""
    number: int = 0
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """A key that a contact has proved on a direct link.

    Attributes:
        contact: its key among contacts.
        peer_id: the id of the key that was proved.
        own: the id of ours at the other end; empty for one that is not kept.
        servers: the tracker of both users, as typed.
        at: when, milliseconds.
    """

    contact: str
    peer_id: str
    own: str
    servers: str
    at: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Somebody in the file of another program of this computer: who it is there, and the lines with it.

    Attributes:
        file: that program's.
        key: who it is in there: a contact of an account, or a peer's id.
        name: what it is called there.
        servers: the tracker of the account; empty for a peer.
        newest: the number of the last line when this was looked up; 0 for none, or none to be shown.
    """

    file: Path
    key: str
    name: str
    servers: str = ""
    newest: int = 0


class History:
    """The lines of one account.

    Args:
        database: prepared for ``window``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, line: StoredLine, spelling: str) -> Deferred[StoredLine | None]:
        """Keep a line; fires with it numbered, or with None where that id is known.

        Args:
            line: what was said.
            spelling: the contact's name as it is written.
        """

        def add(cursor: Cursor) -> StoredLine | None:
            _call(cursor, line.contact, spelling)
            values = (line.contact, int(line.incoming), line.message_id, line.text, line.at)
            cursor.execute(
                f"INSERT INTO lines ({_LINE}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (*values, line.state, line.why),
            )
            if not cursor.rowcount:
                return None
            number = cursor.lastrowid or 0
            _trim(cursor, line.contact, number)
            return _stored((*values, line.state, line.why, number))

        return self._database.write(add)

    def settle(self, message_id: str, state: str, why: str = "") -> Deferred[StoredLine | None]:
        """One of ours is in another state; fires with it, or with None where it is unknown."""

        def settle(cursor: Cursor) -> StoredLine | None:
            cursor.execute(
                "UPDATE lines SET state = ?, why = ? WHERE incoming = 0 AND message_id = ?"
                f" RETURNING {_LINE}, number",
                (state, why, message_id),
            )
            row = cursor.fetchone()
            return None if row is None else _stored(row)

        return self._database.write(settle)

    def page(self, contact: str, before: int | None, most: int) -> Deferred[list[StoredLine]]:
        """What was said with a contact, oldest first: the last lines, or the last before a number."""

        def page(cursor: Cursor) -> list[StoredLine]:
            cursor.execute(
                f"SELECT {_LINE}, number FROM lines WHERE contact = ? AND number < ?"
                " ORDER BY number DESC LIMIT ?",
                (contact, 2**63 - 1 if before is None else before, most),
            )
            return [_stored(row) for row in reversed(cursor.fetchall())]

        return self._database.read(page)

    def last(self) -> Deferred[dict[str, StoredLine]]:
        """The last line with each contact, by key."""

        def last(cursor: Cursor) -> dict[str, StoredLine]:
            cursor.execute(
                f"SELECT {_LINE}, number FROM lines"
                " WHERE number IN (SELECT max(number) FROM lines GROUP BY contact)"
            )
            return {row[0]: _stored(row) for row in cursor.fetchall()}

        return self._database.read(last)

    def spellings(self) -> Deferred[dict[str, str]]:
        """Everybody there are lines with: key to name."""

        def spellings(cursor: Cursor) -> dict[str, str]:
            cursor.execute("SELECT contact, spelling FROM contacts WHERE spelling != ''")
            return dict(cursor.fetchall())

        return self._database.read(spellings)

    def under_way(self) -> Deferred[list[StoredLine]]:
        """Ours without an outcome, in order."""

        def under_way(cursor: Cursor) -> list[StoredLine]:
            cursor.execute(f"SELECT {_LINE}, number FROM lines WHERE state = 'sending' ORDER BY number")
            return [_stored(row) for row in cursor.fetchall()]

        return self._database.read(under_way)

    def unread(self) -> Deferred[dict[str, int]]:
        """How many lines of theirs are beyond what was read; contacts without any are left out."""

        def unread(cursor: Cursor) -> dict[str, int]:
            cursor.execute("SELECT contact, read_to FROM contacts")
            found = {}
            for contact, read_to in cursor.fetchall():
                cursor.execute(
                    "SELECT count(*) FROM (SELECT 1 FROM lines WHERE contact = ? AND number > ?"
                    " AND incoming = 1 LIMIT ?)",
                    (contact, read_to, MAX_UNREAD),
                )
                if count := cursor.fetchone()[0]:
                    found[contact] = count
            return found

        return self._database.read(unread)

    def marks(self) -> Deferred[dict[str, int]]:
        """How far each conversation was read, by key."""

        def marks(cursor: Cursor) -> dict[str, int]:
            cursor.execute("SELECT contact, read_to FROM contacts")
            return dict(cursor.fetchall())

        return self._database.read(marks)

    def mark(self, contact: str, number: int) -> Deferred[None]:
        """A conversation was read up to a number."""

        def mark(cursor: Cursor) -> None:
            cursor.execute(
                "INSERT INTO contacts (contact, spelling, read_to) VALUES (?, '', ?)"
                " ON CONFLICT (contact) DO UPDATE SET read_to = max(read_to, excluded.read_to)",
                (contact, number),
            )

        return self._database.write(mark)

    def forget(self, contact: str) -> Deferred[None]:
        """Remove all that was said with a contact."""

        def forget(cursor: Cursor) -> None:
            cursor.execute("DELETE FROM lines WHERE contact = ?", (contact,))
            cursor.execute("DELETE FROM contacts WHERE contact = ?", (contact,))
            cursor.execute("DELETE FROM proofs WHERE contact = ?", (contact,))

        return self._database.write(forget)

    def prove(self, proof: Proof, spelling: str) -> Deferred[None]:
        """A contact has proved a key; what it proved before is forgotten.

        Args:
            proof: which.
            spelling: the contact's name as it is written.
        """

        def prove(cursor: Cursor) -> None:
            _call(cursor, proof.contact, spelling)
            cursor.execute(
                "INSERT OR REPLACE INTO proofs (contact, peer_id, own, servers, proved_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (proof.contact, proof.peer_id, proof.own, proof.servers, proof.at),
            )

        return self._database.write(prove)

    def proofs(self) -> Deferred[list[Proof]]:
        """The last key that each contact has proved."""

        def proofs(cursor: Cursor) -> list[Proof]:
            cursor.execute("SELECT contact, peer_id, own, servers, proved_at FROM proofs")
            return [Proof(*row) for row in cursor.fetchall()]

        return self._database.read(proofs)

    def close(self) -> Deferred[None]:
        """Finish what is queued, and let go of the file."""
        return Deferred.fromCoroutine(self._database.close())


def open_history(reactor: Any, path: Path) -> History:
    """The history in a file, which is made or upgraded.

    Args:
        reactor: the real one.
        path: its folder must exist.

    Raises:
        SchemaError: the file can't be used.
    """
    prepare(path, "window")
    return History(Database(reactor, path))


OpenHistory = Callable[[Path], History]


def _call(cursor: Cursor, contact: str, spelling: str) -> None:
    cursor.execute(
        "INSERT INTO contacts (contact, spelling, read_to) VALUES (?, ?, 0)"
        " ON CONFLICT (contact) DO UPDATE SET spelling = excluded.spelling",
        (contact, spelling),
    )


def _trim(cursor: Cursor, contact: str, number: int) -> None:
    if number % _TRIM_EVERY == 0:
        cursor.execute(
            "DELETE FROM lines WHERE contact = ? AND state != 'sending' AND number <="
            " (SELECT number FROM lines WHERE contact = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (contact, contact, MAX_LINES),
        )


def _stored(row: tuple[Any, ...]) -> StoredLine:
    contact, incoming, message_id, text, at, state, why, number = row
    return StoredLine(contact, message_id, text, at, bool(incoming), state, why, number)
