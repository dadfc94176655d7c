# SPDX-License-Identifier: MIT
"""Who is known, by key, to the peers of this computer: read only, whether they run or not.

So that a program which meets somebody's key elsewhere can say that it is the same one. Blocks.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def called(folder: Path, peer_id: str) -> str | None:
    """What a peer is called by those of this computer that know it; None where none does.

    Args:
        folder: has a folder for each peer of this computer.
        peer_id: the id that is made of its key.
    """
    for file in sorted(folder.glob("*/peer.sqlite3")):
        try:
            with closing(
                sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)
            ) as database:
                found = database.execute(
                    "SELECT label, name FROM peers WHERE peer_id = ?", (peer_id,)
                ).fetchone()
        except sqlite3.Error:
            continue  # a damaged one says so to whoever starts it
        if found is not None:
            return str(found[0] or found[1])
    return None
