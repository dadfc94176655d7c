# SPDX-License-Identifier: MIT
"""A peer is its key: the id stays with it, and TLS shows whose it is, both ways."""

from __future__ import annotations

import contextlib
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.peers import is_keyed
from xjrelay.security.identity import Identity, id_of, load_key, make_key
from xjrelay.security.private import PrivateFileError


def shake_hands(client: SSL.Connection, server: SSL.Connection) -> None:
    """Carry bytes both ways until both are through."""
    for _ in range(6):
        for one, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65536))


class KeyTests(SynchronousTestCase):
    """The file, and the id made of it."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "peer.key"

    def test_a_certificate_with_a_key_that_nobody_here_can_read_is_nobody_s(self) -> None:
        class Odd:
            def public_key(self) -> None:
                raise UnsupportedAlgorithm("an unknown curve")

        self.assertIsNone(id_of(b"no certificate"))
        self.patch(x509, "load_der_x509_certificate", lambda data: Odd())
        self.assertIsNone(id_of(b"x"))

    def test_the_id_stays_over_restarts_and_differs_between_keys(self) -> None:
        first = Identity(load_key(self.path))
        self.assertEqual(Identity(load_key(self.path)).peer_id, first.peer_id)
        self.assertTrue(is_keyed(first.peer_id))
        self.assertEqual(len(first.peer_id), 44)
        self.assertNotEqual(Identity(make_key()).peer_id, first.peer_id)

    def test_only_its_owner_can_read_it(self) -> None:
        load_key(self.path)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.path.chmod(0o644)
        self.assertRaises(PrivateFileError, load_key, self.path)

    def test_what_is_no_key_is_refused_with_the_file_s_name(self) -> None:
        other = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        for wrong in (b"", b"nonsense", other):
            error = self.assertRaises(PrivateFileError, Identity, wrong, "here/peer.key")
            self.assertIn("here/peer.key", str(error))

    def test_what_is_no_certificate_is_nobody(self) -> None:
        self.assertIsNone(id_of(b"nonsense"))


class TLSTests(SynchronousTestCase):
    """What each end learns of the other."""

    def setUp(self) -> None:
        self.alice, self.bob = Identity(make_key()), Identity(make_key())

    def test_each_end_learns_the_other_s_id(self) -> None:
        client = self.alice.to("10.0.0.1").clientConnectionForTLS(None)  # type: ignore[arg-type]
        server = self.bob.serverConnectionForTLS(None)  # type: ignore[arg-type]
        shake_hands(client, server)
        self.assertEqual(client.get_protocol_version_name(), "TLSv1.3")
        for end, other in ((client, self.bob), (server, self.alice)):
            certificate = end.get_peer_certificate(as_cryptography=True)
            assert certificate is not None
            self.assertEqual(id_of(certificate.public_bytes(Encoding.DER)), other.peer_id)

    def test_whoever_shows_no_key_is_refused(self) -> None:
        client = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
        client.set_connect_state()
        with self.assertRaises(SSL.Error):
            shake_hands(client, self.bob.serverConnectionForTLS(None))  # type: ignore[arg-type]

    def test_nothing_older_than_tls_1_3(self) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        client = SSL.Connection(context, None)
        client.set_connect_state()
        with self.assertRaises(SSL.Error):
            shake_hands(client, self.bob.serverConnectionForTLS(None))  # type: ignore[arg-type]
