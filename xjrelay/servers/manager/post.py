# SPDX-License-Identifier: MIT
"""The mailbox: what relays want stored, and what is handed out (protocol, section 8).

Messages are stored a batch at a time; what comes meanwhile is the next batch, so that one which fails
has nothing behind it that could overtake. A relay hears ``stored`` after the disk's sync. A mailbox is
handed out in windows, the next when half of one has been taken, so that memory and links hold little of
it, and not before what had come for it is stored. Who may store, and when a mailbox is handed out, is
decided in :mod:`sessions`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from itertools import takewhile
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xjrelay.domain.mailbox import Stay
from xjrelay.net.context import Context
from xjrelay.servers.manager.relays import Relays, Seat
from xjrelay.servers.manager.sessions import Sessions
from xjrelay.storage import interfaces
from xjrelay.storage.interfaces import Kept, Letter, MailboxStore, StoreError
from xjrelay.wire import address, codec
from xjrelay.wire.errors import Code, RemoteError
from xjrelay.wire.stanzas import Kind, Mail, Message, Receipt, Taken, parse

_log = Logger()

MAX_LETTERS = 20_000
"""Messages that may wait for the disk; the next is answered 503."""

MAX_BYTES = 64 * 1024 * 1024
"""The same bound in bytes, of which one message may be over."""

WINDOW = 100
"""Messages handed out at a time; the next come when half have been taken."""

WINDOW_BYTES = 256 * 1024
"""The same bound in bytes, of which one message may be over."""

AGAIN_AFTER = 0.5
"""Seconds before a mailbox is read again that could not be read, or not be written to its relay."""

EXPIRE_EVERY = 3600.0
"""Seconds between looks for messages that are too old."""

_DAY = 86_400_000

Spawn = Callable[[str, Coroutine[Deferred[Any], Any, None]], None]
_Outcome = tuple[str, int | None]
_OUTCOMES: dict[Kept, _Outcome] = {
    Kept.STORED: ("stored", None),
    Kept.FULL: ("failed", int(Code.FULL)),
    Kept.UNKNOWN: ("failed", int(Code.NOT_FOUND)),
}
_NOT_NOW: _Outcome = ("failed", int(Code.NOT_NOW))


class _Incoming(NamedTuple):
    """A message to be stored: the relay that is told, and the message's own addresses."""

    seat: Seat
    from_: str
    letter: Letter


