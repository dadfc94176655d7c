# SPDX-License-Identifier: MIT
"""What was said with the same people behind the other door: read from there, and shown as one with ours.

A friend who is a user at the servers and a peer is one person, once it has proved that on a direct link.
Each world keeps writing in its own place; this one only reads the other. Must not import a toolkit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from xjrelay.gui.world import Kind, Line, Progress
from xjrelay.storage.history import Kept, StoredLine
from xjrelay.storage.interfaces import StoreError

_log = Logger()

PROGRESS: Final = {
    "sending": Progress.SENDING,
    "waiting": Progress.SENDING,
    "stored": Progress.STORED,
    "sent": Progress.SENT,
    "delivered": Progress.DELIVERED,
    "failed": Progress.FAILED,
    "received": Progress.RECEIVED,
}
"""What the states of both stores are to a person."""

Read = Callable[[Kept, int | None, int], Deferred[list[StoredLine]]]
"""Reads what was said over there: the last lines, or the last before a number."""


def nobody(peer_id: str) -> Deferred[Kept | None]:
    """Finds nobody."""
    return succeed(None)


def nothing(kept: Kept, before: int | None, most: int) -> Deferred[list[StoredLine]]:
    """Reads nothing."""
    return succeed([])


@dataclass(frozen=True, slots=True)
class Peers:
    """How the peers of this computer are asked.

    Attributes:
        find: somebody that they know, given its id; None for an unknown one.
        read: what they have said with it.
    """

    find: Callable[[str], Deferred[Kept | None]] = nobody
    read: Read = nothing


class Elsewhere:
    """The people of one world that the other one knows too.

    Args:
        kind: the other world.
        read: reads what is kept there.

    Attributes:
        kept: who is known there, by the key here.
    """

    def __init__(self, kind: Kind, read: Read) -> None:
        self._kind = kind
        self._read = read
        self.kept: dict[str, Kept] = {}

    async def page(self, key: str, own: list[Line], beyond: int | None, most: int) -> list[Line]:
        """A page of both, in order of time; the order within each stays.

        Args:
            key: with whom.
            own: as many lines of our own, oldest first.
            beyond: the number of the oldest line from over there that is known; None for none.
            most: how many.
        """
        kept = self.kept.get(key)
        if kept is None or not kept.newest:
            return own
        try:
            other = [shown(stored, key, self._kind) for stored in await self._read(kept, beyond, most)]
        except StoreError as error:
            _log.warn("what was said behind the other door is not shown: {why}", why=str(error))
            return own
        return _latest(own, other, most)

    async def last(self, last: dict[str, Line]) -> dict[str, Line]:
        """The last line with each, ours or over there."""
        found = dict(last)
        for key in self.kept:
            lines = await self.page(key, [last[key]] if key in last else [], None, 1)
            if lines:
                found[key] = lines[-1]
        return found


def shown(stored: StoredLine, key: str, elsewhere: Kind | None = None) -> Line:
    """A stored line as it is shown.

    Args:
        stored: as it was kept.
        key: whose conversation it is in.
        elsewhere: where it was said, if not in this world.
    """
    return Line(
        key=key,
        id=stored.message_id,
        text=stored.text,
        at=stored.at,
        incoming=stored.incoming,
        progress=PROGRESS[stored.state],
        number=stored.number,
        why=stored.why,
        broadcast=stored.broadcast,
        elsewhere=elsewhere,
    )


def _latest(own: list[Line], other: list[Line], most: int) -> list[Line]:
    own, other = list(own), list(other)
    found: list[Line] = []
    while (own or other) and len(found) < most:
        take = own if not other or (own and own[-1].at >= other[-1].at) else other
        found.append(take.pop())
    found.reverse()
    return found
