# SPDX-License-Identifier: MIT
"""Listening: where, for whom, and what is said when it can't be."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.servers.listening import (
    Listening,
    Place,
    advertised,
    below_tls,
    interface,
    with_backlog,
    with_interface,
)
from xjrelay.servers.startup import StartupError
from xjrelay.wire.endpoints import Address, is_loopback


class ListeningTests(SynchronousTestCase):
    """The service, on a reactor in memory."""

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.factory = ServerFactory.forProtocol(Protocol)

    def listening(self, *endpoints: str, allow_plaintext: bool = False, tls: Any = None) -> Listening:
        return Listening(self.reactor, endpoints, self.factory, allow_plaintext, tls)

    def refusal(self, *endpoints: str) -> str:
        service = self.listening(*endpoints)
        return str(self.assertRaises(StartupError, service.privilegedStartService))

    def test_a_port_without_an_interface_is_loopback(self) -> None:
        service = self.listening("tcp:5000")
        service.privilegedStartService()
        [(port, _, _, interface)] = self.reactor.tcpServers
        self.assertEqual((port, interface), (5000, "127.0.0.1"))
        self.assertEqual([place.port for place in service.places], [5000])

    def test_every_socket_is_opened_once_however_it_is_started(self) -> None:
        service = self.listening("tcp:5000", "tcp:5001")
        service.privilegedStartService()
        service.startService()
        self.assertEqual(len(self.reactor.tcpServers), 2)
        other = self.listening("tcp:5002")
        other.startService()
        self.assertEqual(len(self.reactor.tcpServers), 3)

    def test_stopping_closes_the_sockets(self) -> None:
        service = self.listening("tcp:5000")
        service.startService()
        self.successResultOf(service.stopService())
        self.assertEqual(service.places, [])

    def test_a_unix_socket_is_its_path(self) -> None:
        service = self.listening("unix:/run/x")
        service.startService()
        self.assertEqual(service.places, [Place("/run/x", 0)])

    def test_off_loopback_without_tls_is_refused_before_it_is_opened(self) -> None:
        wide = ["tcp:5000:interface=0.0.0.0", "tcp:5000:interface=", "tcp:5000:10.0.0.1"]
        for text in (*wide, r"tcp6:5000:interface=\:\:"):
            self.assertIn("--allow-plaintext", self.refusal(text))
        self.assertEqual(self.reactor.tcpServers, [])

    def test_off_loopback_without_tls_is_said_once_where_it_is_allowed(self) -> None:
        with capturedLogs() as events:
            self.listening("tcp:5000:interface=0.0.0.0", allow_plaintext=True).startService()
        said = [event for event in events if "without TLS" in str(event.get("log_format"))]
        self.assertEqual(len(said), 1)

    def test_tls_may_leave_loopback_and_needs_a_certificate(self) -> None:
        service = self.listening("tls:5000:interface=0.0.0.0", "tls:5001", tls=CertificateOptions())
        service.startService()
        [(_, _, _, wide), (_, _, _, narrow)] = self.reactor.tcpServers
        self.assertEqual((wide, narrow), ("0.0.0.0", "127.0.0.1"))
        self.assertEqual([place.tls for place in service.places], [True, True])
        self.assertIn("--tls-certificate", self.refusal("tls:5000"))
        self.assertIn("cannot listen on tls:/folder:5000", self.refusal("tls:/folder:5000"))

    def test_a_busy_port_is_named_with_the_reason(self) -> None:
        def busy(port: int, factory: object, backlog: int, interface: str) -> None:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))

        self.reactor.listenTCP = busy
        self.assertEqual(self.refusal("tcp:5000"), "cannot listen on tcp:5000: Address already in use")

    def test_an_endpoint_that_means_nothing_is_named(self) -> None:
        wrong = ["nosuch:5000", "tcp:x", "tcp:5000:colour=red", "ssl:5000:privateKey=/nowhere"]
        for text in (*wrong, "systemd:index=9"):
            self.assertIn(f"cannot listen on {text}", self.refusal(text))


class AdvertisedTests(SynchronousTestCase):
    """Where others are told to connect."""

    def test_is_what_was_said(self) -> None:
        place = advertised([Place("127.0.0.1", 1)], [Address("relay.example.org", 443)])
        self.assertEqual(place, Place("relay.example.org", 443))

    def test_is_where_it_listens_otherwise(self) -> None:
        self.assertEqual(advertised([Place("/run/x", 0), Place("127.0.0.1", 1)]), Place("127.0.0.1", 1))

    def test_has_to_be_said_where_that_tells_nothing(self) -> None:
        for places in ([Place("0.0.0.0", 5002)], [Place("::", 5002)], [Place("/run/x", 0)]):
            self.assertIn("--advertise", str(self.assertRaises(StartupError, advertised, places)))

    def test_tls_is_offered_beside_what_is_not(self) -> None:
        plain, tls = Place("10.0.0.5", 5002), Place("0.0.0.0", 5223, tls=True)
        named = Address("relay.example.org", 5002)
        offered = ("tls:relay.example.org:5223",)
        self.assertEqual(advertised([plain, tls], [named]), Place(*named[:2], endpoints=offered))
        said = [Address("relay.example.org", 5223, tls=True)]
        self.assertEqual(advertised([plain, tls], said), Place("10.0.0.5", 5002, endpoints=offered))

    def test_with_tls_only_everything_is_tls(self) -> None:
        here = [Place("0.0.0.0", 5223, tls=True)]
        for tls in (False, True):
            place = advertised(here, [Address("relay.example.org", 443, tls)])
            self.assertEqual(place, Place("relay.example.org", 443, True, ("tls:relay.example.org:443",)))
        self.assertRaises(StartupError, advertised, here)

    def test_loopback_is_not_told_to_those_who_are_told_of_tls(self) -> None:
        places = [Place("127.0.0.1", 5002), Place("10.0.0.5", 5223, tls=True)]
        self.assertEqual(advertised(places), Place("10.0.0.5", 5223, True, ("tls:10.0.0.5:5223",)))

    def test_knows_private_addresses(self) -> None:
        private = {"127.0.0.1": True, "10.1.2.3": True, "::1": True, "localhost": True}
        public = {"8.8.8.8": False, "relay.example.org": False, "2a00::1": False}
        for host, expected in (private | public).items():
            self.assertEqual(Place(host, 1).is_private, expected, host)


class EndpointTextTests(SynchronousTestCase):
    """Reading endpoint strings as Twisted does."""

    def test_the_interface(self) -> None:
        cases = {
            "tcp:1": "127.0.0.1",
            "tcp6:1": "::1",
            "ssl:1:privateKey=a": "127.0.0.1",
            r"tcp6:1:interface=\:\:1": "::1",
            "tcp:1:interface=10.0.0.1:backlog=5": "10.0.0.1",
            "tcp:1:10.0.0.1": "10.0.0.1",
            "tcp:1:interface=": "",
        }
        self.assertEqual({text: interface(text) for text in cases}, cases)

    def test_it_is_said_only_where_it_was_not(self) -> None:
        cases = {
            "tcp:1": "tcp:1:interface=127.0.0.1",
            "tcp6:1": r"tcp6:1:interface=\:\:1",
            "tcp:1:127.0.0.1": "tcp:1:127.0.0.1",
            "unix:/a": "unix:/a",
        }
        self.assertEqual({text: with_interface(text) for text in cases}, cases)

    def test_what_lies_under_tls(self) -> None:
        cases = {
            "tls:5223:interface=::": ("tcp:5223:interface=::", True),
            "tls:tcp6:5223": ("tcp6:5223", True),
            "tls:systemd:index=0": ("systemd:index=0", True),
            "tcp:5000": ("tcp:5000", False),
        }
        self.assertEqual({text: below_tls(text) for text in cases}, cases)

    def test_so_is_how_many_may_wait_to_be_accepted(self) -> None:
        cases = {
            "tcp:1:interface=127.0.0.1": "tcp:1:interface=127.0.0.1:backlog=4096",
            "ssl:1:privateKey=a": "ssl:1:privateKey=a:backlog=4096",
            "tcp:1:backlog=5": "tcp:1:backlog=5",
            "tcp:1:127.0.0.1:5": "tcp:1:127.0.0.1:5",
            "unix:/a": "unix:/a",
        }
        self.assertEqual({text: with_backlog(text) for text in cases}, cases)

    def test_loopback(self) -> None:
        for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
            self.assertTrue(is_loopback(host))
        for host in ("", "0.0.0.0", "10.0.0.1", "example.org"):
            self.assertFalse(is_loopback(host))
