# SPDX-License-Identifier: MIT
"""Who is known to the peers and the accounts of this computer: read only, whether they run or not.

So that a window which meets somebody's key can say that it is one whom another program knows, and show
what was said there too. Blocks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from xjrelay.storage.history import Kept, StoredLine
from xjrelay.storage.interfaces import StoreFailed

_SAID_TO_PEER = (
    "SELECT peer_id, message_id, text, at, incoming, state, '', number, broadcast FROM messages"
    " WHERE peer_id = ? AND number < ? ORDER BY number DESC LIMIT ?"
)
_SAID_TO_USER = (
    "SELECT contact, message_id, text, at, incoming, state, why, number, 0 FROM lines"
    " WHERE contact = ? AND number < ? ORDER BY number DESC LIMIT ?"
)


def called(folder: Path, own: Path, peer_id: str) -> Kept | None:
    """A peer, as those of this computer know it; None where none does.

    Args:
        folder: has a folder for each peer of this computer.
        own: the one among them that is asked first, and whose lines are meant.
        peer_id: the id that is made of the key of whom is looked for.
    """
    mine = own / "peer.sqlite3"
    for file in [mine, *sorted(set(folder.glob("*/peer.sqlite3")) - {mine})]:
        newest = "(SELECT max(number) FROM messages WHERE peer_id = peers.peer_id)" if file == mine else "0"
        question = f"SELECT label, name, {newest} FROM peers WHERE peer_id = ?"
        for label, name, number in _asked(file, question, (peer_id,)):
            return Kept(file, peer_id, label or name, newest=number or 0)
    return None


def users(folder: Path, own: str) -> dict[str, Kept]:
    """Who has proved a key to an account of this computer that showed a certain one, by the key's id.

    Args:
        folder: has a folder for each account.
        own: the id of the key that was shown to them.
    """
    question = (
        "SELECT proved_at, peer_id, contact, spelling, servers,"
        " (SELECT max(number) FROM lines WHERE lines.contact = proofs.contact)"
        " FROM proofs JOIN contacts USING (contact) WHERE own = ? AND own != ''"
    )
    found = [
        (row, file)
        for file in sorted(folder.glob("*/history.sqlite"))
        for row in _asked(file, question, (own,))
    ]
    return {
        peer_id: Kept(file, contact, spelling or contact, servers, number or 0)
        for (_, peer_id, contact, spelling, servers, number), file in sorted(found)
    }


def said(kept: Kept, before: int | None, most: int) -> list[StoredLine]:
    """What was said with somebody over there, oldest first: the last lines, or the last before a number.

    Raises:
        StoreFailed: it can't be read.
    """
    question = _SAID_TO_USER if kept.servers else _SAID_TO_PEER
    try:
        with _opened(kept.file) as database:
            limit = kept.newest + 1 if before is None else before
            rows = database.execute(question, (kept.key, limit, most)).fetchall()
    except sqlite3.Error as error:
        raise StoreFailed(f"{kept.file} can't be read: {error}") from error
    return [
        StoredLine(key, message_id, text, at, bool(incoming), state, why, number, bool(broadcast))
        for key, message_id, text, at, incoming, state, why, number, broadcast in reversed(rows)
    ]


def _asked(file: Path, question: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    try:
        with _opened(file) as database:
            return database.execute(question, values).fetchall()
    except sqlite3.Error:
        return []  # a damaged one says so to whoever starts it; one of before has nothing to say


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    uri = f"{file.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=1.0)) as database:
        yield database
