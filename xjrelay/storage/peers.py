# SPDX-License-Identifier: MIT
"""A peer's memory on SQLite: whom it knows, its outbox, its history.

A message is one row from the moment it is said: it waits, goes, and stays as history. That no row
can stand twice is what makes "once" true over restarts of either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred

from xjrelay.domain.peers import Known
from xjrelay.storage.interfaces import MAX_HISTORY, OutboxFull, PeerMessage, PeerStores
from xjrelay.storage.pool import Cursor, Database

MAX_WAITING: Final = 1000
"""Messages that may wait for one peer."""
_TRIM_EVERY: Final = 100  # messages: looking for the oldest costs a walk along the index

_PEER = "peer_id, name, host, port, met_at, seen_at, label, kept"
_MESSAGE = "peer_id, message_id, text, at, incoming, broadcast, state"


class SqlitePeers:
    """A :class:`~xjrelay.storage.interfaces.PeerStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def peers(self) -> Deferred[list[Known]]:
        """Everybody we have met, by id."""

        def peers(cursor: Cursor) -> list[Known]:
            cursor.execute(f"SELECT {_PEER} FROM peers ORDER BY peer_id")
            return [_known(row) for row in cursor.fetchall()]

        return self._database.read(peers)

    def keep(self, peer: Known) -> Deferred[None]:
        """Write somebody over the row there was."""
        host, port = peer.place or (None, None)
        times = (peer.met_at, peer.seen_at)
        values = (peer.peer_id, peer.name, host, port, *times, peer.label, int(peer.kept))

        def keep(cursor: Cursor) -> None:
            cursor.execute(
                f"INSERT INTO peers ({_PEER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (peer_id) DO UPDATE SET name = excluded.name, host = excluded.host,"
                " port = excluded.port, met_at = excluded.met_at, seen_at = excluded.seen_at,"
                " label = excluded.label, kept = excluded.kept",
                values,
            )

        return self._database.write(keep)

    def forget(self, peer_id: str) -> Deferred[None]:
        """Remove somebody, and all that was said."""

        def forget(cursor: Cursor) -> None:
            cursor.execute("DELETE FROM messages WHERE peer_id = ?", (peer_id,))
            cursor.execute("DELETE FROM peers WHERE peer_id = ?", (peer_id,))

        return self._database.write(forget)

    def say(self, message: PeerMessage) -> Deferred[PeerMessage]:
        """Put a message into the outbox."""

        def say(cursor: Cursor) -> PeerMessage:
            cursor.execute(
                "SELECT count(*) FROM messages WHERE peer_id = ? AND state = 'waiting'", (message.peer_id,)
            )
            if cursor.fetchone()[0] >= MAX_WAITING:
                raise OutboxFull(f"{MAX_WAITING} messages wait for that peer already")
            return _insert(cursor, message, MAX_HISTORY)

        return self._database.write(say)

    def hear(self, message: PeerMessage, most: int) -> Deferred[PeerMessage | None]:
        """Keep what was heard, unless it was heard before."""

        def hear(cursor: Cursor) -> PeerMessage | None:
            cursor.execute(
                "SELECT 1 FROM messages WHERE peer_id = ? AND incoming = 1 AND message_id = ?",
                (message.peer_id, message.message_id),
            )
            return None if cursor.fetchone() else _insert(cursor, message, most)

        return self._database.write(hear)

    def waiting(self, peer_id: str, after: int, most: int) -> Deferred[list[PeerMessage]]:
        """What waits for a peer, in order."""

        def waiting(cursor: Cursor) -> list[PeerMessage]:
            cursor.execute(
                f"SELECT {_MESSAGE}, number FROM messages"
                " WHERE peer_id = ? AND state = 'waiting' AND number > ? ORDER BY number LIMIT ?",
                (peer_id, after, most),
            )
            return [_message(row) for row in cursor.fetchall()]

        return self._database.read(waiting)

    def settle(self, peer_id: str, message_ids: Sequence[str], state: str) -> Deferred[list[str]]:
        """Messages that waited have gone, or one that was to go has not."""
        before = "sent" if state == "waiting" else "waiting"

        def settle(cursor: Cursor) -> list[str]:
            settled = []
            for message_id in message_ids:
                cursor.execute(
                    "UPDATE messages SET state = ?"
                    " WHERE peer_id = ? AND incoming = 0 AND message_id = ? AND state = ?",
                    (state, peer_id, message_id, before),
                )
                if cursor.rowcount:
                    settled.append(message_id)
            return settled

        return self._database.write(settle)

    def history(self, peer_id: str, before: int | None, most: int) -> Deferred[list[PeerMessage]]:
        """What was said with a peer, oldest first."""

        def history(cursor: Cursor) -> list[PeerMessage]:
            cursor.execute(
                f"SELECT {_MESSAGE}, number FROM messages WHERE peer_id = ? AND number < ?"
                " ORDER BY number DESC LIMIT ?",
                (peer_id, 2**63 - 1 if before is None else before, most),
            )
            return [_message(row) for row in reversed(cursor.fetchall())]

        return self._database.read(history)

    def last(self) -> Deferred[dict[str, PeerMessage]]:
        """The last message with each peer."""

        def last(cursor: Cursor) -> dict[str, PeerMessage]:
            cursor.execute(
                f"SELECT {_MESSAGE}, number FROM messages"
                " WHERE number IN (SELECT max(number) FROM messages GROUP BY peer_id)"
            )
            return {row[0]: _message(row) for row in cursor.fetchall()}

        return self._database.read(last)


def open_peer_stores(reactor: Any, path: Path) -> PeerStores:
    """A peer's stores on one prepared file."""
    database = Database(reactor, path)
    return PeerStores(
        SqlitePeers(database), lambda: Deferred.fromCoroutine(database.close()), database.load
    )


def _insert(cursor: Cursor, message: PeerMessage, most: int) -> PeerMessage:
    flags = (int(message.incoming), int(message.broadcast))
    values = (message.peer_id, message.message_id, message.text, message.at, *flags, message.state)
    cursor.execute(f"INSERT INTO messages ({_MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    number = cursor.lastrowid or 0
    if number % _TRIM_EVERY == 0:
        cursor.execute(
            "DELETE FROM messages WHERE peer_id = ? AND state != 'waiting' AND number <="
            " (SELECT number FROM messages WHERE peer_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (message.peer_id, message.peer_id, most),
        )
    return _message((*values, number))


def _known(row: tuple[Any, ...]) -> Known:
    peer_id, name, host, port, met_at, seen_at, label, kept = row
    place = None if host is None else (host, port)
    return Known(peer_id, name, place, met_at, seen_at, label, bool(kept))


def _message(row: tuple[Any, ...]) -> PeerMessage:
    peer_id, message_id, text, at, incoming, broadcast, state, number = row
    return PeerMessage(peer_id, message_id, text, at, bool(incoming), bool(broadcast), state, number)
