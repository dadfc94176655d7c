# SPDX-License-Identifier: MIT
"""Links over TLS in memory: nothing is said before it is agreed upon, and every end is as without."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.net.lines import Chatty, LogLines, context, message
from tests.net.test_proof import HELLO, Component, Server
from xjrelay.net.context import Context
from xjrelay.net.pipe import Pipe
from xjrelay.net.tls import (
    Dialling,
    NobodyTrusted,
    PlaintextRefused,
    client_tls,
    failure_reason,
    own_certificate,
    peer_certificate,
    server_tls,
)
from xjrelay.security.folder import Folder
from xjrelay.security.tls import ClientTLS, ServerTLS, vouch
from xjrelay.wire import codec
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason

HOST = "10.0.0.5"


class Client(Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.failure: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.failure = reason


class TLSTestCase(SynchronousTestCase):
    """A listener at 10.0.0.5, and a pipe."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Folder(Path(self.mktemp()))
        issued = self.folder.issue("relay1", [HOST], time.time())
        self.server_tls = ServerTLS(issued.certificate, issued.key, clients=self.folder.authority_file)
        self.trust = ClientTLS(self.folder.authority_file)

    def pump(self, seconds: float = 1.0) -> None:
        for _ in range(50):
            self.clock.advance(seconds / 50)

    def meet(self, near: Protocol, far: Protocol, trust: ClientTLS | None = None) -> None:
        """A connection of the two; TLS on both ends unless there is nobody to trust."""
        self.pipe = Pipe(self.clock, IPv4Address("TCP", "10.0.0.9", 1), IPv4Address("TCP", HOST, 2))
        listening = server_tls(self.server_tls, Factory.forProtocol(lambda: far))
        above: Any = near
        if trust is not None:
            inner = ClientFactory.forProtocol(lambda: near)
            above = client_tls(trust.to(HOST), inner, self.clock).buildProtocol(None)
        behind: Any = listening.buildProtocol(None)
        self.pipe.connect(above, behind)
        self.pump()


class LinkTests(TLSTestCase):
    """A relay's link to a user."""

    def chat(self, **limits: Any) -> tuple[Client, Chatty]:
        client, link = Client(), Chatty(context(self.clock, **limits))
        self.meet(client, link, self.trust)
        return client, link

    def say(self, client: Client, data: bytes) -> None:
        assert client.transport is not None
        client.transport.write(data)
        self.pump()

    def test_frames_come_and_go(self) -> None:
        client, _ = self.chat()
        self.say(client, message("satu") + message("dua"))
        self.assertEqual([codec.decode(line)["body"] for line in client.heard.splitlines()], ["satu", "dua"])

    def test_the_last_words_arrive_though_more_was_on_its_way(self) -> None:
        client, link = self.chat(max_frame=1000)
        self.say(client, message("satu") + b"x" * 200_000)
        *_, last = client.heard.splitlines()
        self.assertEqual(codec.decode(last)["code"], 413)
        self.assertEqual(link.reasons, [CloseReason.FRAME_TOO_LONG])
        assert client.failure is not None
        self.assertTrue(client.failure.check(ConnectionDone), client.failure)

    def test_a_link_that_reads_nothing_for_now_closes_at_once_all_the_same(self) -> None:
        client, link = self.chat(close_timeout=60)
        self.say(client, message("later"))
        self.assertIsNotNone(link.gate)
        link.close(CloseReason.SHUTDOWN)
        self.pump()
        self.assertEqual(link.reasons, [CloseReason.SHUTDOWN])

    def test_a_slow_reader_is_cut_with_what_it_is_owed(self) -> None:
        client, link = self.chat(max_outgoing=200_000)
        assert client.transport is not None
        client.transport.pauseProducing()  # type: ignore[attr-defined]
        sent = 0
        while link.is_open and sent < 100:
            link.send({"body": "x" * 10_000, "n": sent})
            sent += 1
            self.clock.advance(0.01)
        self.assertLess(sent, 60)
        self.pump()
        self.assertEqual(link.reasons, [CloseReason.SLOW_READER])
        self.assertEqual(codec.decode(link.unread[-1])["n"], sent - 1)

    def test_who_reads_again_in_time_gets_everything(self) -> None:
        client, link = self.chat()
        transport: Any = client.transport
        transport.pauseProducing()
        for n in range(40):
            link.send({"body": "x" * 10_000, "n": n})
        self.pump()
        self.assertEqual(link.context.counters.closed, {})
        transport.resumeProducing()
        self.pump(3.0)
        self.assertEqual([codec.decode(line)["n"] for line in client.heard.splitlines()], list(range(40)))

    def test_who_never_shakes_hands_is_closed_at_the_deadline(self) -> None:
        client, link = Client(), Chatty(context(self.clock, hello_timeout=5))
        self.meet(client, link)
        self.pump(3)
        self.assertEqual(link.reasons, [])
        self.pump(2)
        self.assertEqual(link.reasons, [CloseReason.HELLO_TIMEOUT])

    def test_who_speaks_no_tls_makes_one_line_and_nothing_of_it_is_heard(self) -> None:
        log = LogLines(self)
        client, link = Client(), Chatty(context(self.clock))
        self.meet(client, link)
        self.say(client, message("satu"))
        self.assertEqual((link.reasons, link.started), ([CloseReason.TLS_FAILED], []))
        self.assertNotIn(b"{", client.heard)
        [line] = log.lines
        self.assertRegex(line, r"^link#1 closed: no TLS with IPv4Address.*10\.0\.0\.9.*: \S+")


