# SPDX-License-Identifier: MIT
"""What is owed to whom: the counters and the bounded queue of an acknowledged session.

The promise of protocol section 8 stands on three small facts kept here: how many frames were
sent to a session and how many it acknowledged, the frames in between (so that a resumed session gets
them again, in order), and how many were received from it. Beside it :class:`Receipts` gathers
outcomes, so that a receipt costs little a message.

Values in, decisions out: no link, no clock, nothing but :mod:`xjrelay.wire` is imported. What
becomes of what is left (``failed`` to the sender, or a mailbox) is the caller's decision, which
is why each frame keeps its *origin*, opaque here.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.framing import LF

Origin = TypeVar("Origin")
Sender = TypeVar("Sender", bound=Hashable)

MAX_QUEUE = 1000
"""Frames a session may leave unacknowledged before its senders are told ``failed`` (``--max-queue``)."""

MAX_QUEUE_BYTES = 4 * 1024 * 1024
"""The same bound in bytes: a thousand messages of the ordinary kind, sixty-four of the largest."""

MAX_RECEIPT_IDS = 1000
"""Ids in one receipt; whoever writes it divides it where they are too long for a frame."""


class Owing(Enum):
    """What became of a frame that was to be owed."""

    OWED = "owed"
    HELD = "held"
    """It is owed, and not to be sent before :meth:`Delivery.release`."""
    FULL = "full"


class Owed(NamedTuple, Generic[Origin]):
    """A frame sent to the session and not acknowledged, and where it came from (None: from us)."""

    frame: bytes
    origin: Origin | None
    is_mail: bool = False


_Lines = tuple[bytes, Origin | None, bool, int]


class Settled(NamedTuple, Generic[Origin]):
    """Frames of one origin, in a row, that were acknowledged."""

    origin: Origin
    frames: int


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
        *("_acknowledged", "_bytes", "_count", "_had", "_held", "_max_bytes", "_max_count", "_owed"),
        *("_reported", "_sent", "received"),
    )

    def __init__(self, max_count: int = MAX_QUEUE, max_bytes: int = MAX_QUEUE_BYTES) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        # Bare tuples of frames, their origin, whether they are mail, and how many: making anything
        # with names costs five times as much.
        # Lists, because an empty deque is 760 bytes, and most sessions are owed nothing most of the time.
        self._owed: list[_Lines[Origin]] = []
        self._held: list[_Lines[Origin]] | None = None
        self._count = 0
        self._bytes = 0
        self._sent = 0
        self._acknowledged = 0
        self._had = 0  # of the first entry, how many have been acknowledged
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
        return [frame for frame, _, _, _ in held]

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
            held.append((frame, origin, False, 1))
            return Owing.HELD
        self._owed.append((frame, origin, False, 1))
        self._sent += 1
        return Owing.OWED

    def owe_all(self, lines: bytes, count: int, origin: Origin) -> bool:
        """So many frames of one origin, each ended by LF, are to be sent now; False where that is not to be,
        or not for all of them, and then nothing has changed."""
        total, size = self._count + count, self._bytes + len(lines)
        if self._held is not None or total > self._max_count or size > self._max_bytes:
            return False
        self._count = total
        self._bytes = size
        self._sent += count
        self._owed.append((lines, origin, False, count))
        return True

    def owe_mail(self, frame: bytes, origin: Origin) -> None:
        """A message out of the mailbox is sent, before anything held."""
        self._owed.append((frame, origin, True, 1))
        self._sent += 1

    def acknowledge(self, h: int) -> list[Settled[Origin]]:
        """The session has the first `h` frames; returns whose they were, oldest first.

        Raises:
            RemoteError: 400 and close, when `h` falls or is above what was sent.
        """
        if h < self._acknowledged or h > self._sent:
            raise RemoteError(Code.BAD_REQUEST, f"h is {h}, not what was sent", CloseReason.PROTOCOL)
        settled: list[Settled[Origin]] = []
        last, in_a_row = None, 0
        owed, at = self._owed, 0
        count, self._acknowledged = h - self._acknowledged, h
        while count:
            lines, origin, is_mail, frames = owed[at]
            had = min(count, frames - self._had)
            count -= had
            if not is_mail:
                self._count -= had
            if self._had + had < frames:
                self._had += had
            else:
                self._had = 0
                at += 1
                if not is_mail:
                    self._bytes -= len(lines)
            if origin is not last:
                if last is not None:
                    settled.append(Settled(last, in_a_row))
                last, in_a_row = origin, 0
            in_a_row += had
        del owed[:at]  # at most some thousand pointers move, once a read
        if last is not None:
            settled.append(Settled(last, in_a_row))
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
        left = self._unacknowledged() + [Owed(frame, origin) for frame, origin, _, _ in self._held or ()]
        self._acknowledged = self._sent
        self._owed.clear()
        self._held = None
        self._had = self._count = self._bytes = 0
        return left

    def _unacknowledged(self) -> list[Owed[Origin]]:
        """What was sent and not acknowledged, each frame by itself."""
        frames = (
            Owed(frame, origin) for lines, origin, _, _ in self._owed for frame in lines.split(LF) if frame
        )
        return list(frames)[self._had :]

    def report(self) -> int | None:
        """The `h` to tell the session now, or None when it has been told already."""
        if self._reported == self.received:
            return None
        self._reported = self.received
        return self.received


class Receipt(NamedTuple, Generic[Sender]):
    """Messages of one sender with one outcome.

    Attributes:
        sender: whoever is told, as the caller knows it.
        status: ``delivered``, ``stored`` or ``failed``.
        code: why a ``failed`` one failed, else None.
        ids: of the messages, in the order of their outcomes.
    """

    sender: Sender
    status: str
    code: int | None
    ids: list[str]


class Receipts(Generic[Sender]):
    """Outcomes waiting to be told, gathered by sender and outcome.

    The caller flushes once a reactor turn or so: memory is bounded by what can be settled in between.

    Args:
        max_ids: the most in one receipt.
    """

    def __init__(self, max_ids: int = MAX_RECEIPT_IDS) -> None:
        self._max_ids = max_ids
        self._waiting: dict[tuple[Sender, str, int | None], list[str]] = {}

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def add(self, sender: Sender, message_id: str, status: str, code: int | None = None) -> None:
        """One message's outcome."""
        self._waiting.setdefault((sender, status, code), []).append(message_id)

    def add_all(self, sender: Sender, ids: list[str], status: str, code: int | None = None) -> None:
        """Several messages' outcome."""
        self._waiting.setdefault((sender, status, code), []).extend(ids)

    def flush(self) -> list[Receipt[Sender]]:
        """All that waits: a receipt, or as many as it takes, for each sender and outcome, in the order
        they began."""
        waiting, self._waiting = self._waiting, {}
        return [
            Receipt(sender, status, code, portion)
            for (sender, status, code), ids in waiting.items()
            for portion in self._portions(ids)
        ]

    def _portions(self, ids: list[str]) -> list[list[str]]:
        most = self._max_ids
        if len(ids) <= most:
            return [ids]
        return [ids[at : at + most] for at in range(0, len(ids), most)]
