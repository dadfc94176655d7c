# SPDX-License-Identifier: MIT
"""The fast lane: ordinary messages and acknowledgements, a whole read at a time.

Why it exists: what a message costs here is what the relay costs. The slow lane builds a dict,
classifies and converts it, and looks for what parsers read differently, 5 us in all; the lane
takes what ``wire.fast`` recognises for certain, in one decoding a read, and asks of each message only
what must be asked: is it from who it says, and where does it go. Whatever is unusual (another
key, an escape, a letter beyond ASCII, somebody unknown) is left where it stands, with all that
follows it in the read, to the slow lane, which alone refuses and answers.

The checks are the slow lane's, held by the same tests. A message nobody is told the outcome of,
for a session here that doesn't acknowledge, makes no object at all besides itself.
"""

from __future__ import annotations

from xjrelay.domain.routing import RoutingTable
from xjrelay.servers.relay.mesh_end import MeshEnd
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.wire import fast
from xjrelay.wire.errors import RemoteError


class Lane:
    """Says what was read, as far as it is ordinary.

    Args:
        table: who is where.
    """

    def __init__(self, table: RoutingTable[UserSession]) -> None:
        self._table = table
        self._find = table.exact.get

    def said(self, session: UserSession, frames: list[bytes]) -> int:
        """What a user said; how many frames, from the first, are done with."""
        own = (session.username, session.full)
        silent = session.owed is None
        find = self._find
        done = 0
        for said, frame in zip(fast.read(frames), frames, strict=False):
            if not said.is_whole(len(frame)) or session.over:
                break
            if isinstance(said, fast.PlainAck):
                if not _acknowledged(session, said.h):
                    break
                done += 1
                continue
            if said.from_ not in own or (found := find(said.to)) is None:
                break
            done += 1
            if silent and (there := found.handle) is not None and there.owed is None:
                link = there.link
                if link is not None and link.send_frame(frame):
                    continue
            if not _said(session, said, frame):
                return done - 1
        return done

    def crossed(self, end: MeshEnd, frames: list[bytes]) -> int:
        """What another relay carried here; how many frames, from the first, are done with."""
        if not end.is_in_use:
            return 0
        relay, find, speaks_for = end.relay, self._find, self._table.speaks_for
        done = 0
        for said, frame in zip(fast.read(frames), frames, strict=False):
            if not isinstance(said, fast.Plain) or not said.is_whole(len(frame)):
                break
            found = find(said.to)
            if found is None or (there := found.handle) is None or not speaks_for(relay, said.from_):
                break
            done += 1
            if said.id is None and there.owed is None:
                link = there.link
                if link is not None and link.send_frame(frame):
                    continue
            end.carried(said.from_, said.to, said.id, False, frame)
        return done


def _acknowledged(session: UserSession, h: int) -> bool:
    try:
        session.acknowledged(h)
    except RemoteError:  # nothing has changed: the slow lane refuses it again, and answers
        return False
    return True


def _said(session: UserSession, message: fast.Plain, frame: bytes) -> bool:
    try:
        session.say(message.from_, message.to, message.id, False, frame)
    except RemoteError:
        return False
    return True
