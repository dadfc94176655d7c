# SPDX-License-Identifier: MIT
"""The same link in memory: two ends of a stream on any clock.

What a protocol sees is what a TCP transport would show it: bytes in order, some time later;
a writer that is paused when too much is under way; a reader that can stop; a half-closed
direction; a clean end against a reset. A stream can be *held* (a partition: bytes wait, and a
writer gives up after its user timeout) and *cut* (both ends see a reset).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IProducer, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from xjrelay.net.socket import IStream

HIGH_WATER = 64 * 1024
"""Bytes under way at which a writer is paused, as Twisted's own transports do."""


class Pipe:
    """One connection: two ends and what lies between them.

    Args:
        clock: when things arrive.
        near: the address of the end that dialled.
        far: the address of the end that listens.
        latency: seconds from a write to its arrival; asked at each write, so it may vary
            (order is kept).
        user_timeout: seconds that written bytes may stay held before both ends are cut.
    """

    def __init__(
        self,
        clock: IReactorTime,
        near: IPv4Address,
        far: IPv4Address,
        latency: Callable[[], float] = lambda: 0.0,
        user_timeout: float = 20.0,
    ) -> None:
        self.clock = clock
        self.latency = latency
        self.user_timeout = user_timeout
        self.held = False
        self.near = End(self, near, far)
        self.far = End(self, far, near)
        self.near.other, self.far.other = self.far, self.near

    def connect(self, near: Protocol, far: Protocol) -> None:
        """Give each end its protocol; the listening one learns of it first."""
        self.far.protocol, self.near.protocol = far, near
        far.makeConnection(self.far)
        near.makeConnection(self.near)

    def hold(self) -> None:
        """Nothing arrives any more, in either direction, until :meth:`release`."""
        self.held = True

    def release(self) -> None:
        """What was held arrives."""
        self.held = False
        self.near.arrive_held()
        self.far.arrive_held()

    def cut(self) -> None:
        """Both ends see a reset, what was under way is lost."""
        for end in (self.near, self.far):
            end.end_with(ConnectionLost())

    def kill(self, end: End) -> None:
        """The machine at ``end`` is gone: its protocol hears nothing, the other a reset."""
        end.vanish()
        if not self.held:
            end.other.end_with(ConnectionLost())


@implementer(IStream)
class End:
    """The transport of one end."""

    other: End

    def __init__(self, pipe: Pipe, host: IPv4Address, peer: IPv4Address) -> None:
        self.protocol: Protocol | None = None
        self.on_end: Callable[[Failure], None] | None = None
        self.disconnecting = False
        self._pipe = pipe
        self._host = host
        self._peer = peer
        self._producer: IPushProducer | None = None
        self._producer_paused = False
        self._under_way = 0  # bytes written here and not yet taken at the other end
        self._last_arrival = 0.0
        self._unread: deque[bytes | None] = deque()  # None is the end of the stream
        self._held: deque[bytes | None] = deque()
        self._held_since: IDelayedCall | None = None
        self._reading = True
        self._write_closed = False
        self._ended = False

    # -- the transport a protocol sees -------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes; after any kind of close they go nowhere."""
        if self._write_closed or self._ended or not data:
            return
        self._under_way += len(data)
        self._ship(bytes(data))
        if self._under_way > HIGH_WATER and self._producer is not None and not self._producer_paused:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send several pieces."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Close once everything is sent."""
        self.disconnecting = True
        self._reading = False
        self.loseWriteConnection()

    def loseWriteConnection(self) -> None:
        """Close our direction once everything is sent."""
        if not self._write_closed and not self._ended:
            self._write_closed = True
            self._ship(None)

    def abortConnection(self) -> None:
        """Reset: the other end hears of it, what is under way is lost."""
        if self._ended:
            return
        self._pipe.clock.callLater(0, self.end_with, ConnectionAborted())
        if not self._pipe.held:
            self._pipe.clock.callLater(0, self.other.end_with, ConnectionLost())

    def getPeer(self) -> IPv4Address:
        """The other end's address."""
        return self._peer

    def getHost(self) -> IPv4Address:
        """This end's address."""
        return self._host

    def getTcpNoDelay(self) -> bool:
        """True: nothing waits to be joined here."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing to set."""

    def getTcpKeepAlive(self) -> bool:
        """True."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing to set."""

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Who is told to slow down; only push producers can be."""
        assert streaming and IPushProducer.providedBy(producer)
        self._producer = producer
        if self._ended:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        """Nobody is told any more."""
        self._producer = None
        self._producer_paused = False

    def pauseProducing(self) -> None:
        """Read no more: what arrives waits, and with it the other end's writer."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Read on."""
        if self.disconnecting or self._ended or self._reading:
            return
        self._reading = True
        if self._unread:
            self._pipe.clock.callLater(0, self._read)

    def stopProducing(self) -> None:
        """As :meth:`loseConnection`."""
        self.loseConnection()

    # -- between the ends --------------------------------------------------------------------

    def _ship(self, data: bytes | None) -> None:
        pipe = self._pipe
        now = pipe.clock.seconds()
        self._last_arrival = max(self._last_arrival, now + pipe.latency())
        pipe.clock.callLater(self._last_arrival - now, self.other.arrive, data)

    def arrive(self, data: bytes | None) -> None:
        """Bytes, or the end of the stream, from the other side."""
        if self._ended:
            return
        if self._pipe.held or self._held:
            self._held.append(data)
            if self._held_since is None:
                timeout = self._pipe.user_timeout
                self._held_since = self._pipe.clock.callLater(timeout, self.other.end_with, TimeoutError())
            return
        self._unread.append(data)
        self._read()

    def arrive_held(self) -> None:
        """The partition is over."""
        self._stop_held_timer()
        held, self._held = self._held, deque()
        for data in held:
            self.arrive(data)

    def _read(self) -> None:
        while self._unread and not self._ended and (self._reading or self.disconnecting):
            data = self._unread.popleft()
            if data is None:
                self._other_closed()
                return
            self.other.taken(len(data))
            if not self.disconnecting:
                assert self.protocol is not None
                self.protocol.dataReceived(data)

    def _other_closed(self) -> None:
        self.end_with(ConnectionDone())
        self.other.closed_by_both()

    def closed_by_both(self) -> None:
        """The other end has read our end of stream and closed too."""
        self._pipe.clock.callLater(0, self.end_with, ConnectionDone())

    def taken(self, count: int) -> None:
        """The other end has read so many of our bytes."""
        self._under_way -= count
        if self._under_way <= 0 and self._producer_paused and self._producer is not None:
            self._producer_paused = False
            self._producer.resumeProducing()

    def end_with(self, reason: Exception) -> None:
        """The connection is over here."""
        if self._ended:
            return
        protocol = self.protocol
        self.vanish()
        failure = Failure(reason)
        if protocol is not None:
            protocol.connectionLost(failure)
        if self.on_end is not None:
            self.on_end(failure)

    def vanish(self) -> None:
        """Over, without a word to the protocol."""
        self._ended = True
        self._write_closed = True
        self.protocol = None
        self._unread.clear()
        self._held.clear()
        self._stop_held_timer()

    def _stop_held_timer(self) -> None:
        if self._held_since is not None and self._held_since.active():
            self._held_since.cancel()
        self._held_since = None
