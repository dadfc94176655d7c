# SPDX-License-Identifier: MIT
"""One user's session at this relay: what it says, what it is sent, what it is owed.

A session with acknowledgement outlives its connection: it keeps what was not acknowledged until
it is resumed or its time is up (protocol, sections 7 and 8). One without ends with its connection.
It knows no other session and no relay: what it says goes to an :class:`Exchange`, and whom to tell
what became of a message travels with it as an :class:`Origin`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from typing import Protocol as Seam

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xjrelay.domain.delivery import Delivery, Owed, Owing, Settled
from xjrelay.domain.pairs import Pairs
from xjrelay.domain.routing import Session
from xjrelay.net.context import Context
from xjrelay.servers.relay.outcomes import Origin, Outcomes, Run
from xjrelay.servers.relay.timings import Timings
from xjrelay.wire import address, codec, fast
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.framing import LF
from xjrelay.wire.ids import Ids, lines_of
from xjrelay.wire.stanzas import MAX_ID, Ack, Kind, Message, parse

_log = Logger()

NOWHERE = "the mailbox, or nobody"
"""Where a message goes whose recipient is on no relay, as ``net.trace`` says it."""

NOBODY = "User not found or User not online"
"""The body of the error stanza for a message that reached nobody; the original's words."""


class UserLink(Seam):
    """What a session asks of its connection."""

    name: str

    def send_frame(self, frame: bytes) -> bool:
        """Write; False when it went nowhere."""

    def send_lines(self, lines: bytes, count: int) -> bool:
        """Write so many frames, each ended by LF; False when not all went anywhere."""

    def refuse(self, error: RemoteError) -> None:
        """Answer with an error, and close where that says so."""

    def close(self, reason: CloseReason) -> None:
        """Close."""


class Exchange(Seam):
    """What a session asks of its relay."""

    context: Context
    outcomes: Outcomes[UserSession]
    timings: Timings

    @property
    def report_after(self) -> float:
        """Seconds after which a session hears, at the latest, how many of its messages have been taken."""

    def route(self, origin: Origin, frame: bytes, again: bool) -> None:
        """Carry a message to whoever has its recipient.

        Args:
            origin: who is told what becomes of it.
            frame: the message.
            again: whether its sender begins the pair again with it.

        Raises:
            InvalidAddress: the recipient's address is none.
        """

    def end(self, session: UserSession, reason: CloseReason) -> None:
        """End a session for good."""

    def detached(self, session: UserSession, reason: CloseReason) -> None:
        """A session has lost its connection."""


class Taking(Seam):
    """Where messages may go several at a time: a session here, or a link with another relay.

    Attributes:
        full: where that is: a full address, or the other relay's name.
    """

    full: str

    @property
    def reached(self) -> str:
        """What becomes of a message that goes there now, as ``net.trace`` says it."""

    def take_run(self, said: fast.Run, run: Run) -> bool:
        """Messages with ids go there; False where they can't all go now, and then none has gone.

        Args:
            said: the messages.
            run: of which they are, from then on; its sender is told what becomes of them, now or later.
        """


