# SPDX-License-Identifier: MIT
"""Acts over HTTP: bytes to a request, an answer to bytes, and what a stranger can't do with either."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from xjrelay.servers.acting import Asked
from xjrelay.servers.acts_page import ActsPage
from xjrelay.servers.admin import MAX_BODY, admin_site

HERE = IPv4Address("TCP", "127.0.0.1", 40000)


class Secure(StringTransport):
    """What a TLS transport has besides."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As asked."""


class Door:
    """Keeps what was asked; answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer: Deferred[tuple[int, dict[str, Any]]] | tuple[int, dict[str, Any]] = (
            200,
            {"user": "esa"},
        )

    async def perform(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        """What a doorkeeper does."""
        self.asked.append(asked)
        return await self.answer if isinstance(self.answer, Deferred) else self.answer


class PageTests(SynchronousTestCase):
    """One site whose program gets its page later, as a node's does."""

    def setUp(self) -> None:
        self.door: Any = Door()
        self.pages: dict[bytes, Any] = {}
        self.site = admin_site(Clock(), [], pages=self.pages)
        self.pages[b"v1"] = ActsPage(self.door)

    def send(self, data: bytes, peer: Any = HERE) -> StringTransport:
        protocol = self.site.buildProtocol(peer)
        transport = StringTransport(peerAddress=peer)
        protocol.makeConnection(transport)
        self.protocol = protocol
        protocol.dataReceived(data)
        return transport

    def post(
        self, path: str = "/v1/ban", body: bytes = b"{}", *headers: str, peer: Any = HERE
    ) -> tuple[int, Any, str]:
        """Status, JSON and headers of a request's answer."""
        lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
        value = self.send("\r\n".join(lines).encode() + body, peer).value()
        head, _, rest = value.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(rest), head.decode().lower()

    def test_a_request_is_what_it_says(self) -> None:
        code, answer, head = self.post("/v1/ban", b'{"user": "esa"}', "Authorization: Bearer xja1_x_y")
        self.assertEqual((code, answer), (200, {"user": "esa"}))
        self.assertIn("cache-control: no-store", head)
        self.assertEqual(
            self.door.asked, [Asked("ban", "Bearer xja1_x_y", b'{"user": "esa"}', "127.0.0.1", True)]
        )

    def test_who_could_be_overheard(self) -> None:
        for peer, private in (
            (IPv4Address("TCP", "192.0.2.1", 1), False),
            (IPv6Address("TCP", "::ffff:192.0.2.1", 1), False),
            (IPv6Address("TCP", "2001:db8::1", 1), False),
            (IPv6Address("TCP", "::ffff:127.0.0.1", 1), True),
            (IPv6Address("TCP", "::1", 1), True),
            (UNIXAddress("/x"), True),
        ):
            self.post(peer=peer)
            self.assertEqual(self.door.asked[-1].is_private, private, peer)

    def test_tls_from_anywhere(self) -> None:
        protocol = self.site.buildProtocol(HERE)
        transport = Secure(peerAddress=IPv4Address("TCP", "192.0.2.1", 1))
        alsoProvides(transport, ISSLTransport)
        protocol.makeConnection(transport)
        protocol.dataReceived(b"POST /v1/ban HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        self.assertTrue(self.door.asked[0].is_private)

    def test_what_a_proxy_says_of_an_address_is_not_believed(self) -> None:
        self.post(
            "/v1/ban",
            b"{}",
            "X-Forwarded-For: 127.0.0.1",
            "Forwarded: for=127.0.0.1",
            peer=IPv4Address("TCP", "192.0.2.1", 1),
        )
        self.assertEqual((self.door.asked[0].host, self.door.asked[0].is_private), ("192.0.2.1", False))

    def test_a_refusal_is_its_status(self) -> None:
        self.door.answer = (401, {"error": True, "code": 401, "msg": "expired token"})
        code, answer, head = self.post()
        self.assertEqual((code, answer["code"]), (401, 401))
        self.assertIn("www-authenticate: bearer", head)

    def test_only_posts_act(self) -> None:
        value = self.send(b"GET /v1/ban HTTP/1.1\r\nHost: x\r\n\r\n").value()
        self.assertIn(b" 405 ", value.split(b"\r\n")[0])
        self.assertEqual(self.door.asked, [])

    def test_paths_that_are_no_act_s_name(self) -> None:
        for path, act in (("/v1/", ""), ("/v1", ""), ("/v1/a/b", "a/b"), ("/v1/%ff", "\ufffd")):
            self.post(path)
            self.assertEqual(self.door.asked[-1].act, act)
        self.assertEqual(
            self.send(b"POST /v2/ban HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").value()[9:12], b"405"
        )

    def test_a_body_that_is_too_long_cuts_the_connection(self) -> None:
        for header in (b"Content-Length: 99999999999\r\n", b"Transfer-Encoding: chunked\r\n"):
            transport = self.send(b"POST /v1/ban HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n")
            for _ in range(MAX_BODY // 8192 + 2):
                if not transport.disconnected and not transport.disconnecting:
                    chunk = b"x" * 8192
                    self.protocol.dataReceived(
                        b"2000\r\n" + chunk + b"\r\n" if b"chunked" in header else chunk
                    )
            self.assertTrue(transport.disconnected or transport.disconnecting, header)
        self.assertEqual(self.door.asked, [])

    def test_who_hangs_up_gets_no_answer_and_the_act_goes_on(self) -> None:
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        waiting: Deferred[tuple[int, dict[str, Any]]] = Deferred()
        self.door.answer = waiting
        transport = self.send(b"POST /v1/ban HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        self.protocol.connectionLost(Failure(ConnectionDone()))
        waiting.callback((200, {}))
        self.assertEqual((transport.value(), len(self.door.asked)), (b"", 1))
