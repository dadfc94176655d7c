# SPDX-License-Identifier: MIT
"""The manager's names for relays in SQLite; see :class:`xjrelay.storage.interfaces.RelayStore`.

A name is a number given once to an identity. This module must not decide whether a relay may
come: that is the server's.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred

from xjrelay.storage.interfaces import RelayRow
from xjrelay.storage.pool import Cursor, Database


class SqliteRelays:
    """A :class:`~xjrelay.storage.interfaces.RelayStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def name(self, relay_id: str, ip_local: str, port: int, now: int) -> Deferred[RelayRow]:
        """The row of a relay that said hello."""

        def name(cursor: Cursor) -> RelayRow:
            cursor.execute("SELECT relay_id, number FROM relays")
            numbers: dict[str, int] = dict(cursor.fetchall())
            number = numbers.get(relay_id) or first_free(numbers.values())
            cursor.execute(
                "INSERT INTO relays (relay_id, number, ip_local, port, seen_at, live)"
                " VALUES (?, ?, ?, ?, ?, 1)"
                " ON CONFLICT (relay_id) DO UPDATE SET ip_local = excluded.ip_local, port = excluded.port,"
                " seen_at = excluded.seen_at, live = 1",
                (relay_id, number, ip_local, port, now),
            )
            return RelayRow(relay_id, relay_name(number), ip_local, port, now)

        return self._database.write(name)

    def rows(self) -> Deferred[list[RelayRow]]:
        """Every relay ever named."""

        def rows(cursor: Cursor) -> list[RelayRow]:
            cursor.execute("SELECT relay_id, number, ip_local, port, seen_at FROM relays ORDER BY number")
            return [
                RelayRow(relay_id, relay_name(number), ip_local, port, seen_at)
                for relay_id, number, ip_local, port, seen_at in cursor.fetchall()
            ]

        return self._database.read(rows)

    def live(self) -> Deferred[list[str]]:
        """Names of the relays that have not left."""

        def live(cursor: Cursor) -> list[str]:
            cursor.execute("SELECT number FROM relays WHERE live ORDER BY number")
            return [relay_name(number) for (number,) in cursor.fetchall()]

        return self._database.read(live)

    def left(self, relay_id: str) -> Deferred[None]:
        """A relay is here no more."""

        def left(cursor: Cursor) -> None:
            cursor.execute("UPDATE relays SET live = 0 WHERE relay_id = ?", (relay_id,))

        return self._database.write(left)


def relay_name(number: int) -> str:
    """The name that goes with a number."""
    return f"relay{number}"


def first_free(taken: Iterable[int]) -> int:
    """The lowest number from 1 that is not taken."""
    numbers = set(taken)
    return next(number for number in range(1, len(numbers) + 2) if number not in numbers)
