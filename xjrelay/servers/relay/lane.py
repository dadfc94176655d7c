# SPDX-License-Identifier: MIT
"""The fast lane: ordinary messages and acknowledgements, a whole read at a time.

Why it exists: what a message costs here is what the relay costs. The slow lane builds a dict,
classifies and converts it, and looks for what parsers read differently, 5 us in all; the lane
takes what ``wire.fast`` recognises for certain, in one decoding a read, and asks of all that stands
in a row from one to one other what must be asked once: is it from who it says, and where does it
go. They go on as the bytes they came in, never cut into messages, and their outcomes come as one. What is for
nobody on any relay goes to the mailbox in the same way, or is answered. Whatever is unusual (another key, a
longer spelling, no address) is left where it stands, with all that follows it in the read, to the slow
lane, which alone refuses.

The checks are the slow lane's, held by the same tests.
"""

from __future__ import annotations

from collections.abc import Callable

from xjrelay.servers.relay.mesh_end import MeshEnd
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.servers.relay.switch import Switch
from xjrelay.wire import fast
from xjrelay.wire.errors import RemoteError
from xjrelay.wire.framing import LF

NOTHING = (0, False)
"""Of what was read, the lane is done with nothing."""

RECEIPT = b'\n{"stanza":"receipt"'
"""How a receipt begins that follows something, as relays of ours write it; any other costs a little more."""


class Lane:
    """Says what was read, as far as it is ordinary.

    Args:
        switch: who is where, and which link leads there.
    """

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._table = switch.table
        self._find = switch.table.exact.get
        self._runs = fast.Reader().runs
        self._few = fast.without_memory

    def said(self, session: UserSession, lines: bytes) -> tuple[int, bool]:
        """What a user said; how many frames, from the first, are done with, and whether these are all."""
        runs, is_all = self._few(lines) if len(lines) < fast.FEW else self._runs(lines)
        done = 0
        for run in runs:
            if session.over:
                return done, False
            if isinstance(run, fast.Run):
                count = self._say(session, run)
                done += count
                if count < run.count:
                    return done, False
                continue
            try:
                session.acknowledged(run.h)
            except RemoteError:  # nothing has changed: the slow lane refuses it again, and answers
                return done, False
            done += 1
        return done, is_all

    def _say(self, session: UserSession, run: fast.Run) -> int:
        """How many of them were said."""
        if run.from_ not in (session.full, session.username):
            return 0
        found = self._find(run.to)
        if found is None:
            return self._say_to_nobody(session, run)
        there = found.handle or self._switch.way_to(found.relay)
        if there is not None:
            if session.owed is None:
                if there.pass_on(run):
                    return run.count
            elif run.ids:
                try:
                    if session.say_run(run, there):
                        return run.count
                except RemoteError:  # too many recipients: the slow lane refuses the first, and answers
                    return 0
        return _singly(run, session.say)

    def _say_to_nobody(self, session: UserSession, run: fast.Run) -> int:
        """The same where nobody has the recipient, unless by another spelling."""
        switch = self._switch
        try:
            if self._table.find(run.to) is None:
                if session.owed is not None:
                    if run.ids and session.say_run(run, switch.mailbox):
                        return run.count
                elif switch.is_whole():
                    session.said_to_nobody(run)
                    return run.count
        except RemoteError:  # that is no address, or there are too many
            return 0
        return _singly(run, session.say)

    def crossed(self, end: MeshEnd, lines: bytes) -> tuple[int, bool]:
        """What another relay carried here; the same.

        Receipts stand between messages that cross both ways. They are no matter of the lane's, and what comes
        before the first is read at once only without it.
        """
        if not end.is_in_use:
            return NOTHING
        if before := lines.find(RECEIPT) + 1:
            done, _ = self._crossed(end, lines[:before])
            return done, False
        return self._crossed(end, lines)

    def _crossed(self, end: MeshEnd, lines: bytes) -> tuple[int, bool]:
        find, speaks_for, relay = self._find, self._table.speaks_for, end.relay
        runs, is_all = self._runs(lines)
        done = 0
        for run in runs:
            if not isinstance(run, fast.Run):
                return done, False
            found = find(run.to)
            if found is None or (there := found.handle) is None or not speaks_for(relay, run.from_):
                return done, False
            gone = end.carried_run(run, there) if run.ids else there.pass_on(run)
            count = run.count if gone else _singly(run, end.carried)
            done += count
            if count < run.count:
                return done, False
        return done, is_all


def _singly(run: fast.Run, say: Callable[[str, str, str | None, bool, bytes], None]) -> int:
    """One after the other; how many were said before the slow lane has to refuse one."""
    for at, frame in enumerate(run.lines.split(LF)[:-1]):
        try:
            say(run.from_, run.to, run.ids[at] if run.ids else None, False, frame)
        except RemoteError:
            return at
    return run.count
