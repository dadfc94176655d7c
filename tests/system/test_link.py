# SPDX-License-Identifier: MIT
"""What a link does to a real socket, which no line in memory can show."""

from __future__ import annotations

import random
import socket

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.net.lines import Chatty, message
from xjrelay.net.context import Context, Limits
from xjrelay.net.factory import LinkFactory
from xjrelay.net.reconnect import Dialler
from xjrelay.wire import codec
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason


class Client(Protocol):
    """Keeps what it hears until the end."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(self.heard)


class RealLinkTests(TestCase):
    """A listening factory on loopback."""

    timeout = 30

    def setUp(self) -> None:
        self.context = Context(reactor, random.Random(1), Limits(user_timeout=7.5))
        self.factory = LinkFactory(self.context, self.build)
        self.accepted: Deferred[Chatty] = Deferred()
        self.port: IListeningPort = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(self.stop)

    def build(self) -> Chatty:
        accepted = self.accepted

        class Announced(Chatty):
            def opened(self) -> None:
                self.established()
                if not accepted.called:
                    accepted.callback(self)

        return Announced(self.context)

    async def stop(self) -> None:
        stopped = self.port.stopListening()
        assert stopped is not None
        await stopped
        await self.factory.close_all()

    @property
    def address(self) -> Address:
        host = self.port.getHost()
        assert isinstance(host, IPv4Address)
        return Address(host.host, host.port)

    async def dial(self) -> Client:
        endpoint = HostnameEndpoint(reactor, *self.address[:2])
        client: Client = await connectProtocol(endpoint, Client())
        return client

    def check_options(self, link: Chatty) -> None:
        handle: socket.socket = link.transport.getHandle()  # type: ignore[attr-defined]
        self.assertTrue(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertTrue(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self.assertEqual(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), 7500)

    async def test_both_ends_are_tuned(self) -> None:
        """TCP_NODELAY, keep-alive and TCP_USER_TIMEOUT, accepted and dialled."""
        dialled: Deferred[Chatty] = Deferred()

        class Dialled(Chatty):
            def opened(self) -> None:
                dialled.callback(self)

        dialler = Dialler(reactor, random.Random(1), self.address, lambda: Dialled(self.context))  # type: ignore[arg-type]
        dialler.start()
        self.check_options(await self.accepted)
        self.check_options(await dialled)
        await dialler.stop()

    async def test_the_413_arrives_when_a_megabyte_is_sent_in_one_piece(self) -> None:
        """Unread bytes make closing a socket a reset, which would overtake the answer."""
        for _ in range(5):
            client = await self.dial()
            assert client.transport is not None
            client.transport.write(message("first") + b"x" * 1_000_000)
            first, last = (await client.ended).splitlines()
            self.assertEqual(codec.decode(first), {"body": "first"})
            self.assertEqual(codec.decode(last)["code"], 413)
        await self.factory.close_all()
        self.assertEqual(self.context.counters.closed[CloseReason.FRAME_TOO_LONG], 5)

    async def test_the_answers_to_bad_frames_arrive_too(self) -> None:
        """Ten answers, though more bad frames were on their way."""
        client = await self.dial()
        assert client.transport is not None
        client.transport.write(b"?\n" * 300_000)
        answers = (await client.ended).splitlines()
        self.assertEqual([codec.decode(answer)["code"] for answer in answers], [400] * 10)
