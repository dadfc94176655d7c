# SPDX-License-Identifier: MIT
"""To and from the mailbox at the manager (protocol, section 8).

What this relay can't deliver goes there as it came, and its outcome comes back as a receipt; what
is handed out comes as a header and the messages behind it, and what a user has acknowledged of that
is told. Who may store when, and who gets what, the manager decides.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final
from typing import Protocol as Seam

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from xjrelay.net.context import Context
from xjrelay.servers.relay.in_flight import InFlight
from xjrelay.servers.relay.outcomes import Origin, Run
from xjrelay.servers.relay.sessions import NOWHERE, UserSession
from xjrelay.servers.relay.switch import Switch
from xjrelay.wire import codec, fast
from xjrelay.wire.errors import Code, RemoteError
from xjrelay.wire.stanzas import Mail, Receipt, Stanza, Taken

_log = Logger()

MAX_TAKEN = 10_000
"""Acknowledged rows remembered while the manager is away; what is forgotten is handed out once more."""


class StoringLink(Seam):
    """What is asked of the link with the manager."""

    def send(self, value: Stanza) -> bool:
        """Write; False when it went nowhere."""

    def send_frame(self, frame: bytes) -> bool:
        """Write; False when it went nowhere."""

    def send_lines(self, lines: bytes, count: int) -> bool:
        """Write so many frames, each ended by LF; False when not all went anywhere."""


class Drop:
    """One session's mail: as its sender it hears what the session has acknowledged."""

    def __init__(self, post: Post, username: str) -> None:
        self._post = post
        self._username = username
        self.rows: dict[int, str] = {}  # and the id of the message

    def written(self, origin: Origin) -> None:
        """To a session that doesn't acknowledge, written is all there is."""
        self.settled(origin, "delivered")

    def settled(self, origin: Origin, status: str, code: int | None = None) -> None:
        """Acknowledged, it leaves the mailbox; otherwise it is still there."""
        row = int(origin.id or 0)
        message_id = self.rows.pop(row, "")
        if status == "delivered":
            self._post.noted("taken", origin, message_id)
            self._post.taken(self._username, row)

    def unreachable(self, origin: Origin) -> None:
        """It is still in the mailbox."""

    def handed_over(self, origin: Origin) -> None:
        """It is still in the mailbox."""


@dataclass(slots=True)
class _Window:
    """A header, and the rows whose messages are still to come."""

    session: UserSession | None
    drop: Drop | None
    more: bool
    rows: deque[int] = field(default_factory=deque)


