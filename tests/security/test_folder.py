# SPDX-License-Identifier: MIT
"""A folder of certificates: made, added to, renewed; keys are never overwritten."""

from __future__ import annotations

import stat
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.security.certificates import CertificateError, days_left, fingerprint, names_of
from xjrelay.security.folder import RENEW_DAYS, Folder
from xjrelay.security.tls import ClientTLS, ServerTLS

DAY = 86400.0


class FolderTests(SynchronousTestCase):
    """One folder, and time."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.folder = Folder(self.path)
        self.now = time.time()

    def mode(self, name: str) -> int:
        return stat.S_IMODE((self.path / name).stat().st_mode)

    def test_what_is_made_can_be_used(self) -> None:
        issued = self.folder.issue("relay1", ["relay1.example.org", "10.0.0.5"], self.now)
        self.assertEqual(issued.change, "made")
        ServerTLS(issued.certificate, issued.key, clients=self.folder.authority_file)
        ClientTLS(self.folder.authority_file, shown=(issued.certificate, issued.key))
        self.assertEqual(self.folder.fingerprint(), fingerprint(self.folder.authority_file.read_bytes()))

    def test_keys_are_the_owners_alone_and_certificates_everybodys(self) -> None:
        self.folder.issue("relay1", ["10.0.0.5"], self.now)
        self.assertEqual((self.mode("authority.key"), self.mode("relay1/key.pem")), (0o600, 0o600))
        self.assertEqual((self.mode("authority.pem"), self.mode("relay1/certificate.pem")), (0o644, 0o644))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o700)

    def test_what_is_good_is_left_alone(self) -> None:
        first = self.folder.issue("relay1", ["10.0.0.5", "2001:DB8::1"], self.now)
        before = first.certificate.read_bytes()
        for hosts in (["10.0.0.5", "2001:db8::1"], []):
            self.assertEqual(self.folder.issue("relay1", hosts, self.now + DAY).change, "kept")
        self.assertEqual(first.certificate.read_bytes(), before)

    def test_renewed_when_it_ends_soon_for_the_same_hosts_and_key(self) -> None:
        first = self.folder.issue("relay1", ["10.0.0.5"], self.now)
        key = first.key.read_bytes()
        later = self.now + (first.days - RENEW_DAYS + 1) * DAY
        renewed = self.folder.issue("relay1", [], later)
        self.assertEqual((renewed.change, renewed.hosts), ("renewed", ["10.0.0.5"]))
        self.assertGreater(days_left(first.certificate.read_bytes(), later), RENEW_DAYS)
        self.assertEqual(first.key.read_bytes(), key)
        ServerTLS(first.certificate, first.key)

    def test_renewed_for_other_hosts_or_when_it_is_said(self) -> None:
        first = self.folder.issue("relay1", ["10.0.0.5"], self.now)
        self.assertEqual(self.folder.issue("relay1", ["10.0.0.6"], self.now).change, "renewed")
        self.assertEqual(names_of(first.certificate.read_bytes()), ["10.0.0.6"])
        self.assertEqual(self.folder.issue("relay1", [], self.now, renew=True).change, "renewed")

    def test_a_key_is_never_overwritten(self) -> None:
        self.folder.issue("relay1", ["10.0.0.5"], self.now)
        authority = (self.path / "authority.key").read_bytes()
        key = (self.path / "relay1/key.pem").read_bytes()
        (self.path / "relay1/certificate.pem").unlink()
        self.folder.issue("relay1", ["10.0.0.5"], self.now)
        self.assertEqual((self.path / "relay1/key.pem").read_bytes(), key)
        (self.path / "authority.pem").unlink()
        with self.assertRaises(CertificateError) as caught:
            self.folder.issue("relay2", ["10.0.0.6"], self.now)
        self.assertIn("authority.pem", str(caught.exception))
        self.assertEqual((self.path / "authority.key").read_bytes(), authority)

    def test_a_key_that_others_can_read_is_refused(self) -> None:
        self.folder.authority(self.now)
        (self.path / "authority.key").chmod(0o640)
        with self.assertRaises(CertificateError) as caught:
            self.folder.issue("relay1", ["10.0.0.5"], self.now)
        self.assertIn("chmod 600", str(caught.exception))

    def test_names_and_hosts_that_are_none(self) -> None:
        for name in ("", "..", "a/b", ".hidden", "x" * 65):
            with self.assertRaises(CertificateError):
                self.folder.issue(name, ["10.0.0.5"], self.now)
        with self.assertRaises(CertificateError):
            self.folder.issue("relay1", ["not a host " + "x" * 300], self.now)

    def test_a_component_is_for_its_own_name_when_nothing_is_said(self) -> None:
        self.assertEqual(self.folder.issue("relay1.example.org", [], self.now).hosts, ["relay1.example.org"])
