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
from xjrelay.servers.relay.sessions import Run, UserSession
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
        own, find = (session.username, session.full), self._find
        silent = session.owed is None
        run: _Run | None = None
        done = 0
        for said, frame in zip(fast.read(frames), frames, strict=False):
            if not said.is_whole(len(frame)) or session.over:
                break
            if isinstance(said, fast.PlainAck):
                if (run is not None and run.say(session)) or not _acknowledged(session, said.h):
                    break
                run = None
                done += 1
                continue
            if said.from_ not in own:
                break
            if run is not None:
                row = run.run
                if said.to == row.to and said.from_ == row.from_ and said.id is not None:
                    row.ids.append(said.id)
                    run.frames.append(frame)
                    done += 1
                    continue
                if run.say(session):
                    break
                run = None
            if (found := find(said.to)) is None:
                break
            there = found.handle
            if there is None or silent or said.id is None:
                if not _said(session, said, frame, there if silent else None):
                    break
            elif (run := _begun(session, said, frame, there)) is None:
                break
            done += 1
        return done if run is None else done - run.say(session)

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


class _Run:
    """Messages of one pair that stand in a row, and are said at once."""

    __slots__ = ("frames", "run", "there", "unsaid")

    def __init__(self, run: Run, frame: bytes, there: UserSession) -> None:
        self.run = run
        self.frames = [frame]
        self.there = there
        self.unsaid = 0

    def say(self, session: UserSession) -> int:
        """Say them; how many, from the last, were not said: the slow lane has to refuse those."""
        run, frames, self.frames = self.run, self.frames, []
        if not frames or session.say_run(run, frames, self.there):
            return self.unsaid
        for at, (message_id, frame) in enumerate(zip(run.ids, frames, strict=True)):
            try:
                session.say(run.from_, run.to, message_id, False, frame)
            except RemoteError:
                self.unsaid = len(frames) - at
                break
        return self.unsaid


def _begun(session: UserSession, said: fast.Plain, frame: bytes, there: UserSession) -> _Run | None:
    assert said.id is not None
    try:
        return _Run(session.run(said.from_, said.to, said.id), frame, there)
    except RemoteError:
        return None


def _acknowledged(session: UserSession, h: int) -> bool:
    try:
        session.acknowledged(h)
    except RemoteError:  # nothing has changed: the slow lane refuses it again, and answers
        return False
    return True


def _said(session: UserSession, said: fast.Plain, frame: bytes, there: UserSession | None) -> bool:
    """One message; ``there`` is where it goes if nobody is told the outcome."""
    if there is not None and there.owed is None:
        link = there.link
        if link is not None and link.send_frame(frame):
            return True
    try:
        session.say(said.from_, said.to, said.id, False, frame)
    except RemoteError:
        return False
    return True
