# SPDX-License-Identifier: MIT
"""Writing straight to the socket keeps order and loses nothing, on Twisted's real transports."""

from __future__ import annotations

import hashlib

from twisted.internet import reactor, tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from xjrelay.net.direct import is_plain, straight
from xjrelay.net.socket import IStream


class Taker(Protocol):
    """Hashes what it hears, and reads only when told to."""

    transport: IStream

    def __init__(self) -> None:
        self.heard = hashlib.sha256()
        self.size = 0
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard.update(data)
        self.size += len(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.ended.callback(None)


class StraightTests(TestCase):
    """Two ends of a loopback connection."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.taker = Taker()
        factory = Factory.forProtocol(lambda: self.taker)
        self.port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(self.port.stopListening)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port.getHost().port)
        self.giver: Taker = await connectProtocol(endpoint, Taker())

    async def finish(self) -> None:
        self.giver.transport.loseConnection()
        await self.taker.ended.addTimeout(30, IReactorTime(reactor))
        await self.giver.ended.addTimeout(30, IReactorTime(reactor))

    async def test_a_small_write_is_on_its_way_at_once(self) -> None:
        """Nothing is left to the reactor's next turn."""
        transport = self.giver.transport
        straight(transport, b"halo")
        assert isinstance(transport, tcp.Connection)
        self.assertEqual((transport.dataBuffer, transport._tempDataLen), (b"", 0))
        await self.finish()
        self.assertEqual(self.taker.size, 4)

    async def test_order_is_kept_when_the_socket_is_full(self) -> None:
        """Megabytes to a reader that has stopped, in pieces: all arrive, in order."""
        self.taker.transport.pauseProducing()
        sent = hashlib.sha256()
        for number in range(2000):
            piece = b"%06d" % number * 1000
            sent.update(piece)
            straight(self.giver.transport, piece)
        assert isinstance(self.giver.transport, tcp.Connection)
        self.assertGreater(self.giver.transport._tempDataLen + len(self.giver.transport.dataBuffer), 0)
        self.taker.transport.resumeProducing()
        await self.finish()
        self.assertEqual((self.taker.size, self.taker.heard.digest()), (2000 * 6000, sent.digest()))

    async def test_a_reset_ends_the_connection_the_transports_own_way(self) -> None:
        """A write after the other end is gone is an ordinary loss, not an exception."""
        transport = self.giver.transport
        self.taker.transport.abortConnection()
        await self.taker.ended
        while not self.giver.ended.called:
            straight(transport, b"anybody?" * 1000)
            paused: Deferred[None] = Deferred()
            IReactorTime(reactor).callLater(0.01, paused.callback, None)
            await paused
        straight(transport, b"nobody")

    async def test_only_plain_tcp_is_written_to_like_this(self) -> None:
        """A TLS or in-memory transport has only its own write."""
        self.assertTrue(is_plain(self.giver.transport) and is_plain(self.taker.transport))
        self.assertFalse(is_plain(StringTransport()))  # type: ignore[arg-type]
        await self.finish()
