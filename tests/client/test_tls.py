# SPDX-License-Identifier: MIT
"""A client over TLS: where it goes, what it never does, and how its proof is bound."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from tests.client.house import TRACKER, House, OnAsyncio, OnTwisted
from xjrelay.client.authority import Authority
from xjrelay.client.core import Login, ManagerCore
from xjrelay.client.errors import BadAddress, Insecure
from xjrelay.client.heard import Answered, ProofWanted
from xjrelay.client.session import Session
from xjrelay.client.target import Place, trackers, way_in
from xjrelay.client.tx import connect
from xjrelay.security.certificates import issue, make_authority
from xjrelay.security.scram import MECHANISM, PLUS, ScramServer, derive

OFFERED = ("tls:relay1.example.org:5223",)
PENCIL = derive("pencil", 4096, b"0123456789abcdef")


def certificate() -> bytes:
    pem = issue(make_authority("a", time.time()), ["10.0.0.2"], time.time()).certificate
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


class TargetTests(SynchronousTestCase):
    """Addresses, and what is done with those that a server tells."""

    def test_the_scheme_says_it(self) -> None:
        self.assertEqual(trackers("xjs://a:1,b"), [Place("a", 1, tls=True), Place("b", 5000, tls=True)])
        self.assertEqual(trackers("xj://a:1"), [Place("a", 1)])
        self.assertRaises(BadAddress, trackers, "http://a:1")

    def test_over_tls_only_tls_is_taken_off_this_machine(self) -> None:
        secure = Place("relay1.example.org", 5223, tls=True)
        self.assertEqual(way_in("relay", "10.0.0.5", 5002, OFFERED, tls=True), secure)
        self.assertEqual(way_in("relay", "10.0.0.5", 5002, OFFERED, tls=False), Place("10.0.0.5", 5002))
        self.assertEqual(way_in("relay", "127.0.0.1", 5002, (), tls=True), Place("127.0.0.1", 5002))
        error = self.assertRaises(Insecure, way_in, "relay", "10.0.0.5", 5002, (), True)
        self.assertIn("the relay at 10.0.0.5:5002 offers no TLS", str(error))

    def test_an_authority_that_is_none_is_said_at_once(self) -> None:
        for wrong in ("/nonexistent/authority.pem", "sha256:12"):
            self.assertRaises(BadAddress, Authority, wrong)
            connecting = connect("xjs://a:1", "esa", "x", authority=wrong, reactor=_NEVER)
            self.failureResultOf(connecting, BadAddress)


_NEVER: Any = object()


class ProofTests(SynchronousTestCase):
    """The login's steps, against a server's half."""

    def setUp(self) -> None:
        self.shown = certificate()
        self.core = ManagerCore(("10.0.0.9", 1), Login("esa", "pencil"), certificate=self.shown)

    def said(self) -> list[Any]:
        return [json.loads(line) for line in self.core.to_send().splitlines()]

    def hear(self, value: dict[str, Any]) -> list[Any]:
        return self.core.receive(json.dumps(value).encode() + b"\n")

    def test_it_is_bound_where_there_is_a_certificate(self) -> None:
        *_, auth = self.said()
        self.assertEqual((auth["mechanism"], auth["data"][:2]), (PLUS, "p="))
        server = ScramServer(PENCIL, certificate=self.shown)
        step = {"type": "auth", "mechanism": PLUS, "data": server.first(auth["data"], PLUS)}
        [wanted] = self.hear(step)
        assert isinstance(wanted, ProofWanted)
        self.core.prove(wanted.derive())
        [last] = self.said()
        self.assertEqual(last["mechanism"], PLUS)
        server.final(last["data"])

    def test_a_manager_that_knows_no_binding_is_told_once_that_we_do(self) -> None:
        self.said()
        refusal = {"error": True, "code": 400, "msg": "the mechanism is SCRAM-SHA-256"}
        self.assertEqual(self.hear(refusal), [])
        [auth] = self.said()
        self.assertEqual((auth["mechanism"], auth["data"][:2]), (MECHANISM, "y,"))
        self.assertTrue(auth["replace"])
        [refused] = self.hear(refusal)
        self.assertIsInstance(refused, Answered)
        self.assertEqual(self.said(), [])

    def test_a_wrong_password_is_not_tried_again(self) -> None:
        *_, auth = self.said()
        server = ScramServer(PENCIL, certificate=self.shown)
        self.hear({"type": "auth", "mechanism": PLUS, "data": server.first(auth["data"], PLUS)})
        [refused] = self.hear({"error": True, "code": 400, "msg": "Wrong password"})
        self.assertIsInstance(refused, Answered)
        self.assertEqual(self.said(), [])


class PlainManager(House):
    """A tracker over TLS that lists a manager without."""

    def test_it_is_not_dialled(self) -> None:
        session = Session(self.network, [Place(*TRACKER, tls=True)], Login("esa", "secret"))
        self.sessions.append(session)
        with self.assertRaises(Insecure):
            self.run_(session.start())
        self.assertEqual(self.network.dialled, [TRACKER])


class PlainManagerOnTwisted(OnTwisted, PlainManager):
    """With Deferreds."""


class PlainManagerOnAsyncio(OnAsyncio, PlainManager):
    """With asyncio's futures."""


del PlainManager


class ImportTests(SynchronousTestCase):
    """What comes along."""

    def test_the_asyncio_library_installs_no_reactor(self) -> None:
        code = "import sys, xjrelay.client.aio; sys.exit('twisted.internet.reactor' in sys.modules)"
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
        self.assertEqual(done.returncode, 0)
