# SPDX-License-Identifier: MIT
"""Proofs bound to the TLS that carries them: whoever sits between gains nothing (RFC 5802, section 6)."""

from __future__ import annotations

import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.security.certificates import issue, make_authority
from xjrelay.security.scram import MECHANISM, PLUS, ScramClient, ScramError, ScramServer, derive, username_of

PENCIL = derive("pencil", 4096, b"0123456789abcdef")
AUTHORITY = make_authority("test authority", time.time())


def certificate(host: str) -> bytes:
    """A certificate's DER."""
    made = x509.load_pem_x509_certificate(issue(AUTHORITY, [host], time.time()).certificate)
    return made.public_bytes(serialization.Encoding.DER)


OURS, THEIRS = certificate("chat.example.org"), certificate("evil.example.org")


def client(shown: bytes | None, bound: bool = True) -> ScramClient:
    return ScramClient("esa", "pencil", certificate=shown, bound=bound)


def server(shown: bytes | None) -> ScramServer:
    return ScramServer(PENCIL, certificate=shown)


def converse(asking: ScramClient, asked: ScramServer) -> None:
    """All four messages, carried by an honest somebody."""
    asking.finish(asked.final(asking.final(asked.first(asking.first(), asking.mechanism))))


class BindingTests(SynchronousTestCase):
    """Two ends, and what each sees of the TLS between them."""

    def test_both_see_the_same_certificate(self) -> None:
        asking = client(OURS)
        self.assertEqual(asking.mechanism, PLUS)
        self.assertTrue(asking.first().startswith("p=tls-server-end-point,,"))
        converse(client(OURS), server(OURS))

    def test_without_tls_nothing_is_bound(self) -> None:
        self.assertEqual(client(None).mechanism, MECHANISM)
        converse(client(None), server(None))

    def test_a_client_that_knows_no_binding_is_let_in(self) -> None:
        converse(client(None), server(OURS))

    def test_a_proof_made_to_another_is_worth_nothing(self) -> None:
        with self.assertRaises(ScramError):
            converse(client(THEIRS), server(OURS))

    def test_who_hides_the_servers_binding_from_the_client_is_noticed(self) -> None:
        asked, asking = server(OURS), client(THEIRS, bound=False)
        self.assertEqual(asking.mechanism, MECHANISM)
        first = asking.first()
        self.assertTrue(first.startswith("y,,"))
        error = self.assertRaises(ScramError, asked.first, first, MECHANISM)
        self.assertIn("somebody between us", str(error))
        changed = "n" + first[1:]  # and who hides that as well breaks the proof
        server_first = server(OURS)
        step = asking.final(server_first.first(changed, MECHANISM))
        self.assertRaises(ScramError, server_first.final, step)

    def test_behind_somebody_who_does_the_servers_tls_the_second_try_is_let_in(self) -> None:
        asked = server(None)
        error = self.assertRaises(ScramError, asked.first, client(OURS).first(), PLUS)
        self.assertFalse(error.wrong)
        converse(client(OURS, bound=False), server(None))

    def test_the_mechanism_and_the_first_step_say_the_same(self) -> None:
        for mechanism, asking in ((PLUS, client(None)), (MECHANISM, client(OURS))):
            self.assertRaises(ScramError, server(OURS).first, asking.first(), mechanism)
        self.assertRaises(ScramError, server(OURS).first, client(OURS).first(), "SCRAM-SHA-1-PLUS")
        other = client(OURS).first().replace("tls-server-end-point", "tls-exporter")
        self.assertRaises(ScramError, server(OURS).first, other, PLUS)

    def test_the_username_is_found_in_every_form(self) -> None:
        for asking in (client(None), client(OURS), client(OURS, bound=False)):
            self.assertEqual(username_of(asking.first()), "esa")

    def test_a_signature_without_a_hash_binds_nothing_at_either_end(self) -> None:
        key = ed25519.Ed25519PrivateKey.generate()
        leaf = x509.load_der_x509_certificate(OURS)
        made = (
            x509.CertificateBuilder()
            .subject_name(leaf.subject)
            .issuer_name(leaf.subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(leaf.not_valid_before_utc)
            .not_valid_after(leaf.not_valid_after_utc)
            .sign(key, None)
        )
        der = made.public_bytes(serialization.Encoding.DER)
        self.assertEqual(client(der).mechanism, MECHANISM)
        converse(client(der), server(der))
