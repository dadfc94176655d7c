# SPDX-License-Identifier: MIT
"""Who is believed besides by an authority's file: clients with certificates, one's own process."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.trial.unittest import SynchronousTestCase

from tests.security.test_certificates import End, meet
from xjrelay.security.certificates import CertificateError, to_pem
from xjrelay.security.folder import Folder, Issued
from xjrelay.security.tls import ClientTLS, OwnTLS, ServerTLS, vouch


def der(pem: Path) -> bytes:
    return x509.load_pem_x509_certificate(pem.read_bytes()).public_bytes(Encoding.DER)


class TLSTestCase(SynchronousTestCase):
    """A relay that asks for certificates, and a stranger's authority."""

    def setUp(self) -> None:
        self.folder, self.other = Folder(Path(self.mktemp())), Folder(Path(self.mktemp()))
        self.relay = self.issue(self.folder, "relay1", "10.0.0.5")
        self.authority = self.folder.authority_file
        self.server = ServerTLS(self.relay.certificate, self.relay.key, clients=self.authority)

    def issue(self, folder: Folder, name: str, *hosts: str) -> Issued:
        return folder.issue(name, hosts, time.time())

    def meet(self, client: IOpenSSLClientConnectionCreator) -> tuple[End, End]:
        return meet(self.server, client)

    def assertMeet(self, client: IOpenSSLClientConnectionCreator) -> None:
        asker, answerer = self.meet(client)
        self.assertEqual((asker.heard, answerer.heard), (b"answer", b"ask"))

    def assertRefused(self, client: IOpenSSLClientConnectionCreator) -> None:
        asker, answerer = self.meet(client)
        self.assertEqual((asker.heard, answerer.heard), (b"", b""))
        ends = [end.failure for end in (asker, answerer) if end.failure is not None]
        self.assertTrue(any(end.check(SSL.Error, VerificationError) for end in ends), ends)


class ClientCertificateTests(TLSTestCase):
    """Asked for, not demanded: users have none."""

    def test_who_shows_none_is_let_in(self) -> None:
        self.assertMeet(ClientTLS(self.authority).to("10.0.0.5"))

    def test_who_shows_one_of_the_authority_is_let_in(self) -> None:
        manager = self.issue(self.folder, "manager", "10.0.0.4")
        shown = (manager.certificate, manager.key)
        self.assertMeet(ClientTLS(self.authority, shown=shown).to("10.0.0.5"))
        self.assertMeet(ClientTLS(pinned=self.folder.fingerprint(), shown=shown).to("10.0.0.5"))

    def test_who_shows_a_strangers_is_not(self) -> None:
        stranger = self.issue(self.other, "manager", "10.0.0.4")
        shown = (stranger.certificate, stranger.key)
        asker, answerer = self.meet(ClientTLS(self.authority, shown=shown).to("10.0.0.5"))
        self.assertEqual((asker.heard, answerer.heard), (b"", b""))

    def test_a_renewed_one_is_shown_after_a_reload(self) -> None:
        manager = self.issue(self.folder, "manager", "10.0.0.4")
        client = ClientTLS(self.authority, shown=(manager.certificate, manager.key))
        manager.certificate.write_bytes(b"junk")
        with self.assertRaises(CertificateError):
            client.reload()
        self.assertMeet(client.to("10.0.0.5"))


class VouchTests(TLSTestCase):
    """What a component's certificate has to say."""

    def test_it_is_for_every_host_the_component_is_at(self) -> None:
        both = der(self.issue(self.folder, "both", "10.0.0.5", "relay1.example.org").certificate)
        self.assertIsNone(vouch(both, ["10.0.0.5"]))
        self.assertIsNone(vouch(both, ["relay1.example.org", "10.0.0.5"]))
        for host in ("10.0.0.6", "relay2.example.org", "example.org", "", "not a host"):
            self.assertIn("not for the host", vouch(both, [host]) or "")
        self.assertIn("not for the host", vouch(both, ["10.0.0.5", "10.0.0.6"]) or "")

    def test_none_doesnt_do(self) -> None:
        self.assertIn("has to show a certificate", vouch(None, ["10.0.0.5"]) or "")


class OwnTests(TLSTestCase):
    """A process that dials itself."""

    def test_itself_by_any_name(self) -> None:
        for host in ("127.0.0.1", "chat.example.org"):
            self.assertMeet(OwnTLS(self.server).to(host))

    def test_nobody_else_not_of_the_same_authority_either(self) -> None:
        own = OwnTLS(self.server)
        sibling = self.issue(self.folder, "relay2", "127.0.0.1")
        self.server = ServerTLS(sibling.certificate, sibling.key)
        self.assertRefused(own.to("127.0.0.1"))


class StandardLibraryTests(TLSTestCase):
    """Other implementations are stricter than OpenSSL is by default."""

    def test_certificates_pass_the_strict_reading_of_rfc_5280(self) -> None:
        context = ssl.create_default_context(cafile=self.authority)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(self.relay.certificate, self.relay.key)
        near, far = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
        asker = context.wrap_bio(near[0], near[1], server_hostname="10.0.0.5")
        answerer = server.wrap_bio(far[0], far[1], server_side=True)
        done = 0
        for _ in range(6):
            for end in (asker, answerer):
                try:
                    end.do_handshake()
                    done += 1
                except ssl.SSLWantReadError:
                    pass
                far[0].write(near[1].read())
                near[0].write(far[1].read())
        self.assertGreater(done, 1)
        self.assertEqual(asker.version(), "TLSv1.3")

    def test_a_certificate_survives_its_two_forms(self) -> None:
        pem = self.authority.read_bytes()
        self.assertEqual(to_pem(x509.load_pem_x509_certificate(pem)), pem)
