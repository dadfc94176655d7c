# SPDX-License-Identifier: MIT
"""Rosters in SQLite; see :class:`xjrelay.storage.interfaces.RosterStore`.

This module must not know the subscription rules: it runs the decision it is handed between
reading a pair and writing it, inside the writer's transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from xjrelay.domain.roster import Decision, Pair, Row, Subscription, gains_a_contact
from xjrelay.storage.accounts import SqliteAccounts
from xjrelay.storage.interfaces import Contact, ManagerStores, Profile, RosterFull, UnknownAccount
from xjrelay.storage.mailbox import SqliteMailbox
from xjrelay.storage.pool import Cursor, Database
from xjrelay.storage.relays import SqliteRelays

MAX_COUNTED = 10_000
"""Rosters whose size is remembered."""


class SqliteRoster:
    """A :class:`~xjrelay.storage.interfaces.RosterStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sizes = Sizes()

    def contacts(self, owner: str) -> Deferred[list[Contact]]:
        """A whole roster."""

        def contacts(cursor: Cursor) -> list[Contact]:
            cursor.execute(
                "SELECT a.key, a.username, a.bio, a.updated_at, r.subscription, r.name"
                " FROM roster r JOIN accounts a ON a.key = r.contact WHERE r.owner = ? ORDER BY r.contact",
                (owner,),
            )
            return [
                Contact(Profile(key, username, bio, updated_at), Row(Subscription(subscription), name))
                for key, username, bio, updated_at, subscription, name in cursor.fetchall()
            ]

        return self._database.read(contacts)

    def listeners(self, owner: str) -> Deferred[list[str]]:
        """Keys of the contacts that hear the owner's presence."""

        def listeners(cursor: Cursor) -> list[str]:
            cursor.execute(
                "SELECT contact FROM roster WHERE owner = ? AND subscription IN ('from', 'both')"
                " ORDER BY contact",
                (owner,),
            )
            return [contact for (contact,) in cursor.fetchall()]

        return self._database.read(listeners)

    def pair(self, asker: str, target: str) -> Deferred[Pair]:
        """Both rows of a relation as they are."""
        return self._database.read(lambda cursor: _pair(cursor, asker, target))

    def change(
        self, asker: str, target: str, decide: Callable[[Pair], Decision], most: int | None = None
    ) -> Deferred[Decision]:
        """Read a pair, decide, and write what was decided."""

        def change(cursor: Cursor) -> Decision:
            _require(cursor, asker)
            _require(cursor, target)
            before = _pair(cursor, asker, target)
            decision = decide(before)
            _write(cursor, asker, target, before.asker, decision.pair.asker)
            _write(cursor, target, asker, before.target, decision.pair.target)
            if most is not None and gains_a_contact(before, decision):
                self._sizes.gain(cursor, asker, most)
            return decision

        return self._database.write(change)


def open_manager_stores(reactor: Any, path: Path) -> ManagerStores:
    """The manager's stores on one prepared file."""
    database = Database(reactor, path)
    return ManagerStores(
        accounts=SqliteAccounts(database),
        relays=SqliteRelays(database),
        roster=SqliteRoster(database),
        mailbox=SqliteMailbox(database),
        close=lambda: Deferred.fromCoroutine(database.close()),
        load=database.load,
    )


class Sizes:
    """How many contacts rosters have at the most, so that adding one needn't count the others.

    Only :meth:`gain` adds contacts. Whatever takes some away, or is undone, leaves a number too high, never
    too low; and at the limit it is counted anew. Used in the writer's thread.
    """

    def __init__(self) -> None:
        self._at_most: dict[str, int] = {}

    def gain(self, cursor: Cursor, owner: str, most: int) -> None:
        """A roster has one more, written already.

        Raises:
            RosterFull: it was one too many; what was written goes with the failure.
        """
        size = self._at_most.get(owner, most) + 1
        if size > most and (size := _size(cursor, owner)) > most:
            raise RosterFull(f"there are {most} contacts already")
        if len(self._at_most) >= MAX_COUNTED:
            self._at_most.clear()
        self._at_most[owner] = size


def _size(cursor: Cursor, owner: str) -> int:
    cursor.execute(
        "SELECT count(*) FROM roster WHERE owner = ? AND subscription IN ('to', 'both')", (owner,)
    )
    return int(cursor.fetchone()[0])


def _require(cursor: Cursor, key: str) -> None:
    cursor.execute("SELECT 1 FROM accounts WHERE key = ?", (key,))
    if cursor.fetchone() is None:
        raise UnknownAccount(f"there is no account {key!r}")


def _pair(cursor: Cursor, asker: str, target: str) -> Pair:
    return Pair(_row(cursor, asker, target), _row(cursor, target, asker))


def _row(cursor: Cursor, owner: str, contact: str) -> Row | None:
    cursor.execute("SELECT subscription, name FROM roster WHERE owner = ? AND contact = ?", (owner, contact))
    row = cursor.fetchone()
    return None if row is None else Row(Subscription(row[0]), row[1])


def _write(cursor: Cursor, owner: str, contact: str, before: Row | None, after: Row | None) -> None:
    if after == before:
        return
    if after is None:
        cursor.execute("DELETE FROM roster WHERE owner = ? AND contact = ?", (owner, contact))
        return
    cursor.execute(
        "INSERT INTO roster (owner, contact, subscription, name) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (owner, contact) DO UPDATE SET"
        " subscription = excluded.subscription, name = excluded.name",
        (owner, contact, after.subscription.value, after.name),
    )
