# SPDX-License-Identifier: MIT
"""What a session costs that says nothing: bytes of objects, counted, and timers.

``docs/performance/idle.md`` has the figures of whole processes, and whence the bounds come.
"""

from __future__ import annotations

import gc
import json
import random
import tracemalloc
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import testing
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tests.net.lines import Line
from xjrelay.net.context import Context
from xjrelay.net.protocol import Link
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Signer
from xjrelay.servers.relay.protocol import RelayProtocol
from xjrelay.servers.relay.service import Relay
from xjrelay.servers.relay.switch import RelaySettings

PLAIN = 2560
"""Bytes of objects that a session may make, besides its transport. CPython 3.11 makes 2,040, 3.13 2,320."""

SESSIONS = 500


class IdleTests(SynchronousTestCase):
    """A relay alone, and users who say hello and nothing more."""

    def setUp(self) -> None:
        self.clock = cast(Any, Clock())  # it dials nobody
        self.clock.advance(1_000_000.0)
        secret = ClusterSecret("the-secret-of-this-cluster")
        self.context = Context(self.clock, random.Random(1))
        self.relay = Relay(self.clock, self.context, RelaySettings(), secret, "0" * 32, [])
        self.relay.identity.name = "relay1"
        self.signer = Signer([Ed25519PrivateKey.from_private_bytes(bytes(32))], self.clock.seconds)
        self.relay.upstream._verifier.set_keys(self.signer.public_keys())
        self._number = 0

    def hellos(self, count: int) -> list[bytes]:
        """What so many users say."""
        made = []
        for _ in range(count):
            self._number += 1
            name = f"user{self._number}"
            token = self.signer.for_user(name, "relay1", "", self._number)
            hello = {"username": name, "message": "hello!", "token": token}
            made.append(json.dumps(hello).encode() + b"\n")
        return made

    def join(self, hellos: list[bytes], lines: list[Line]) -> None:
        """Users come, each on a transport."""
        for number, (hello, line) in enumerate(zip(hellos, lines, strict=True)):
            link = self.relay.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", number))
            assert link is not None
            link.makeConnection(line)
            link.dataReceived(hello)
            line.writes.clear()

    def test_a_session_is_small(self) -> None:
        self.patch(Logger, "emit", lambda *_, **__: None)  # some runners keep the lines
        self.join(self.hellos(50), [Line() for _ in range(50)])  # what is made once is made
        hellos, lines = self.hellos(SESSIONS), [Line() for _ in range(SESSIONS)]
        gc.collect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.join(hellos, lines)
        self.clock.advance(0)
        gc.collect()
        made = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, testing.__file__)])
        each = sum(one.size for one in made.statistics("filename")) / SESSIONS
        self.assertEqual(len(self.relay.switch.table), SESSIONS + 50)
        self.assertLess(each, PLAIN)

    def test_a_link_keeps_everything_in_its_slots(self) -> None:
        self.join(self.hellos(1), [Line()])
        (link,) = self.relay.factory.links
        self.assertIsInstance(link, RelayProtocol)
        self.assertEqual(vars(link), {"connected": 1})
        self.assertNotIn("connected", Link.__slots__)

    def test_one_timer_for_all_of_them(self) -> None:
        self.join(self.hellos(20), [Line() for _ in range(20)])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
