# SPDX-License-Identifier: MIT
"""The door of a peer, where the first byte says which form a connection has (section 11).

Plain and TLS come to one port: a TLS record begins with the byte 0x16, and JSON can't.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from xjrelay.net.context import Context
from xjrelay.net.factory import LinkFactory
from xjrelay.net.socket import IStream
from xjrelay.net.tls import mutual_tls
from xjrelay.servers.peer.protocol import House, PeerLink
from xjrelay.wire.errors import CloseReason

TLS_FIRST_BYTE: Final = 0x16


class Doorstep(Protocol):
    """A connection of which no byte has come.

    Args:
        door: makes the link, once there is a byte.
        address: where the connection comes from.
    """

    transport: IStream

    def __init__(self, door: PeerFactory, address: IAddress | None) -> None:
        self._door = door
        self._address = address
        self._inner: Protocol | None = None
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Who connects has to say something."""
        context = self._door.context
        self._deadline = context.clock.callLater(
            context.limits.hello_timeout, self.transport.abortConnection
        )

    def dataReceived(self, data: bytes) -> None:
        """The first byte decides; the rest is the link's."""
        if self._inner is None:
            self._stop_waiting()
            self._inner = self._door.inside(self._address, data[0] == TLS_FIRST_BYTE)
            if self._inner is None:
                self.transport.loseConnection()
                return
            self._inner.makeConnection(self.transport)
        self._inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Gone, before or after."""
        self._stop_waiting()
        if self._inner is not None:
            self._inner.connectionLost(reason)

    def abort(self) -> None:
        """The program ends."""
        if self._inner is None and self.transport is not None:
            self.transport.abortConnection()

    def _stop_waiting(self) -> None:
        self._door.waiting.pop(self, None)
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


class PeerFactory(LinkFactory[PeerLink]):
    """Lets peers in, plain and by TLS.

    Args:
        context: what the links share.
        house: the peer.
        creator: makes TLS connections.

    Attributes:
        waiting: connections of which no byte has come, the oldest first.
    """

    def __init__(self, context: Context, house: House, creator: IOpenSSLServerConnectionCreator) -> None:
        super().__init__(context, lambda: PeerLink(context, house))
        self.waiting: dict[Doorstep, None] = {}
        self._creator = creator

    def buildProtocol(self, addr: IAddress | None) -> Doorstep:  # type: ignore[override]
        """A connection; where too many have said nothing yet, the oldest of them makes way."""
        while len(self.waiting) >= self.context.limits.max_handshakes:
            oldest = next(iter(self.waiting))
            del self.waiting[oldest]
            oldest.abort()
        doorstep = Doorstep(self, addr)
        self.waiting[doorstep] = None
        return doorstep

    def inside(self, address: IAddress | None, tls: bool) -> Protocol | None:
        """The link of a connection, in TLS where that was begun; None where there are too many."""
        link = super().buildProtocol(address)
        if link is None or not tls:
            return link
        factory = mutual_tls(self._creator, _Given(link), self.context.clock)
        return factory.buildProtocol(address)

    def close_all(self, reason: CloseReason = CloseReason.SHUTDOWN) -> Deferred[None]:
        """Close every link, and whoever waits at the door."""
        for doorstep in list(self.waiting):
            doorstep.abort()
        return super().close_all(reason)


class _Given(ServerFactory):
    """A factory of the one protocol there is already."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """That one."""
        return self._protocol
