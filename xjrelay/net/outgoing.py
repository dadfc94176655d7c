# SPDX-License-Identifier: MIT
"""The writing half of a link: gathered while a read is worked through, bounded, the slow reader cut.

While a read is worked through, what goes to one link is gathered and written once. When the
transport has more than it can send, frames are queued up to ``max_outgoing`` bytes, then the reader is
cut (``reads too slowly``) after :meth:`Outgoing.undelivered` was offered what it didn't get.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from zope.interface import implementer

from xjrelay.net.context import Context
from xjrelay.net.direct import straight
from xjrelay.net.socket import IStream
from xjrelay.wire import codec
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.framing import LF, ORIGINAL, Framer
from xjrelay.wire.stanzas import Stanza

_log = Logger()


@implementer(IPushProducer)
class Outgoing(Protocol):
    """What a connection is sent; :class:`xjrelay.net.incoming.Incoming` is what it says.

    Args:
        context: what the program's links share.
        name: for the log.
        framer: of what is read, which says how frames end both ways.

    Attributes:
        close_reason: None while open, then why it closed.
    """

    __slots__ = (
        *("_framer", "_full", "_out", "_plain", "_queued", "close_reason", "context", "name", "transport"),
    )
    transport: IStream

    def __init__(self, context: Context, name: str, framer: Framer) -> None:
        self.context = context
        self.name = name
        self.close_reason: CloseReason | None = None
        self._framer = framer
        self._plain = False  # whether the transport may be passed by (``net.direct``)
        self._out: list[bytes] = []
        self._queued = 0  # bytes in _out while the transport is full
        self._full = False

    def abort(self, reason: CloseReason) -> None:
        """Cut at once; what is queued is offered to :meth:`undelivered`."""
        raise NotImplementedError

    def send(self, value: Stanza | Mapping[str, Any] | list[Any]) -> bool:
        """Write a stanza; false if the link is closed and it went nowhere."""
        return self.send_frame(codec.encode(value))

    def send_frame(self, frame: bytes) -> bool:
        """Write an encoded frame, without its delimiter; false if the link is closed.

        False too where this very frame was one too many for a slow reader: :meth:`undelivered`
        has had it then.
        """
        return self.send_lines(frame + LF, 1)

    def send_lines(self, lines: bytes, count: int) -> bool:
        """Write so many encoded frames, each ended by LF; false as for :meth:`send_frame`."""
        if self.close_reason is not None:
            return False
        data = lines if self._framer.delimiter == LF else lines.replace(LF, ORIGINAL)
        context, out = self.context, self._out
        context.counters.frames_out += count
        if not self._full:
            if not context.batch.open:
                out.append(data)
                self.flush()
                return self.close_reason is None
            if not out:
                context.batch.add(self)
            out.append(data)
            return True
        self._queued += len(data)
        out.append(data)
        if self._queued > context.limits.max_outgoing:
            context.counters.limited["max-outgoing"] += 1
            self.abort(CloseReason.SLOW_READER)
        return self.close_reason is None

    def undelivered(self, frames: list[bytes]) -> None:
        """A slow reader was cut with these frames unwritten. By default they are counted in
        the log: a link whose frames matter keeps them."""
        _log.warn("{link} left {count} frames unread", link=self.name, count=len(frames))

    @property
    def unwritten(self) -> int:
        """Bytes that wait because the transport has more than it can send."""
        return self._queued

    @property
    def is_congested(self) -> bool:
        """Whether the transport has more than it can send: a bulk of frames had better wait."""
        return self._full

    def flush(self) -> None:
        """Hand what is gathered to the transport, as one write."""
        out = self._out
        if self._full or not out:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self.context.counters.bytes_out += len(data)
        if self._plain:
            straight(self.transport, data)
        else:
            self.transport.write(data)

    def pauseProducing(self) -> None:
        """The transport has more than it can send."""
        self._full = True

    def resumeProducing(self) -> None:
        """The transport has sent all it had."""
        self._full = False
        self._queued = 0
        self.flush()

    def stopProducing(self) -> None:
        """The transport is gone; ``connectionLost`` follows."""

    def _give_up(self) -> None:
        unwritten, self._out = self._out, []
        if unwritten:
            self.undelivered(b"".join(unwritten).split(self._framer.delimiter)[:-1])