class ProofTests(TLSTestCase):
    """Components that prove themselves over TLS."""

    def meet_components(self, trust: ClientTLS, demanding: bool = False) -> tuple[Component, Server]:
        shared: Context = context(self.clock)
        shared.vouch = vouch if demanding else None
        component, server = Component(shared, "rahasia"), Server(shared, "rahasia")
        self.meet(component, server, trust)
        return component, server

    def test_they_see_the_same_certificate_before_anything_is_said(self) -> None:
        seen: list[bytes | None] = []

        class Looking(Component):
            def opened(self) -> None:
                seen.append(peer_certificate(self.transport))
                super().opened()

        shared = context(self.clock)
        component, server = Looking(shared, "rahasia"), Server(shared, "rahasia")
        self.meet(component, server, self.trust)
        self.assertTrue(component.through and server.through)
        self.assertEqual(seen, [own_certificate(server.transport)])
        self.assertNotEqual(seen, [None])

    def test_a_component_that_is_not_believed_hears_nothing_from_us(self) -> None:
        other = Folder(Path(self.mktemp()))
        other.authority(time.time())
        log = LogLines(self)
        component, server = self.meet_components(ClientTLS(other.authority_file))
        self.assertEqual((component.through, server.through), (False, False))
        self.assertEqual(component.close_reason, CloseReason.TLS_FAILED)
        self.assertEqual(server.context.counters.frames_in, 0)
        self.assertTrue(any("certificate verify failed" in line for line in log.lines), log.lines)

    def test_a_certificate_is_asked_of_components_where_that_is_said(self) -> None:
        bare, _ = self.meet_components(self.trust, demanding=True)
        self.assertEqual(bare.answers, [401])
        for host, through in ((HELLO.ip_local, True), ("10.0.0.6", False)):
            issued = self.folder.issue(f"at-{host}", [host], time.time())
            shown = (issued.certificate, issued.key)
            trust = ClientTLS(self.folder.authority_file, shown=shown)
            component, server = self.meet_components(trust, demanding=True)
            self.assertEqual((component.through, server.through), (through, through), host)


class DiallingTests(TLSTestCase):
    """Who may be dialled, and how."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor: Any = MemoryReactorClock()

    def dial(self, dialling: Dialling, address: Address) -> Any:
        dialling.connect(self.reactor, address, ClientFactory(), 10)
        return self.reactor.tcpClients[-1]

    def test_off_loopback_only_with_tls_or_leave(self) -> None:
        strict = Dialling(self.trust, allow_plaintext=False)
        self.assertRaises(PlaintextRefused, self.dial, strict, Address(HOST, 5000))
        self.assertEqual(self.reactor.tcpClients, [])
        for address in (Address("127.0.0.1", 5000), Address("::1", 5000), Address(HOST, 5000, tls=True)):
            self.assertEqual(self.dial(strict, address)[:2], address[:2])
        self.assertEqual(self.dial(Dialling(), Address(HOST, 5000))[:2], (HOST, 5000))

    def test_tls_needs_somebody_to_trust(self) -> None:
        self.assertRaises(NobodyTrusted, self.dial, Dialling(), Address(HOST, 5000, tls=True))
        self.assertEqual((Dialling().prefers_tls, Dialling(self.trust).prefers_tls), (False, True))

    def test_what_is_near_is_dialled_here(self) -> None:
        near = Dialling(self.trust, near={"chat.example.org": "127.0.0.1"})
        dialled = self.dial(near, Address("chat.example.org", 5002, tls=True))
        self.assertEqual(dialled[:2], ("127.0.0.1", 5002))

    def test_a_reason_is_a_few_words(self) -> None:
        self.assertEqual(failure_reason(Failure(ConnectionLost())), "the other side closed the connection")


