# SPDX-License-Identifier: MIT
"""What is owed to whom: the counters and the bounded queue of an acknowledged session.

The promise of protocol section 8 stands on three small facts kept here: how many frames were
sent to a session and how many it acknowledged, the frames in between (so that a resumed session gets
them again, in order), and how many were received from it.

Values in, decisions out: no link, no clock, nothing but :mod:`xjrelay.wire` is imported. What
becomes of what is left (``failed`` to the sender, or a mailbox) is the caller's decision, which
is why each frame keeps its *origin*, opaque here.
"""

from __future__ import annotations

from enum import Enum
from itertools import zip_longest
from typing import Generic, NamedTuple, TypeVar

from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.framing import LF
from xjrelay.wire.ids import end_of, names_of

Origin = TypeVar("Origin")

MAX_QUEUE = 1000
"""Frames a session may leave unacknowledged before its senders are told ``failed`` (``--max-queue``)."""

MAX_QUEUE_BYTES = 4 * 1024 * 1024
"""The same bound in bytes: a thousand messages of the ordinary kind, sixty-four of the largest."""


class Owing(Enum):
    """What became of a frame that was to be owed."""

    OWED = "owed"
    HELD = "held"
    """It is owed, and not to be sent before :meth:`Delivery.release`."""
    FULL = "full"


class Owed(NamedTuple, Generic[Origin]):
    """A frame sent to the session and not acknowledged, and where it came from (None: from us).

    ``id`` is its own, where it was owed with others of its origin.
    """

    frame: bytes
    origin: Origin | None
    is_mail: bool = False
    id: str | None = None


# On the message path bare tuples: making anything with names costs five times as much.
_Entry = tuple[bytes, Origin | None, bool, int, bytes]
"""Frames, their origin, whether they are mail, and of how many last ones of them there is no acknowledgement,
with the ids of these."""

Settled = tuple[Origin, int, bytes]
"""Frames of one origin, in a row, that were acknowledged: whose, how many, and their ids if they were owed
together (``wire.ids``)."""


class Resumed(NamedTuple, Generic[Origin]):
    """What a resumption decided: what is settled by it, and the frames to send again."""

    settled: list[Settled[Origin]]
    again: list[bytes]


