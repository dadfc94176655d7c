# SPDX-License-Identifier: MIT
"""Who is here, who is elsewhere, and which way a message goes (protocol, sections 7 and 10).

The switch holds the routing table and the sessions; it hears of users from the protocol of
their link, of other relays' users from the mesh, and of ends from the manager, and it tells
those who must know (:class:`Announcing`) when a session opens or ends. It writes to no socket.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from typing import Protocol as Seam

from twisted.logger import Logger

from xjrelay.domain.delivery import MAX_QUEUE, MAX_QUEUE_BYTES, Delivery, Owed
from xjrelay.domain.revocations import Revocations
from xjrelay.domain.routing import RoutingTable, User
from xjrelay.net.context import Context
from xjrelay.net.mesh import MAX_LINKS, PATIENCE
from xjrelay.servers.relay.outcomes import Origin, Outcomes, Run, gathered
from xjrelay.servers.relay.sessions import NOWHERE, Taking, UserLink, UserSession
from xjrelay.servers.relay.timings import Timings
from xjrelay.wire import address, fast
from xjrelay.wire.errors import CloseReason, Code, RemoteError

_log = Logger()

FINAL = frozenset({CloseReason.PROTOCOL, CloseReason.SHUTDOWN, CloseReason.LOGGED_OUT, CloseReason.REPLACED})
"""Ends of a connection that no resumption follows."""

_CODES = {
    CloseReason.REPLACED: Code.CONFLICT,
    CloseReason.BANNED: Code.FORBIDDEN,
    CloseReason.SHUTDOWN: Code.NOT_NOW,
    CloseReason.SLOW_READER: Code.NOT_NOW,
    CloseReason.LOST: Code.NOT_NOW,
}

ABSENT_AFTER = 2.0
"""Seconds without a connection after which a session counts as missing its user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """What an operator may choose of a relay.

    Attributes:
        max_queue: frames a session may leave unacknowledged.
        max_queue_bytes: the same in bytes.
        resume: seconds a session waits for its user to come back.
        drain: seconds in which users are sent elsewhere before the relay stops.
        allow_legacy_clients: whether a hello without a token is looked up at the manager.
        who_timeout: seconds the manager has to answer that.
        ask_interval: seconds after which the trackers are asked again while there is no manager.
        report_after: seconds after which a sender hears how many of its messages were had.
        max_in_flight: messages with an id that may be on their way over one link; 20 MB at the default.
        hand_over: seconds the manager has to store what is owed when the relay stops.
        mesh_patience: seconds that links of one pair of relays have to answer a ping.
        mesh_links: links of one pair that may be open at once, waiting for a choice.
        max_iqs: iqs that a session may say at once to other users, and be said.
    """

    max_queue: int = MAX_QUEUE
    max_queue_bytes: int = MAX_QUEUE_BYTES
    resume: float = 60.0
    drain: float = 2.0
    allow_legacy_clients: bool = False
    who_timeout: float = 5.0
    ask_interval: float = 5.0
    report_after: float = 1.0
    max_in_flight: int = 100_000
    hand_over: float = 2.0
    mesh_patience: float = PATIENCE
    mesh_links: int = MAX_LINKS
    max_iqs: int = 60


class Announcing(Seam):
    """Who is told of this relay's sessions: the manager, and the other relays."""

    def user_opened(self, session: UserSession) -> None:
        """A session opened here (R7, R8)."""

    def user_closed(self, session: UserSession) -> None:
        """A session ended here (R10, R11, R12)."""

    def user_changed(self, session: UserSession) -> None:
        """A session misses its user, or has it back."""


class Way(Taking, Seam):
    """A link with another relay. What keeps a pair's order is compared by it, not by the relay's name."""

    def forward(self, frame: bytes, origin: Origin) -> None:
        """Carry a message over; its sender is told what becomes of it."""

    def pass_on(self, said: fast.Run) -> bool:
        """Carry messages over of which nobody is told what becomes; False where they have ids, by which
        somebody would be, or it can't."""


class Mailbox(Taking, Seam):
    """Where messages go that nobody here or elsewhere has the recipient of."""

    def store(self, origin: Origin, frame: bytes) -> None:
        """Have a message kept; its sender is told what becomes of it."""


class _NoMailbox:
    """None yet: nothing is kept."""

    reached = "accepted"
    full = NOWHERE

    def store(self, origin: Origin, frame: bytes) -> None:
        origin.sender.settled(origin, "failed", Code.NOT_NOW)

    def take_run(self, said: fast.Run, run: Run) -> bool:
        return False