class Post:
    """Everybody's mailbox.

    Args:
        context: the clock, and what gathers writes.
        store: on disk.
        relays: where sessions are.
        sessions: decides.
        most: messages a mailbox holds.
        days: for how long.
        spawn: runs what no link waits for, and logs its failure.

    Attributes:
        handed_out: how many messages went to relays.
        taken: how many were acknowledged.
    """

    def __init__(
        self,
        context: Context,
        store: MailboxStore,
        relays: Relays,
        sessions: Sessions,
        most: int,
        days: float,
        spawn: Spawn,
    ) -> None:
        self._context = context
        self._store = store
        self._relays = relays
        self._sessions = sessions
        self.keep(most, days)
        self._spawn = spawn
        self._incoming: list[_Incoming] = []
        self._storing = False
        self._batches = 0  # how many have been stored, or refused
        self._readers: deque[tuple[int, Stay, Seat]] = deque()  # each waits for so many batches
        self._waiting = 0
        self._waiting_bytes = 0
        self._taken: list[tuple[str, int]] = []
        self._calls: set[IDelayedCall] = set()
        self._submitting: IDelayedCall | None = None
        self.handed_out = 0
        self.taken = 0
        self._stopped = False
        sessions.ready = self.hand_out

    def keep(self, most: int, days: float) -> None:
        """How many messages a mailbox holds from now on, and for how many days."""
        self._most = most
        self._days = days

    @property
    def waiting(self) -> int:
        """How many messages wait for the disk."""
        return self._waiting

    @property
    def waiting_bytes(self) -> int:
        """How many bytes these have."""
        return self._waiting_bytes

    def start(self) -> None:
        """Throw away what is too old, now and then."""
        self._spawn("removing old mail", self._expire())
        self._later(EXPIRE_EVERY, self.start)

    def stop(self) -> None:
        """Hand out nothing more; what was said to the store has its outcome."""
        self._stopped = True
        self.submit()
        for call in self._calls:
            call.cancel()
        self._calls.clear()

    # -- in ----------------------------------------------------------------------------------

    def store_message(self, seat: Seat, value: dict[str, Any], frame: bytes) -> None:
        """A relay's message for somebody who is nowhere; a receipt follows.

        Raises:
            RemoteError: 400, it has no sender, recipient or id.
        """
        message = parse(Kind.MESSAGE, value)
        assert isinstance(message, Message)
        if message.from_ is None or message.id is None:
            raise RemoteError(Code.BAD_REQUEST, "what is stored has a sender and an id")
        to, sender = address.parse(message.to), address.parse(message.from_).key
        if (trace := self._context.trace) is not None:
            trace.note_one("to store", message.from_, message.to, message.id, seat.name)
        letter = Letter(to.key, to.resource, sender, message.id, codec.forwardable(frame, value))
        one = _Incoming(seat, message.from_, letter)
        passes = not seat.gate or seat.gate.passes(sender, to.key, message.again is True)
        if not passes or self._is_full() or not self._sessions.may_store(seat, to.key, to.resource):
            self._tell([one], [_NOT_NOW])
            return
        self._waiting += 1
        self._waiting_bytes += len(letter.frame)
        self._incoming.append(one)
        if self._submitting is None:
            self._submitting = self._context.clock.callLater(0, self.submit)

    def _is_full(self) -> bool:
        return self._waiting >= MAX_LETTERS or self._waiting_bytes >= MAX_BYTES

    def submit(self) -> None:
        """Give the store what has come."""
        if self._submitting is not None and self._submitting.active():
            self._submitting.cancel()
        self._submitting = None
        if self._incoming and not self._storing:
            self._storing = True
            self._spawn("storing messages", self._keep_all())
        taken, self._taken = self._taken, []
        if taken:
            self._spawn("removing mail", self._remove(taken))

    async def _keep_all(self) -> None:
        """What has come, and what comes while it is stored."""
        try:
            while self._incoming:
                incoming, self._incoming = self._incoming, []
                if welcome := self._still_welcome(incoming):
                    await self._keep(welcome)
                self._waiting -= len(incoming)
                self._waiting_bytes -= sum(len(one.letter.frame) for one in incoming)
                self._batches += 1
                self._read_what_waited()
        finally:
            self._storing = False

    def _still_welcome(self, incoming: list[_Incoming]) -> list[_Incoming]:
        """Without those behind one that could not be stored: they passed before that was known."""
        if not any(one.seat.gate for one in incoming):
            return incoming
        welcome: list[_Incoming] = []
        refused: list[_Incoming] = []
        for one in incoming:
            passes = one.seat.gate.passes(one.letter.sender, one.letter.recipient, again=False)
            (welcome if passes else refused).append(one)
        self._tell(refused, [_NOT_NOW] * len(refused))
        return welcome

    async def _keep(self, incoming: list[_Incoming]) -> None:
        now = int(self._context.clock.seconds() * 1000)
        outcomes: list[_Outcome]
        try:
            kept = await self._store.store([one.letter for one in incoming], now, self._most)
            outcomes = [_OUTCOMES[one] for one in kept]
        except StoreError as error:
            _log.error("{count} messages could not be stored: {why}", count=len(incoming), why=error)
            outcomes = [_NOT_NOW] * len(incoming)
        except Exception:  # a fault of ours: those behind them must not wait for ever
            _log.failure("{count} messages could not be stored", count=len(incoming))
            outcomes = [_NOT_NOW] * len(incoming)
        self._tell(incoming, outcomes)

    def _tell(self, incoming: list[_Incoming], outcomes: list[_Outcome]) -> None:
        told: dict[tuple[Seat, str, _Outcome], list[str]] = {}
        for one, (status, code) in zip(incoming, outcomes, strict=True):
            told.setdefault((one.seat, one.from_, (status, code)), []).append(one.letter.id)
            if code == Code.NOT_NOW:
                one.seat.gate.close(one.letter.sender, one.letter.recipient)
        counters = self._context.counters
        for (seat, from_, (status, code)), ids in told.items():
            counters.outcomes[status, code] += len(ids)
            if (trace := self._context.trace) is not None:
                trace.note(status, from_, "", ids, "" if code is None else str(code))
            if code == Code.FULL:
                counters.limited["mailbox-max"] += len(ids)
            seat.link.send(Receipt(from_, ids, status, code))  # type: ignore[arg-type]
            if seat.gate.is_full:
                seat.overloaded()

    # -- out ---------------------------------------------------------------------------------

    def hand_out(self, stay: Stay) -> None:
        """The next window of a session's mailbox."""
        if self._stopped or stay.is_reading or not self._sessions.where.is_current(stay):
            return
        seat = self._relays.seat(stay.relay)
        if seat is None:
            return
        if seat.link.is_congested:
            self._later(AGAIN_AFTER, self.hand_out, stay)
            return
        stay.is_reading = True
        self.submit()  # the store does first what it was asked first
        batches = self._batches + self._storing + bool(self._incoming)
        self._readers.append((batches, stay, seat))
        self._read_what_waited()

    def _read_what_waited(self) -> None:
        """The mailboxes for which everything that had come is stored."""
        while self._readers and self._readers[0][0] <= self._batches:
            _, stay, seat = self._readers.popleft()
            if not self._stopped:
                self._spawn(f"handing out mail at {stay.relay}", self._read(stay, seat))

    async def _read(self, stay: Stay, seat: Seat) -> None:
        try:
            found = await self._store.mail(stay.key, stay.resource, stay.last, WINDOW)
        except StoreError as error:
            _log.error("a mailbox could not be read: {why}", why=error)
            stay.is_reading = False
            self._later(AGAIN_AFTER, self.hand_out, stay)
            return
        stay.is_reading = False
        if self._sessions.where.is_current(stay) and seat.link.is_open:
            self._send(stay, seat, found)

    def _send(self, stay: Stay, seat: Seat, found: list[interfaces.Mail]) -> None:
        # Also what another session of the user has and has not taken: each is promised all of it, in order.
        rows = _fitting(found)
        more = len(rows) < len(found) or len(found) == WINDOW
        stay.last = rows[-1].row if rows else stay.last
        stay.rows.update(row.row for row in rows)
        stay.waits = more
        numbers = [row.row for row in rows]
        self.handed_out += len(rows)
        seat.link.send(Mail(stay.username, stay.resource, stay.number, numbers, more))
        for row in rows:
            seat.link.send_frame(row.frame)
        self._follow(stay)

    def take(self, seat: Seat, taken: Taken) -> None:
        """A user has acknowledged mail.

        Raises:
            RemoteError: 403, the relay has no such user.
        """
        key = address.key(taken.username)
        stays = self._sessions.where.find(seat.name, key)
        if not stays:
            raise RemoteError(Code.FORBIDDEN, "a relay speaks for its own users only")
        self._taken += [(key, row) for row in taken.rows]
        self.taken += len(taken.rows)
        if self._submitting is None:
            self._submitting = self._context.clock.callLater(0, self.submit)
        for stay in stays:
            stay.rows.difference_update(taken.rows)
            self._follow(stay)

    def _follow(self, stay: Stay) -> None:
        """More, where there is more and room for it."""
        if stay.handed and stay.waits and len(stay.rows) <= WINDOW // 2:
            self.hand_out(stay)

    async def _remove(self, rows: list[tuple[str, int]]) -> None:
        try:
            await self._store.taken(rows)
        except StoreError as error:  # they will be handed out again, and known by their ids
            _log.error("{count} messages could not be removed: {why}", count=len(rows), why=error)

    async def _expire(self) -> None:
        before = int(self._context.clock.seconds() * 1000 - self._days * _DAY)
        try:
            while not self._stopped and await self._store.expire(before):
                pass
        except StoreError as error:
            _log.error("old mail could not be removed: {why}", why=error)

    def _later(self, delay: float, call: Callable[..., None], *args: object) -> None:
        def run() -> None:
            self._calls.discard(timer)
            call(*args)

        timer = self._context.clock.callLater(delay, run)
        self._calls.add(timer)


def _fitting(found: list[interfaces.Mail]) -> list[interfaces.Mail]:
    """The first of them that fit in a window, one at least."""
    room = WINDOW_BYTES

    def fits(row: interfaces.Mail) -> bool:
        nonlocal room
        had, room = room, room - len(row.frame)
        return had > 0

    return list(takewhile(fits, found))