class Post:
    """This relay's way to the mailbox.

    Args:
        context: what the program's links share.
        switch: whose messages these are.

    Attributes:
        reached: what becomes of a message that goes there, as ``net.trace`` says it.
        full: where that is.
    """

    reached: Final = "accepted"

    def __init__(self, context: Context, switch: Switch) -> None:
        self.full = NOWHERE
        self._batch = context.batch
        self._trace = context.trace
        self._switch = switch
        self._link: StoringLink | None = None
        self._in_flight = InFlight(
            switch.settings.max_in_flight, switch.timings.mailbox, context.clock.seconds
        )
        self._drops: dict[UserSession, Drop] = {}
        self._window: _Window | None = None
        self._taken: dict[str, list[int]] = {}
        self._taken_count = 0
        self._flushing = False
        self._idle: list[Deferred[None]] = []
        switch.mailbox = self
        switch.announcing.append(self)

    @property
    def in_flight(self) -> int:
        """How many messages are on their way to the mailbox."""
        return len(self._in_flight)

    @property
    def untold(self) -> int:
        """How many acknowledged rows the manager has still to be told of."""
        return self._taken_count

    # -- to the mailbox ----------------------------------------------------------------------

    def store(self, origin: Origin, frame: bytes) -> None:
        """Have a message kept. Its sender is told what becomes of it; mail that comes back is there still."""
        if isinstance(origin.sender, Drop):
            return
        if self._link is None or origin.id is None:
            origin.sender.settled(origin, "failed", Code.NOT_NOW)
        else:
            self._in_flight.send(origin, frame, self._link.send_frame)

    def take_run(self, said: fast.Run, run: Run) -> bool:
        """The same of several, as :class:`~xjrelay.servers.relay.sessions.Taking` says."""
        return self._link is not None and self._in_flight.send_run(run, said, self._link.send_lines)

    def receipt(self, receipt: Receipt) -> None:
        """What became of some of it."""
        self._in_flight.settle(receipt.to, receipt.ids, receipt.status, receipt.code)
        self._check_idle()

    def settled(self) -> Deferred[None]:
        """Fires when all that was sent has its outcome."""
        if not self._in_flight:
            return succeed(None)
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        return idle

    # -- from the mailbox --------------------------------------------------------------------

    def mail(self, mail: Mail) -> None:
        """A header: so many messages follow for a session."""
        session = self._session(mail)
        drop = None
        if session is not None:
            drop = self._drops.setdefault(session, Drop(self, mail.username))
        self._window = _Window(session, drop, mail.more, deque(mail.rows))
        self._check_window()

    def message(self, value: dict[str, Any], frame: bytes) -> None:
        """One of them.

        Raises:
            RemoteError: 400, none was announced.
        """
        window = self._window
        if window is None:
            raise RemoteError(Code.BAD_REQUEST, "no mail was announced")
        row = window.rows.popleft()
        session, drop = window.session, window.drop
        if session is not None and drop is not None and not session.over and row not in drop.rows:
            drop.rows[row] = str(value.get("id", ""))
            from_, to = str(value.get("from", "")), str(value.get("to", ""))
            origin = Origin(drop, from_, to, str(row))
            self.noted("handed out", origin, drop.rows[row], session.full)
            session.take_mail(codec.forwardable(frame, value), origin)
        self._check_window()

    def _check_window(self) -> None:
        window = self._window
        if window is not None and not window.rows:
            self._window = None
            if window.session is not None and not window.more and not window.session.over:
                window.session.opened()

    def _session(self, mail: Mail) -> UserSession | None:
        for route in self._switch.table.sessions_of(mail.username):
            if (route.resource, route.number) == (mail.resource, mail.session):
                return route.handle
        return None

    def noted(self, event: str, origin: Origin, message_id: str, where: str = "") -> None:
        """Something became of mail."""
        if self._trace is not None:
            self._trace.note_one(event, origin.from_, origin.to, message_id, where)

    def taken(self, username: str, row: int) -> None:
        """A user has acknowledged a row; told once for all of a read."""
        if self._taken_count >= MAX_TAKEN:
            _log.warn("acknowledged mail of {user} will be handed out once more", user=username)
            return
        self._taken.setdefault(username, []).append(row)
        self._taken_count += 1
        if not self._batch.open:
            self.flush()
        elif not self._flushing:
            self._flushing = True
            self._batch.add(self)

    def flush(self) -> None:
        """Tell what was acknowledged, once the manager is there."""
        self._flushing = False
        link = self._link
        if link is None:
            return
        taken, self._taken, self._taken_count = self._taken, {}, 0
        for username, rows in taken.items():
            link.send(Taken(username, rows))

    # -- for the switch ----------------------------------------------------------------------

    def user_opened(self, session: UserSession) -> None:
        """Nothing: its mail comes when the manager says so."""

    def user_closed(self, session: UserSession) -> None:
        """It gets no more mail, and what it has taken is told before its end."""
        self._drops.pop(session, None)
        self.flush()

    def user_changed(self, session: UserSession) -> None:
        """Nothing: its mail waits with it."""

    # -- for the link ------------------------------------------------------------------------

    def linked(self, link: StoringLink) -> None:
        """The manager is there; it hears what was acknowledged once it has heard of the sessions."""
        self._link = link

    def reported(self) -> None:
        """The manager has heard of the sessions. What those took that are over is handed out once more."""
        here = self._switch.table.sessions_of
        self._taken = {user: rows for user, rows in self._taken.items() if here(user)}
        self.flush()

    def lost(self) -> None:
        """The manager is away: what was on its way has no outcome."""
        self._link = None
        self._window = None
        self._in_flight.fail(self._batch)
        self._check_idle()

    def _check_idle(self) -> None:
        if not self._in_flight:
            idle, self._idle = self._idle, []
            for one in idle:
                one.callback(None)
