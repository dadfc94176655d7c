# SPDX-License-Identifier: MIT
"""The tracker's rows in SQLite; see :class:`xjrelay.storage.interfaces.DirectoryStore`.

This module must not decide who is live: it remembers what it is told.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from xjrelay.storage.interfaces import ComponentRow, TrackerStores
from xjrelay.storage.pool import Cursor, Database

_COLUMNS = "component_id, type, ip_local, port, is_private, extra, status, joined_at, left_at"


class SqliteDirectory:
    """A :class:`~xjrelay.storage.interfaces.DirectoryStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reset(self, now: int) -> Deferred[None]:
        """Mark every row as not live."""

        def reset(cursor: Cursor) -> None:
            cursor.execute("UPDATE components SET status = 0, left_at = ? WHERE status = 1", (now,))

        return self._database.write(reset)

    def joined(self, component: ComponentRow) -> Deferred[None]:
        """Write a row over the one it had."""
        values = (
            component.component_id,
            component.type,
            component.ip_local,
            component.port,
            int(component.is_private),
            json.dumps(dict(component.extra)),
            int(component.live),
            component.joined_at,
            component.left_at,
        )

        def joined(cursor: Cursor) -> None:
            cursor.execute(
                f"INSERT INTO components ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (component_id) DO UPDATE SET type = excluded.type,"
                " ip_local = excluded.ip_local, port = excluded.port,"
                " is_private = excluded.is_private, extra = excluded.extra,"
                " status = excluded.status, joined_at = excluded.joined_at, left_at = excluded.left_at",
                values,
            )

        return self._database.write(joined)

    def left(self, component_id: str, now: int) -> Deferred[None]:
        """Mark a row as not live."""

        def left(cursor: Cursor) -> None:
            cursor.execute(
                "UPDATE components SET status = 0, left_at = ? WHERE component_id = ? AND status = 1",
                (now, component_id),
            )

        return self._database.write(left)

    def rows(self) -> Deferred[list[ComponentRow]]:
        """Every row there ever was."""

        def rows(cursor: Cursor) -> list[ComponentRow]:
            cursor.execute(f"SELECT {_COLUMNS} FROM components ORDER BY joined_at, component_id")
            return [_component(row) for row in cursor.fetchall()]

        return self._database.read(rows)


def open_tracker_stores(reactor: Any, path: Path) -> TrackerStores:
    """The tracker's stores on one prepared file."""
    database = Database(reactor, path)
    return TrackerStores(
        SqliteDirectory(database), lambda: Deferred.fromCoroutine(database.close()), database.load
    )


def _component(row: tuple[Any, ...]) -> ComponentRow:
    component_id, kind, ip_local, port, is_private, extra, status, joined_at, left_at = row
    return ComponentRow(
        component_id=component_id,
        type=kind,
        ip_local=ip_local,
        port=port,
        is_private=bool(is_private),
        extra=json.loads(extra),
        live=bool(status),
        joined_at=joined_at,
        left_at=left_at,
    )