class Resumption(NamedTuple):
    """A resumed session, and the frames to be sent again after the welcome."""

    session: UserSession
    again: list[bytes]


class Switch:
    """This relay's sessions and routes.

    Args:
        context: what the program's links share.
        settings: the operator's.
        random_bytes: of which resume keys are made.

    Attributes:
        table: who is where.
        way_to: the link that leads to another relay, given its name; set by the mesh.
        mailbox: keeps messages for somebody who is on no relay; set by the post.
        is_whole: whether every relay has told us its users, so that an unknown one is nowhere;
            set by the mesh.
        announcing: who is told of sessions.
        draining: whether nobody is let in any more.
        timings: how long messages take.
    """

    def __init__(
        self,
        context: Context,
        settings: RelaySettings,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.context = context
        self.settings = settings
        self.table: RoutingTable[UserSession] = RoutingTable()
        self.outcomes: Outcomes[UserSession] = Outcomes(
            context, lambda session: session.full, lambda session, frame: session.tell(frame)
        )
        self.announcing: list[Announcing] = []
        self.way_to: Callable[[str], Way | None] = lambda relay: None
        self.mailbox: Mailbox = _NoMailbox()
        self.draining = False
        self.is_whole: Callable[[], bool] = lambda: True
        self.timings = Timings()
        self._random_bytes = random_bytes
        self._detached = 0
        self._revoked = Revocations()

    @property
    def report_after(self) -> float:
        """Seconds after which a sender hears how many of its messages were had."""
        return self.settings.report_after

    @property
    def waiting(self) -> int:
        """How many sessions wait to be resumed."""
        return self._detached

    def sessions(self) -> list[UserSession]:
        """Those that are open here, the oldest first."""
        return [route.handle for route in self.table.local() if route.handle is not None]

    # -- sessions ----------------------------------------------------------------------------

    def open(self, link: UserLink, user: User, ack: bool) -> UserSession:
        """A user's session opens (R6); an older one of the same device ends as ``replaced``.

        Raises:
            Superseded: a newer one is open, here or elsewhere.
            RemoteError: 401 and close, the manager has revoked it meanwhile.
        """
        settings = self.settings
        if self._revoked.covers(address.key(user.username), user.resource, user.session, self._now()):
            raise RemoteError(Code.UNAUTHORIZED, "the session was revoked", CloseReason.NOT_AUTHENTICATED)
        owed: Delivery[Origin | Run] | None = None
        if ack:
            owed = Delivery(settings.max_queue, settings.max_queue_bytes)
        session = UserSession(self, user.username, user.resource, owed)
        session.route, replaced = self.table.open(user.username, user.resource, user.session, session)
        session.link = link
        if ack:
            self._new_key(session)
        if replaced is not None and replaced.handle is not None:
            self._finish(replaced.handle, CloseReason.REPLACED)
        for one in self.announcing:
            one.user_opened(session)
        _log.info(
            "{link} is {user}",
            event="session-opened",
            link=link.name,
            user=session.route.full,
            session=user.session,
        )
        return session

    def resume(self, link: UserLink, username: str, key: str, h: int) -> Resumption:
        """A session goes on, on another connection, with another key.

        Raises:
            RemoteError: 404, the key is not that user's; 400 and close, `h` is wrong.
        """
        session = self._holder(username, key)
        if session is None:
            raise RemoteError(Code.NOT_FOUND, "nothing to resume")
        waited = session.expiry is not None
        with gathered(self.context.batch):
            again = session.resume(link, h)
        self._detached -= waited
        self._new_key(session)
        self._absent(session, False)
        _log.info("{link} is {user} again", event="session-resumed", link=link.name, user=session.route.full)
        return Resumption(session, again)

    def detached(self, session: UserSession, reason: CloseReason) -> None:
        """A session lost its connection: it waits to be resumed, or ends (R12)."""
        if session.owed is None or reason in FINAL or self._detached >= self.context.limits.max_links:
            self.end(session, reason)
            return
        self._detached += 1
        session.missing = self.context.clock.callLater(ABSENT_AFTER, self._absent, session, True)
        session.expiry = self.context.clock.callLater(
            self.settings.resume, self.end, session, CloseReason.LOST
        )

    def end(self, session: UserSession, reason: CloseReason) -> None:
        """A session is over: what it never acknowledged is handed over, and everybody hears of it."""
        if self.table.close(session.route):
            self._finish(session, reason)

    def end_all(self, reason: CloseReason) -> None:
        """Every session is over."""
        with gathered(self.context.batch):
            for route in self.table.local():
                assert route.handle is not None
                self.end(route.handle, reason)

    def revoke(self, username: str, number: int, resource: str | None, reason: str) -> None:
        """The manager ends an account's sessions up to a number, of one device or of all."""
        try:
            why = CloseReason(reason)
        except ValueError:
            why = CloseReason.LOGGED_OUT
        self._revoked.add(address.key(username), resource, number, self._now())
        for route in self.table.sessions_of(username):
            if route.number <= number and resource in (None, route.resource) and route.handle is not None:
                self.end(route.handle, why)

    def _finish(self, session: UserSession, reason: CloseReason) -> None:
        self._detached -= session.expiry is not None
        _log.info(
            "session of {user} ended: {reason}",
            event="session-ended",
            user=session.route.full,
            reason=reason.value,
        )
        error = RemoteError(_CODES.get(reason, Code.UNAUTHORIZED), reason.value, reason)
        with gathered(self.context.batch):
            for owed in session.finish(error):
                self._hand_over(session, owed)
            for one in self.announcing:
                one.user_closed(session)

    def _hand_over(self, session: UserSession, owed: Owed[Origin]) -> None:
        """What a session never acknowledged goes to the mailbox, before its end is announced."""
        if owed.origin is None:
            return
        trace, message_id = self.context.trace, owed.origin.id
        if trace is not None and message_id is not None and not owed.is_mail:
            trace.note_one("handed over", owed.origin.from_, owed.origin.to, message_id, session.full)
        owed.origin.sender.handed_over(owed.origin)
        found = self.table.find_local(owed.origin.to)
        if found is None or found.resource == session.route.resource:
            self.mailbox.store(owed.origin, owed.frame)
        else:  # another of the user's devices is here: it is for that one
            owed.origin.sender.settled(owed.origin, "failed", Code.NOT_NOW)

    def _absent(self, session: UserSession, absent: bool) -> None:
        if session.absent is not absent:
            session.absent = absent
            for one in self.announcing:
                one.user_changed(session)

    def _now(self) -> float:
        return self.context.clock.seconds()

    def _new_key(self, session: UserSession) -> None:
        session.resume_key = self._random_bytes(16).hex()

    def _holder(self, username: str, key: str) -> UserSession | None:
        """The user's session that this key resumes. A comparison tells nothing by its time."""
        for route in self.table.sessions_of(username):
            own = route.handle.resume_key if route.handle is not None else ""
            if own and hmac.compare_digest(own.encode(), key.encode()):
                return route.handle
        return None

    # -- messages ----------------------------------------------------------------------------

    def route(self, origin: Origin, frame: bytes, again: bool = False) -> None:
        """A user's message: here, to another relay, to the mailbox, or back (R14, R15, R16).

        Raises:
            InvalidAddress: `to` is no address.
        """
        found = self.table.find(origin.to)
        relay, here = ("", None) if found is None else (found.relay, found.handle)
        way = self.way_to(relay) if found is not None and here is None else None
        there: Taking | None = self.mailbox if found is None else here or way
        pair = origin.pair
        if (trace := self.context.trace) is not None and origin.id is not None:
            event, where = ("accepted", relay) if there is None else (there.reached, there.full)
            trace.note_one(event, origin.from_, origin.to, origin.id, where)
        if pair is not None and not pair.admit(there, again):
            origin.sender.settled(origin._replace(pair=None), "failed", Code.NOT_NOW)
        elif here is not None:
            here.take(frame, origin)
        elif way is not None:
            way.forward(frame, origin)
        elif found is not None:  # its relay is lost this moment
            origin.sender.unreachable(origin)
        elif pair is not None:
            self.mailbox.store(origin, frame)
        else:
            self._nobody(origin)

    def _nobody(self, origin: Origin) -> None:
        if self.is_whole():
            origin.sender.unreachable(origin)
        else:  # a relay that is up has not told us yet who is behind it
            origin.sender.settled(origin, "failed", Code.NOT_NOW)

    def deliver(self, origin: Origin, frame: bytes) -> None:
        """A message from another relay: here, or back (R19, R20); never on to a third relay.

        Raises:
            InvalidAddress: `to` is no address.
        """
        found = self.table.find_local(origin.to)
        if found is None or found.handle is None:
            origin.sender.unreachable(origin)
        else:
            found.handle.take(frame, origin)

    def sender_of(self, from_: str) -> UserSession | None:
        """The session here that speaks under an address, for an answer that names no id.

        Raises:
            InvalidAddress: it is none.
        """
        found = self.table.find_local(from_)
        return found.handle if found else None
