# SPDX-License-Identifier: MIT
"""A window's history on SQLite without threads: the same SQL, at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from twisted.internet.defer import Deferred, execute

from xjrelay.storage.history import History
from xjrelay.storage.migrate import prepare
from xjrelay.storage.pool import Database

T = TypeVar("T")


class _Direct:
    """What a history asks of a database."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    def write(self, operation: Callable[[sqlite3.Cursor], T]) -> Deferred[T]:
        return execute(operation, self._connection.cursor())

    read = write

    async def close(self) -> None:
        self._connection.close()


def open_directly(path: Path) -> History:
    """A history in a file, made or upgraded as the real one is."""
    prepare(path, "window")
    return History(cast(Database, _Direct(path)))