class Delivery(Generic[Origin]):
    """Both counters of one acknowledged session, and what it has not acknowledged (section 8).

    From :meth:`hold` to :meth:`release` live messages are kept behind the mailbox, and not counted as
    sent. Mail doesn't count for the bounds: whoever hands out a mailbox sends little of it at a time.

    Frames of one origin that are sent together are kept together, as the lines they were sent as, so that
    remembering and settling them costs little a message; an acknowledgement may end among them.

    A *message* is refused as :attr:`Owing.FULL` at the bounds. Our own frames (outcomes for what
    the session itself sent: origin None) may fill the queue to twice the bounds, because a slow
    recipient of messages must still learn its outcomes; at that point the session reads nothing
    at all, and the caller ends it.

    Args:
        max_count: the most frames unacknowledged.
        max_bytes: the most bytes unacknowledged.

    Attributes:
        received: how many messages the session sent that were not answered 400 or 413: the relay's own `h`;
            who takes one counts it.
    """

    __slots__ = (
        *("_acknowledged", "_bytes", "_count", "_held", "_max_bytes", "_max_count", "_owed"),
        *("_reported", "_sent", "received"),
    )

    def __init__(self, max_count: int = MAX_QUEUE, max_bytes: int = MAX_QUEUE_BYTES) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        # Lists, because an empty deque is 760 bytes, and most sessions are owed nothing most of the time.
        self._owed: list[_Entry[Origin]] = []
        self._held: list[_Entry[Origin]] | None = None
        self._count = 0
        self._bytes = 0
        self._sent = 0
        self._acknowledged = 0
        self.received = 0
        self._reported = 0

    def __len__(self) -> int:
        """How many frames are unacknowledged."""
        return self._sent - self._acknowledged

    @property
    def sent(self) -> int:
        """How many frames were ever owed: the highest `h` the session may say."""
        return self._sent

    @property
    def acknowledged(self) -> int:
        """How many of them the session acknowledged: the lowest `h` it may say."""
        return self._acknowledged

    @property
    def load(self) -> tuple[int, int]:
        """How many frames, and bytes, count against the bounds."""
        return self._count, self._bytes

    @property
    def holding(self) -> bool:
        """Whether live messages are held."""
        return self._held is not None

    def hold(self) -> None:
        """The session has just opened: live messages wait behind its mailbox."""
        self._held = []

    def release(self) -> list[bytes]:
        """The mailbox is out: the frames that were held, to be sent now."""
        held, self._held = self._held or (), None
        self._owed.extend(held)
        self._sent += len(held)
        return [entry[0] for entry in held]

    def owe(self, frame: bytes, origin: Origin | None = None) -> Owing:
        """A frame is to be sent; it is owed until it is acknowledged.

        Args:
            frame: as it goes on the wire.
            origin: what :meth:`acknowledge` gives back when it is settled; None for our own.

        Returns:
            ``FULL`` when it is not to be sent, and nothing has changed; ``HELD`` when it is to be
            sent later, by :meth:`release`.
        """
        room, held = (2 if origin is None else 1), self._held
        if self._count >= room * self._max_count or self._bytes >= room * self._max_bytes:
            return Owing.FULL
        self._count += 1
        self._bytes += len(frame)
        if held is not None and origin is not None:
            held.append((frame, origin, False, 1, b""))
            return Owing.HELD
        self._owed.append((frame, origin, False, 1, b""))
        self._sent += 1
        return Owing.OWED

    def owe_all(self, lines: bytes, count: int, origin: Origin, ids: bytes) -> bool:
        """So many frames of one origin, each ended by LF, are to be sent now; False where that is not to be,
        or not for all of them, and then nothing has changed. `ids` are theirs, as ``wire.ids`` has them."""
        total, size = self._count + count, self._bytes + len(lines)
        if self._held is not None or total > self._max_count or size > self._max_bytes:
            return False
        self._count = total
        self._bytes = size
        self._sent += count
        self._owed.append((lines, origin, False, count, ids))
        return True

    def owe_mail(self, frame: bytes, origin: Origin) -> None:
        """A message out of the mailbox is sent, before anything held."""
        self._owed.append((frame, origin, True, 1, b""))
        self._sent += 1

    def acknowledge(self, h: int) -> list[Settled[Origin]]:
        """The session has the first `h` frames; returns whose they were, oldest first.

        Raises:
            RemoteError: 400 and close, when `h` falls or is above what was sent.
        """
        if h < self._acknowledged or h > self._sent:
            raise RemoteError(Code.BAD_REQUEST, f"h is {h}, not what was sent", CloseReason.PROTOCOL)
        settled: list[Settled[Origin]] = []
        last: Origin | None = None
        row: list[bytes] = []
        owed, left = self._owed, h - self._acknowledged
        whole = frames = messages = size = 0
        self._acknowledged = h
        for lines, origin, is_mail, count, ids in owed:
            if not left:
                break
            if left < count:  # it ends among these, whose lines stay until all are acknowledged
                end = end_of(ids, left, count) if ids else 0
                owed[whole] = lines, origin, is_mail, count - left, ids[end:]
                count, ids = left, ids[:end]  # noqa: PLW2901
            else:
                whole += 1
                if not is_mail:
                    size += len(lines)
            left -= count
            if not is_mail:
                messages += count
            if origin is last:
                frames += count
                row.append(ids)
            else:
                if last is not None:
                    settled.append((last, frames, b"".join(row)))
                last, frames, row = origin, count, [ids]
        if last is not None:
            settled.append((last, frames, b"".join(row)))
        self._count -= messages
        self._bytes -= size
        del owed[:whole]  # at most some thousand pointers move, once a read
        return settled

    def resume(self, h: int) -> Resumed[Origin]:
        """The session is back on another connection, and has the first `h` frames.

        The frames to send again stay owed, and go before anything new.

        Raises:
            RemoteError: as for :meth:`acknowledge`; nothing has changed then.
        """
        settled = self.acknowledge(h)
        self._reported = self.received  # the welcome says it
        return Resumed(settled, [owed.frame for owed in self._unacknowledged()])

    def expire(self) -> list[Owed[Origin]]:
        """The session is over: gives up, in order, whatever it never acknowledged."""
        self._owed += self._held or ()
        left = self._unacknowledged()
        self._acknowledged = self._sent
        self._owed.clear()
        self._held = None
        self._count = self._bytes = 0
        return left

    def _unacknowledged(self) -> list[Owed[Origin]]:
        """What was sent and not acknowledged, each frame by itself."""
        return [
            Owed(frame, origin, is_mail, message_id)
            for lines, origin, is_mail, count, ids in self._owed
            for frame, message_id in zip_longest(lines.rstrip(LF).split(LF)[-count:], names_of(ids))
        ]

    def report(self) -> int | None:
        """The `h` to tell the session now, or None when it has been told already."""
        if self._reported == self.received:
            return None
        self._reported = self.received
        return self.received