class UserSession:
    """One session, with or without a connection at the moment.

    Args:
        exchange: the relay.
        username: the registered spelling.
        resource: the device, ``""`` for none.
        owed: counters and queue of a session with acknowledgement; None without.

    Attributes:
        full: its full address, or the bare one of a session without a resource.
        route: its place in the routing table.
        link: its connection, None while there is none.
        resume_key: what resumes it; changes each time.
        expiry: the end of its time without a connection.
        missing: the moment from which it counts as missing its user.
        absent: whether that has come.
        waits: whether the manager has still to answer its opening.
        over: whether it has ended.
    """

    __slots__ = (
        *("_exchange", "full", "_pairs", "_report_call", "_run", "absent", "expiry", "link", "missing"),
        *("over", "owed", "resume_key", "route", "username", "waits"),
    )
    route: Session[UserSession]

    def __init__(
        self, exchange: Exchange, username: str, resource: str, owed: Delivery[Origin | Run] | None
    ) -> None:
        self._exchange = exchange
        self.full = f"{username}/{resource}" if resource else username
        self._report_call: IDelayedCall | None = None
        self.username = username
        self.owed = owed
        self.link: UserLink | None = None
        self.resume_key = ""
        self.expiry: IDelayedCall | None = None
        self.missing: IDelayedCall | None = None
        self.absent = False
        self.waits = True
        self.over = False
        if owed is not None:  # without acknowledgement no outcome is promised, and no order kept by it
            self._pairs = Pairs()
            self._run: Run | None = None  # the last one: what is said next mostly goes on with it
            owed.hold()

    def __str__(self) -> str:
        return self.full

    @property
    def reached(self) -> str:
        """What becomes of a message that comes for it now, as ``net.trace`` says it."""
        held = self.owed is not None and self.owed.holding
        return "waits" if self.link is None or held else "accepted"

    # -- what it says ------------------------------------------------------------------------

    def receive(self, kind: Kind, value: dict[str, Any], frame: bytes) -> None:
        """A message, or an acknowledgement of what it was sent.

        Raises:
            RemoteError: it can't be accepted.
        """
        if kind is not Kind.MESSAGE:
            self._acknowledge(value)
            return
        try:
            self._say(value, frame)
        except RemoteError as error:
            self._refused(value, error)
            raise

    def _refused(self, value: dict[str, Any], error: RemoteError) -> None:
        trace, message_id = self._exchange.context.trace, value.get("id")
        if trace is not None and isinstance(message_id, str) and len(message_id) <= MAX_ID:
            trace.note("refused", self.full, "", [message_id], str(error))

    def _say(self, value: dict[str, Any], frame: bytes) -> None:
        message = parse(Kind.MESSAGE, value)
        assert isinstance(message, Message)
        sender = message.from_
        if sender in (self.username, self.full):
            frame = codec.forwardable(frame, value)
        else:
            sender = self._own(sender)
            frame = codec.encode({**value, "from": sender})
        if len(frame) > self._exchange.context.limits.max_frame:
            raise RemoteError(Code.TOO_LARGE, "the message is too large to be forwarded")
        self.say(sender, message.to, message.id, message.again is True, frame)

    def say(self, sender: str, to: str, message_id: str | None, again: bool, frame: bytes) -> None:
        """A message that is fit to go on as it is.

        Args:
            sender: an own address.
            to: whose it is.
            message_id: by which its outcome will be known, if at all.
            again: whether the pair is begun again with it.
            frame: what is forwarded.

        Raises:
            RemoteError: `to` is no address, or there are too many; nothing was sent.
        """
        owed = self.owed
        if owed is None or message_id is None:
            self._exchange.route(Origin(self, sender, to, message_id), frame, False)
        else:
            origin = Origin(self, sender, to, message_id, self._pairs.get(to))
            self._exchange.route(origin, frame, again)
        if owed is not None:
            self._count(owed)

    def say_run(self, said: fast.Run, there: Taking) -> bool:
        """Messages with ids, from a session with acknowledgement; False where they can't all go there, and
        then none went.

        Raises:
            RemoteError: as for :meth:`say`.
        """
        owed, count = self.owed, said.count
        pair = self._pairs.known.get(said.to) or self._pairs.get(said.to)
        if owed is None or not pair.admit(there, False, count):
            return False
        run = self._run
        if run is None or run.pair is not pair or run.to != said.to or run.from_ != said.from_:
            run = self._run = Run(self, said.from_, said.to, pair)
        if not there.take_run(said, run):
            pair.settle(False, count)
            return False
        owed.received += count
        if self._report_call is None:
            self._report_later()
        exchange = self._exchange
        if exchange.timings.here.credit and run.count and not run.began:
            exchange.timings.here.credit -= 1
            run.began = exchange.context.clock.seconds()
            run.timed = run.count
        if (trace := exchange.context.trace) is not None:
            if trace.left > 0 or trace.on_note is not None:
                trace.note(there.reached, run.from_, run.to, said.ids, there.full)
            else:  # at this rate its outcome is noted soon
                trace.passed_over += count
        return True

    def said_to_nobody(self, said: fast.Run) -> None:
        """Messages that reach nobody, from a session without acknowledgement: an error each."""
        if said.ids and (trace := self._exchange.context.trace) is not None:
            trace.note("accepted", said.from_, said.to, said.ids, NOWHERE)
        if self.link is None:
            return
        if said.ids:
            lines = b"".join(_error(said.from_, one, Code.NOT_FOUND, NOBODY) + LF for one in said.ids)
        else:
            lines = (_error(said.from_, None, Code.NOT_FOUND, NOBODY) + LF) * said.count
        self.link.send_lines(lines, said.count)

    def _own(self, sender: str | None) -> str:
        """The session's own address as it is registered, where `sender` may mean it."""
        if sender is None:
            return self.username
        with suppress(address.InvalidAddress):
            given = address.parse(sender)
            if given.key == self.route.key and given.resource in ("", self.route.resource):
                return self.full if given.resource else self.username
        if self.owed is not None:  # refused, but not with 400 or 413: it counts
            self._count(self.owed)
        raise RemoteError(Code.FORBIDDEN, "from is not this session's user")

    def _count(self, owed: Delivery[Origin | Run]) -> None:
        owed.received += 1
        if self._report_call is None:
            self._report_later()

    def _report_later(self) -> None:
        exchange = self._exchange
        self._report_call = exchange.context.clock.callLater(exchange.report_after, self._report)

    def _report(self) -> None:
        self._report_call = None
        h = self.owed.report() if self.owed is not None else None
        if h is not None and self.link is not None:
            self.link.send_frame(codec.encode(Ack(h)))

    def _acknowledge(self, value: dict[str, Any]) -> None:
        ack = parse(Kind.ACK, value)
        assert isinstance(ack, Ack)
        self.acknowledged(ack.h)

    def acknowledged(self, h: int) -> None:
        """It has the first `h` of what it was sent.

        Raises:
            RemoteError: 400, it acknowledges nothing, or (and close) not what was sent.
        """
        if self.owed is None:
            raise RemoteError(Code.BAD_REQUEST, "this session was opened without acknowledgement")
        self._settle(self.owed.acknowledge(h))

    def _settle(self, settled: list[Settled[Origin | Run]]) -> None:
        for origin, count, ids in settled:
            if isinstance(origin, Run):
                origin.count -= count
                origin.sender.run_settled(origin, Ids(ids, count), "delivered")
            else:
                origin.sender.settled(origin, "delivered")

    # -- what it is sent ---------------------------------------------------------------------

    def take(self, frame: bytes, origin: Origin) -> None:
        """A message for it. The sender is told what becomes of it, now or later."""
        if self.owed is None:
            if self.link is not None and self.link.send_frame(frame):
                origin.sender.written(origin)
            else:
                origin.sender.unreachable(origin)
            return
        owing = self.owed.owe(frame, origin)
        if owing is Owing.OWED:
            if self.link is not None:
                self.link.send_frame(frame)
        elif owing is Owing.FULL:
            self._exchange.context.counters.limited["max-queue"] += 1
            if not self.owed.holding:
                self._exchange.end(self, CloseReason.SLOW_READER)
            origin.sender.settled(origin, "failed", Code.NOT_NOW)

    def pass_on(self, said: fast.Run) -> bool:
        """Messages for it of which nobody is told what becomes; False where it acknowledges, or not all
        went anywhere."""
        return self.owed is None and self.link is not None and self.link.send_lines(said.lines, said.count)

    def take_run(self, said: fast.Run, run: Run) -> bool:
        """Messages for it, as :class:`Taking` says."""
        if self.owed is None:
            if not self.pass_on(said):
                return False
            run.sender.run_settled(run, Ids.of(said.ids), "delivered")
            return True
        if not self.owed.owe_all(said.lines, said.count, run, lines_of(said.ids)):
            return False
        run.count += said.count
        if self.link is not None:
            self.link.send_lines(said.lines, said.count)
        return True

    def take_mail(self, frame: bytes, origin: Origin) -> None:
        """A message out of its mailbox."""
        if self.owed is not None:
            self.owed.owe_mail(frame, origin)
            if self.link is not None:
                self.link.send_frame(frame)
        elif self.link is not None and self.link.send_frame(frame):
            origin.sender.written(origin)

    def opened(self) -> None:
        """Its mailbox is out: what waited behind it goes now."""
        self.waits = False
        for frame in self.owed.release() if self.owed is not None else ():
            if self.link is not None:
                self.link.send_frame(frame)

    def tell(self, frame: bytes) -> None:
        """An outcome for it: a receipt or an error stanza."""
        if self.over:
            return
        if self.owed is not None and self.owed.owe(frame) is Owing.FULL:
            self._exchange.end(self, CloseReason.SLOW_READER)
        elif self.link is not None:
            self.link.send_frame(frame)

    # -- as the sender of a message ----------------------------------------------------------

    def written(self, origin: Origin) -> None:
        """To the sender, written is delivered."""
        if self.owed is not None:
            self.settled(origin, "delivered")

    def settled(self, origin: Origin, status: str, code: int | None = None) -> None:
        """A receipt, gathered; without acknowledgement, or an id, only a failure is told."""
        if origin.pair is not None:
            origin.pair.settle(status == "failed" and code == Code.NOT_NOW)
        if status == "failed" and code == Code.NOT_FOUND:
            self.tell(_error(origin.from_, origin.id, Code.NOT_FOUND, NOBODY))
        elif self.owed is not None and origin.id is not None:
            self._exchange.outcomes.add(self, Ids.of([origin.id]), status, code)
        elif status == "failed":
            self.tell(_error(origin.from_, origin.id, code or Code.NOT_NOW, "not delivered, try again"))

    def run_settled(self, run: Run, ids: Ids, status: str, code: int | None = None) -> None:
        """Their receipt, gathered; for those to nobody an error each."""
        if status == "failed" and code == Code.NOT_FOUND:
            for message_id in ids:
                self.settled(run.origin(message_id), status, code)
            return
        if run.began:
            self._time(run, ids.count)
        assert run.pair is not None  # it acknowledges: only such a session says runs
        run.pair.settle(status == "failed" and code == Code.NOT_NOW, ids.count)
        self._exchange.outcomes.add(self, ids, status, code)

    def _time(self, run: Run, count: int) -> None:
        run.timed -= count
        if run.timed <= 0:
            exchange = self._exchange
            exchange.timings.here.observe(exchange.context.clock.seconds() - run.began)
            run.began = 0.0

    def unreachable(self, origin: Origin) -> None:
        """The error stanza; where an outcome is promised, the recipient has only just gone: not now."""
        if origin.pair is not None:
            self.settled(origin, "failed", Code.NOT_NOW)
        else:
            self.tell(_error(origin.from_, origin.id, Code.NOT_FOUND, NOBODY))

    def handed_over(self, origin: Origin) -> None:
        """Its pair knows: it is unsettled, and was routed to the session that is over."""

    # -- its connection ----------------------------------------------------------------------

    def resume(self, link: UserLink, h: int) -> list[bytes]:
        """It is back on another connection; returns what is to be sent again after the welcome.

        Raises:
            RemoteError: 400 and close, `h` is not what was sent; nothing has changed then.
        """
        assert self.owed is not None
        settled, again = self.owed.resume(h)
        old, self.link = self.link, link
        if old is not None:
            old.close(CloseReason.REPLACED)
        self._cancel()
        self._settle(settled)
        return again

    def lost(self, link: UserLink, reason: CloseReason) -> None:
        """A connection ended; another may have taken its place before."""
        if self.link is link:
            self.link = None
            self._exchange.detached(self, reason)

    def finish(self, error: RemoteError | None) -> list[Owed[Origin]]:
        """It ends: the connection is told why, and what it never acknowledged is given up, in order."""
        self.over = True
        self._cancel()
        link, self.link = self.link, None
        if link is not None and error is not None:
            link.refuse(error)
        return [_single(owed) for owed in self.owed.expire()] if self.owed is not None else []

    def _cancel(self) -> None:
        for call in (self.expiry, self.missing, self._report_call):
            if call is not None and call.active():
                call.cancel()
        self.expiry = self.missing = self._report_call = None


def _error(to: str, message_id: str | None, code: int, body: str) -> bytes:
    """The error stanza for a sender's message."""
    return codec.encode(
        Message(to=to, from_="relay", error=True, code=int(code), id=message_id, body=body)
    )


def _single(owed: Owed[Origin | Run]) -> Owed[Origin]:
    """With an origin of its own, where it had one with others."""
    origin = owed.origin
    if isinstance(origin, Run):
        assert owed.id is not None
        origin.count -= 1
        origin.began = 0.0  # it takes another way, whose time is none of this one's
        origin = origin.origin(owed.id)
    return Owed(owed.frame, origin, owed.is_mail, owed.id)
