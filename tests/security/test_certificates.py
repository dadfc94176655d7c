# SPDX-License-Identifier: MIT
"""Certificates are made, checked, refused and read again as they should be."""

from __future__ import annotations

import time
from pathlib import Path

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from xjrelay.net.pipe import Pipe
from xjrelay.net.tls import server_tls
from xjrelay.security.certificates import (
    CertificateError,
    Pair,
    days_left,
    fingerprint,
    issue,
    make_authority,
)
from xjrelay.security.tls import ClientTLS, ServerTLS


class End(Protocol):
    """Says one thing and keeps what it hears."""

    def __init__(self, word: bytes) -> None:
        self.word = word
        self.heard = b""
        self.failure: Failure | None = None

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.word)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.failure = reason


def meet(server: ServerTLS, client: IOpenSSLClientConnectionCreator) -> tuple[End, End]:
    """One connection of the two in memory; what each end saw."""
    clock = Clock()
    asker, answerer = End(b"ask"), End(b"answer")
    near_factory = TLSMemoryBIOFactory(client, True, ClientFactory.forProtocol(lambda: asker), clock)
    far_factory = server_tls(server, Factory.forProtocol(lambda: answerer))
    address = IPv4Address("TCP", "10.0.0.1", 5000)
    pipe = Pipe(clock, address, address)
    far = far_factory.buildProtocol(address)
    assert far is not None
    pipe.connect(near_factory.buildProtocol(address), far)
    clock.pump([0.1] * 30)
    return asker, answerer


@implementer(IOpenSSLClientConnectionCreator)
class OldClient:
    """A client that knows no newer TLS than 1.2; not every Twisted can make one."""

    def __init__(self, authority: Path) -> None:
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_max_proto_version(SSL.TLS1_2_VERSION)
        self._context.load_verify_locations(str(authority))
        self._context.set_verify(SSL.VERIFY_PEER)

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        return SSL.Connection(self._context, None)


class CertificateTests(SynchronousTestCase):
    """An authority of one's own and the certificates it signs."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.authority = make_authority("test authority", time.time())
        self.ours = self.write("ca.pem", self.authority.certificate)
        self.server = self.serve(issue(self.authority, ["relay1.example", "10.0.0.1"], time.time()))

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def serve(self, pair: Pair) -> ServerTLS:
        return ServerTLS(self.write("cert.pem", pair.certificate), self.write("key.pem", pair.key))

    def assertMeet(self, client: IOpenSSLClientConnectionCreator) -> None:
        asker, answerer = meet(self.server, client)
        self.assertEqual((asker.heard, answerer.heard), (b"answer", b"ask"))

    def assertRefused(self, client: IOpenSSLClientConnectionCreator) -> None:
        asker, _ = meet(self.server, client)
        self.assertEqual(asker.heard, b"")
        assert asker.failure is not None
        self.assertTrue(asker.failure.check(SSL.Error, VerificationError), asker.failure)

    def test_an_authority_in_a_file(self) -> None:
        for name in ("relay1.example", "10.0.0.1"):
            self.assertMeet(ClientTLS(self.ours).to(name))

    def test_an_authority_by_fingerprint(self) -> None:
        trust = ClientTLS(pinned=fingerprint(self.authority.certificate))
        for name in ("relay1.example", "10.0.0.1"):
            self.assertMeet(trust.to(name))

    def test_another_name_is_refused(self) -> None:
        pinned = ClientTLS(pinned=fingerprint(self.authority.certificate))
        for trust in (ClientTLS(self.ours), pinned):
            for name in ("relay2.example", "10.0.0.2"):
                self.assertRefused(trust.to(name))

    def test_another_authority_is_refused(self) -> None:
        other = make_authority("test authority", time.time())
        self.assertRefused(ClientTLS(self.write("other.pem", other.certificate)).to("relay1.example"))
        self.assertRefused(ClientTLS(pinned=fingerprint(other.certificate)).to("relay1.example"))
        self.assertRefused(ClientTLS().to("relay1.example"))

    def test_a_leaf_signed_by_another_with_the_pinned_authority_beside_it_is_refused(self) -> None:
        impostor = make_authority("test authority", time.time())
        pair = issue(impostor, ["relay1.example"], time.time())
        leaf = pair.certificate.replace(impostor.certificate, b"")
        self.server = self.serve(Pair(leaf + self.authority.certificate, pair.key))
        self.assertRefused(ClientTLS(pinned=fingerprint(self.authority.certificate)).to("relay1.example"))

    def test_an_ended_certificate_is_refused(self) -> None:
        self.server = self.serve(issue(self.authority, ["relay1.example"], time.time() - 400 * 86400))
        self.assertRefused(ClientTLS(self.ours).to("relay1.example"))
        self.assertRefused(ClientTLS(pinned=fingerprint(self.authority.certificate)).to("relay1.example"))

    def test_days_left(self) -> None:
        self.assertEqual(round(days_left(self.server.pem, time.time()), 1), 397)
        self.assertLess(days_left(self.server.pem, time.time() + 400 * 86400), 0)

    def test_a_renewed_certificate_is_served_after_a_reload(self) -> None:
        renewed = issue(self.authority, ["relay9.example"], time.time())
        self.write("cert.pem", renewed.certificate)
        self.write("key.pem", renewed.key)
        self.assertMeet(ClientTLS(self.ours).to("relay1.example"))
        self.server.reload()
        self.assertMeet(ClientTLS(self.ours).to("relay9.example"))

    def test_a_failed_reload_keeps_the_former_certificate(self) -> None:
        self.write("key.pem", b"no key")
        with self.assertRaises(CertificateError):
            self.server.reload()
        self.assertMeet(ClientTLS(self.ours).to("relay1.example"))

    def test_files_that_do_not_belong_together(self) -> None:
        other = issue(self.authority, ["relay1.example"], time.time())
        with self.assertRaises(CertificateError) as caught:
            ServerTLS(self.folder / "cert.pem", self.write("another-key.pem", other.key))
        self.assertIn("another-key.pem", str(caught.exception))

    def test_what_is_no_certificate_or_missing(self) -> None:
        for certificate in (self.write("junk.pem", b"junk"), self.folder / "absent.pem"):
            with self.assertRaises(CertificateError) as caught:
                ServerTLS(certificate, self.folder / "key.pem")
            self.assertIn(certificate.name, str(caught.exception))
        for bad in ("sha256:12", "md5:" + "0" * 64, "nonsense"):
            with self.assertRaises(CertificateError):
                ClientTLS(pinned=bad)

    def test_tls_1_2_only_where_it_is_allowed(self) -> None:
        client = OldClient(self.ours)
        self.assertRefused(client)
        self.server = ServerTLS(self.folder / "cert.pem", self.folder / "key.pem", allow_tls12=True)
        self.assertMeet(client)
