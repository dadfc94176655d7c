# SPDX-License-Identifier: MIT
"""A peer's identity: a key, the id that is made of it, and TLS that proves it (protocol, section 11).

Peers have no authority to ask. A peer *is* its key: the id is a hash of the public key, so that
nobody can have another's id without having its key, and both ends of a link show theirs. TLS 1.3
proves it; certificates are only its wrapping, so their names and times count for nothing.

Imports the shape of an id from ``domain``, and nothing else of ours but private files.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from xjrelay.domain.peers import KEYED
from xjrelay.security.private import PrivateFileError, create_private, read_private

_SINCE = datetime(2000, 1, 1, tzinfo=UTC)
_FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280, 4.1.2.5: no expiration


def make_key() -> bytes:
    """A new identity, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(path: Path) -> bytes:
    """The identity in a private file, which is made when there is none.

    Raises:
        PrivateFileError: it can't be made or read.
    """
    try:
        return read_private(path)
    except FileNotFoundError:
        create_private(path, make_key())
        return read_private(path)


def id_of(certificate: bytes) -> str | None:
    """The id of whoever proved a certificate (DER); None where there is no telling."""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KEYED + hashlib.sha256(spki).hexdigest()[:40]


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class Identity:
    """One peer's key at work: TLS connections, either way, that show it and ask for the other's.

    Args:
        pem: the private key.
        source: what the key is said to be in an error.

    Attributes:
        peer_id: the id that is made of it.

    Raises:
        PrivateFileError: it is no key of ours.
    """

    def __init__(self, pem: bytes, source: str = "the key") -> None:
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise PrivateFileError(f"{source} is damaged; without it this is a new peer to all") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise PrivateFileError(f"{source} is not a peer's key")
        certificate = _certificate(key)
        peer_id = id_of(certificate.public_bytes(Encoding.DER))
        assert peer_id is not None
        self.peer_id = peer_id
        self._context = _context(key, certificate)

    def to(self, host: str) -> IOpenSSLClientConnectionCreator:
        """What any host is dialled with: its name proves nothing here, its key does."""
        return self

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection that we begin."""
        connection = SSL.Connection(self._context, None)
        connection.set_connect_state()
        return connection

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection that the other side begins."""
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        return connection


def _context(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> SSL.Context:
    options = CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(key),
        certificate=crypto.X509.from_cryptography(certificate),
        raiseMinimumTo=TLSVersion.TLSv1_3,
    )
    context = options.getContext()
    # Whoever it is, it must show a key and prove it; who it is is looked at afterwards.
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # a resumed session proves nothing anew
    context.set_options(SSL.OP_NO_TICKET)
    return context


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "xjrelay peer")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, _SINCE, _FOR_EVER)
    return builder.sign(key, hashes.SHA256())
