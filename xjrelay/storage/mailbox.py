# SPDX-License-Identifier: MIT
"""The mailbox in SQLite; see :class:`xjrelay.storage.interfaces.MailboxStore`.

A batch of letters is one operation of the writer: a query for its recipients, then one ``executemany``,
so that a letter costs a few microseconds and the disk's sync is shared by all. Reading goes
through the writer too, because it must see what was stored before it. This module must
not decide who may store, or when: the manager does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.internet.defer import Deferred

from xjrelay.storage.interfaces import Kept, Letter, Mail
from xjrelay.storage.pool import Cursor, Database

MAX_NAMES = 500
"""Recipients in one query."""

MAX_EXPIRED = 1000
"""Rows that one step of :meth:`SqliteMailbox.expire` looks at, so that letters don't wait for it."""


class SqliteMailbox:
    """A :class:`~xjrelay.storage.interfaces.MailboxStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(self, letters: Sequence[Letter], now: int, most: int) -> Deferred[list[Kept]]:
        """Keep letters, in their order."""
        return self._database.write(lambda cursor: _store(cursor, letters, now, most))

    def mail(self, recipient: str, resource: str, after: int, limit: int) -> Deferred[list[Mail]]:
        """The oldest rows behind ``after``."""

        def mail(cursor: Cursor) -> list[Mail]:
            cursor.execute(
                "SELECT row, frame FROM mailbox WHERE recipient = ? AND resource IN ('', ?) AND row > ?"
                " ORDER BY row LIMIT ?",
                (recipient, resource, after, limit),
            )
            return [Mail(row, frame) for row, frame in cursor.fetchall()]

        return self._database.write(mail)

    def taken(self, rows: Iterable[tuple[str, int]]) -> Deferred[None]:
        """Remove rows."""
        values = list(rows)

        def taken(cursor: Cursor) -> None:
            cursor.executemany("DELETE FROM mailbox WHERE recipient = ? AND row = ?", values)

        return self._database.write(taken)

    def expire(self, before: int) -> Deferred[int]:
        """Remove the oldest rows that were stored before a time."""

        def expire(cursor: Cursor) -> int:
            cursor.execute(
                "DELETE FROM mailbox WHERE stored_at < ? AND row IN"
                " (SELECT row FROM mailbox ORDER BY row LIMIT ?)",
                (before, MAX_EXPIRED),
            )
            return cursor.rowcount

        return self._database.write(expire)


def _store(cursor: Cursor, letters: Sequence[Letter], now: int, most: int) -> list[Kept]:
    outcomes = [Kept.STORED] * len(letters)
    groups = _by_recipient(letters)
    counts = _counts(cursor, list(groups))
    for recipient, places in groups.items():
        count = counts.get(recipient)
        if count is None:
            for place in places:
                outcomes[place] = Kept.UNKNOWN
        elif count + len(places) > most:
            _fill(cursor, letters, places, max(0, most - count), outcomes)
    cursor.executemany(
        "INSERT OR IGNORE INTO mailbox (recipient, resource, sender, id, stored_at, frame)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [
            (letter.recipient, letter.resource, letter.sender, letter.id, now, letter.frame)
            for letter, kept in zip(letters, outcomes, strict=True)
            if kept is Kept.STORED
        ],
    )
    return outcomes


def _by_recipient(letters: Sequence[Letter]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, letter in enumerate(letters):
        found.setdefault(letter.recipient, []).append(place)
    return found


def _counts(cursor: Cursor, recipients: Sequence[str]) -> dict[str, int]:
    """How many messages each mailbox holds; one of an account that isn't there is left out."""
    counts: dict[str, int] = {}
    for first in range(0, len(recipients), MAX_NAMES):
        names = recipients[first : first + MAX_NAMES]
        cursor.execute(
            "SELECT key, (SELECT count(*) FROM mailbox WHERE recipient = key) FROM accounts"
            f" WHERE key IN ({','.join('?' * len(names))})",
            names,
        )
        counts.update(cursor.fetchall())
    return counts


def _fill(
    cursor: Cursor, letters: Sequence[Letter], places: Sequence[int], room: int, outcomes: list[Kept]
) -> None:
    """Say of each letter to a mailbox that is almost full whether it is in; what is there already is."""
    new: set[tuple[str, str]] = set()
    for place in places:
        letter = letters[place]
        name = (letter.sender, letter.id)
        cursor.execute(
            "SELECT 1 FROM mailbox WHERE recipient = ? AND sender = ? AND id = ?", (letter.recipient, *name)
        )
        if name in new or cursor.fetchone() is not None:
            continue
        if len(new) < room:
            new.add(name)
        else:
            outcomes[place] = Kept.FULL
