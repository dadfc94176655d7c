# SPDX-License-Identifier: MIT
"""From options to TLS: what goes together, what is read again, and what SIGHUP does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.net.lines import LogLines
from xjrelay.security.certificates import CertificateError
from xjrelay.security.folder import Folder
from xjrelay.security.tls import ServerTLS
from xjrelay.servers.security import Hangup, LinkSecurity
from xjrelay.servers.startup import StartupError
from xjrelay.wire.endpoints import Address


class OptionsTestCase(SynchronousTestCase):
    """Files of ``xj certs``."""

    def setUp(self) -> None:
        self.folder = Folder(Path(self.mktemp()))
        self.issued = self.folder.issue("relay1", ["10.0.0.5"], time.time())
        self.authority = str(self.folder.authority_file)

    def security(self, **said: Any) -> LinkSecurity:
        options: dict[str, Any] = {
            "allow-plaintext": False,
            "allow-tls12": False,
            "tls-certificate": None,
            "tls-key": None,
            "tls-authority": None,
            "tls-require-client-certificate": False,
        }
        return LinkSecurity({**options, **{name.replace("_", "-"): value for name, value in said.items()}})

    def with_files(self, **said: Any) -> LinkSecurity:
        return self.security(tls_certificate=self.issued.certificate, tls_key=self.issued.key, **said)

    def refusal(self, **said: Any) -> str:
        return str(self.assertRaises(StartupError, self.security, **said))


class SecurityTests(OptionsTestCase):
    """What goes together."""

    def test_without_a_certificate_there_is_nothing_to_show_and_still_somebody_to_trust(self) -> None:
        security = self.security()
        self.assertIsNone(security.server)
        self.assertIsNone(security.vouch)
        self.assertTrue(security.dialling.prefers_tls)

    def test_a_certificate_and_its_key_in_one_file_or_two(self) -> None:
        self.assertIsInstance(self.with_files().server, ServerTLS)
        both = self.folder.path / "both.pem"
        both.write_bytes(self.issued.certificate.read_bytes() + self.issued.key.read_bytes())
        self.assertIsInstance(self.security(tls_certificate=both).server, ServerTLS)
        self.assertIn("--tls-certificate", self.refusal(tls_key=self.issued.key))

    def test_asking_for_certificates_needs_ones_own_and_an_authority_in_a_file(self) -> None:
        asking = {"tls_require_client_certificate": True}
        self.assertIsNotNone(self.with_files(tls_authority=self.authority, **asking).vouch)
        self.assertIn("needs", self.refusal(tls_authority=self.authority, **asking))
        for authority in (None, self.folder.fingerprint()):
            with self.assertRaises(StartupError):
                self.with_files(tls_authority=authority, **asking)

    def test_a_file_that_is_of_no_use_is_named(self) -> None:
        with self.assertRaises(CertificateError) as caught:
            self.security(tls_authority="/nonexistent/authority.pem")
        self.assertIn("/nonexistent/authority.pem", str(caught.exception))

    def test_a_tracker_off_loopback_is_tls_unless_it_is_said(self) -> None:
        far = [Address("10.0.0.1", 5000)]
        self.assertIn("say tls:10.0.0.1:5000", self.refusal(tracker=far))
        self.security(tracker=far, allow_plaintext=True)
        self.security(tracker=[Address("10.0.0.1", 5000, tls=True), Address("127.0.0.1", 5000)])

    def test_a_node_trusts_itself_under_its_own_names_only(self) -> None:
        security = self.with_files(near={"chat.example.org": "127.0.0.1"})
        trust = security.dialling.trust
        assert trust is not None
        self.assertIsNot(type(trust.to("chat.example.org")), type(trust.to("other.example.org")))


class ReloadTests(OptionsTestCase):
    """The files change."""

    def test_what_is_new_is_shown_from_then_on(self) -> None:
        log = LogLines(self)
        security = self.with_files()
        assert security.server is not None
        before = security.server.pem
        self.folder.issue("relay1", ["10.0.0.5"], time.time(), renew=True)
        self.assertEqual(security.server.pem, before)
        security.reload()
        self.assertNotEqual(security.server.pem, before)
        self.assertEqual(len(log.lines), 1)
        self.assertRegex(log.lines[0], "read again, and ends in 39[67] days")

    def test_what_is_of_no_use_changes_nothing_and_is_said(self) -> None:
        log = LogLines(self)
        security = self.with_files()
        assert security.server is not None
        before = security.server.pem
        self.issued.certificate.write_bytes(b"half a certif")
        security.reload()
        self.assertEqual(security.server.pem, before)
        self.assertEqual(len(log.lines), 1)
        self.assertIn("the former certificate stays in use", log.lines[0])


class HangupTests(SynchronousTestCase):
    """SIGHUP, really sent."""

    def test_it_calls_what_is_to_be_called_and_no_longer_afterwards(self) -> None:
        called: list[str] = []
        before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        signal.signal(signal.SIGHUP, lambda *_: called.append("before"))
        reloads = [lambda: called.append("one")]
        hangup = Hangup(_AtOnce(), reloads)  # type: ignore[arg-type]
        hangup.startService()
        reloads.append(lambda: called.append("two"))
        os.kill(os.getpid(), signal.SIGHUP)
        self.assertEqual(called, ["one", "two"])
        hangup.stopService()
        os.kill(os.getpid(), signal.SIGHUP)
        self.assertEqual(called, ["one", "two", "before"])


class _AtOnce:
    """A reactor whose thread is this one."""

    def callFromThread(self, call: Any) -> None:
        call()
