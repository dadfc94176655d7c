# SPDX-License-Identifier: MIT
"""The whole suite over TLS in memory: every link, each program killed, nothing ever in the clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.sandbox.test_suite import Reader
from xjrelay.client.errors import ClientError
from xjrelay.net.pipe import End
from xjrelay.sandbox.suite import MANAGER_PORT, RELAY_PORT, TRACKER_PORT, Sandbox
from xjrelay.security.folder import Folder
from xjrelay.security.scram import MIN_ROUNDS
from xjrelay.servers.manager.state import Policy

RELAYS = ("10.0.1.1", "10.0.1.2")
PORTS = {"tracker": TRACKER_PORT, "manager": MANAGER_PORT, "relay1": RELAY_PORT}


class Plain(Protocol):
    """Speaks no TLS."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = False

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b'{"ip_local": "10.0.0.9", "port": 0, "type": "client"}\n')

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.ended = True


class TLSTests(SynchronousTestCase):
    """Tracker, manager, two relays, two users."""

    def setUp(self) -> None:
        self.written: list[bytes] = []
        write = End.write

        def spy(end: End, data: bytes) -> None:
            self.written.append(data)
            write(end, data)

        self.patch(End, "write", spy)
        self.sandbox = Sandbox(relays=2, tls=Path(self.mktemp()))
        self.sandbox.start()
        self.sandbox.advance(2)

    def two_users(self) -> None:
        self.esa, self.fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        self.reader = Reader(self.fajar)

    def assertDelivered(self, word: str) -> None:
        receipt = self.sandbox.run(self.esa.send("fajar", word))
        self.assertEqual(receipt.status, "delivered", word)
        self.assertEqual(self.reader.bodies[-1], word)

    def error_of(self, failing: Any) -> str:
        with self.assertRaises(ClientError) as caught:
            self.sandbox.run(failing)
        return str(caught.exception)

    def test_everything_is_said_and_nothing_in_the_clear(self) -> None:
        self.two_users()
        self.assertNotEqual(self.esa.relay, self.fajar.relay)
        self.assertDelivered("halo dari pantai")
        everything = b"".join(self.written)
        for word in (b"halo dari pantai", b"rahasia", b"fajar", b'"type"', b"SCRAM"):
            self.assertNotIn(word, everything)

    def test_each_program_in_turn_is_killed_and_comes_back(self) -> None:
        self.two_users()
        for name in self.sandbox.programs:
            self.sandbox.kill(name)
            self.sandbox.advance(3)
            self.comes_back(name)

    def test_each_program_in_turn_is_stopped_in_order_and_comes_back(self) -> None:
        self.two_users()
        for name in self.sandbox.programs:
            self.sandbox.stop(name)
            self.comes_back(name)

    def comes_back(self, name: str) -> None:
        self.sandbox.restart(name)
        self.sandbox.until(lambda: self.sandbox.ready(name))
        self.sandbox.advance(10)
        self.assertDelivered(f"after {name}")

    def test_a_password_is_proved_on_the_connection_it_is_proved_to(self) -> None:
        self.two_users()
        self.sandbox.run(self.esa.close())
        client = self.sandbox.run(self.sandbox.connect("esa"))
        self.assertEqual(client.username, "esa")
        self.assertIn("Wrong password", self.error_of(self.sandbox.connect("esa", "salah")))

    def test_who_is_not_trusted_is_told_nothing(self) -> None:
        other = Folder(Path(self.mktemp()))
        other.authority(0.0)
        said = self.error_of(self.sandbox.connect("gita", register=True, authority=other.authority_file))
        self.assertIn("no TLS with the tracker at 10.0.0.1:5000", said)
        self.assertIn("certificate", said)
        manager = self.sandbox.server("manager").factory
        self.assertEqual([link.name for link in manager.links if link.host not in RELAYS], [])

    def test_a_fingerprint_does_as_well(self) -> None:
        pinned = self.sandbox.authority
        client = self.sandbox.run(self.sandbox.connect("gita", register=True, authority=pinned))
        self.assertEqual(client.username, "gita")

    def test_a_plain_client_at_a_tls_port_is_closed_with_one_line(self) -> None:
        for program, port in PORTS.items():
            with capturedLogs() as events:
                plain = self.plainly(program, port)
            self.assertTrue(plain.ended)
            self.assertNotIn(b"{", plain.heard)
            [line] = [text for text in map(_text, events) if " with IPv4Address" in text]
            self.assertIn("closed: no TLS", line)
            self.assertEqual([event for event in events if "log_failure" in event], [])

    def plainly(self, program: str, port: int) -> Plain:
        machine: Any = self.sandbox.machine("user plain")
        endpoint = TCP4ClientEndpoint(machine, self.sandbox.machine(program).address, port)
        plain: Plain = self.sandbox.run(connectProtocol(endpoint, Plain()))
        self.sandbox.advance(1)
        return plain

    def test_a_plain_password_is_taken_where_nobody_can_read_it(self) -> None:
        policy = Policy(key_rounds=MIN_ROUNDS, allow_plaintext=False)
        sandbox = Sandbox(relays=1, policy=policy, tls=Path(self.mktemp()))
        sandbox.start()
        self.assertEqual(sandbox.user("gita").username, "gita")

    def test_a_client_without_tls_gets_nowhere(self) -> None:
        failing = self.sandbox.connect("gita", url=f"xj://{self.sandbox.machine('tracker').address}:5000")
        self.assertIn("the link to the tracker is lost", self.error_of(failing))


class DowngradeTests(SynchronousTestCase):
    """Servers without TLS, and a client that wants it."""

    def test_a_client_that_wants_tls_never_goes_without(self) -> None:
        sandbox = Sandbox(relays=1)
        sandbox.start()
        address = sandbox.machine("tracker").address
        with self.assertRaises(ClientError) as caught:
            sandbox.run(sandbox.connect("esa", register=True, url=f"xjs://{address}:5000"))
        self.assertIn("no TLS with the tracker", str(caught.exception))


def _text(event: LogEvent) -> str:
    return formatEvent(event)
