# SPDX-License-Identifier: MIT
"""Certificates: a small authority of one's own, and TLS made of files (protocol, section 9).

A private deployment needs no more than one authority and a certificate for each program, all
P-256. A public one gives the files that its ACME client renews. Either way :class:`ServerTLS`
reads them, and reads them again on demand: links that are open keep what they have, the next
one gets the new certificate.

Whom a dialler trusts is the system's authorities, one authority in a file, or one known by
its fingerprint (:class:`ClientTLS`); the name it dialled is checked in every case. A process
that dials itself knows its own certificate (:class:`OwnTLS`). TLS 1.3 is
the floor, 1.2 an option; key exchange is by elliptic curves and the ciphers are AES in GCM.
Time is an argument. Imports nothing of ours.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.exceptions import CertificateError as NoNameError
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.ssl import (
    AcceptableCiphers,
    Certificate,
    CertificateOptions,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397
"""The longest that clients at large still accept."""

CIPHERS = AcceptableCiphers.fromOpenSSLCipherString("ECDHE+AESGCM")
"""What TLS 1.2 may use where it is allowed; TLS 1.3 chooses among its own."""

_BACKDATED = timedelta(hours=1)  # clocks of small machines are wrong, mostly by less than this


class CertificateError(Exception):
    """A certificate or key can't be used; the text is one sentence that names the file."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, with those above it, and its key, both PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"<Pair {fingerprint(self.certificate)}>"


def make_authority(name: str, now: float) -> Pair:
    """A new authority that signs certificates and nothing else.

    Args:
        name: what a person reads in the certificate.
        now: seconds since 1970; it lasts ten years from then.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = (
        _builder(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def issue(authority: Pair, names: Sequence[str], now: float, key_pem: bytes | None = None) -> Pair:
    """A certificate for a program that is reached under these names.

    The authority's own certificate follows in the file, so that a client that knows only its
    fingerprint can find it.

    Args:
        authority: who signs.
        names: host names and IP addresses; the first is the one a person reads.
        now: seconds since 1970; it lasts 397 days from then.
        key_pem: the key it is for, as :class:`Pair` has it; a new one when absent.

    Raises:
        ValueError: no names, or one that can't be in a certificate.
    """
    if not names:
        raise ValueError("a certificate is for at least one name")
    signer = x509.load_pem_x509_certificate(authority.certificate)
    signing_key = _key_of(authority.key)
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    key = _key_of(key_pem) if key_pem is not None else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _builder(subject, signer.subject, key.public_key(), now, CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(above, critical=False)
    )
    certificate = builder.sign(signing_key, hashes.SHA256())
    return Pair(_pem(certificate) + authority.certificate, _key_pem(key))


def fingerprint(pem: bytes) -> str:
    """``sha256:`` and the hexadecimal SHA-256 of the (first) certificate's DER form."""
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    return "sha256:" + hashlib.sha256(der).hexdigest()


def names_of(pem: bytes) -> list[str]:
    """The host names and addresses the (first) certificate is for."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in said if isinstance(one, x509.DNSName | x509.IPAddress)]


def vouch(certificate: bytes | None, hosts: Sequence[str]) -> str | None:
    """Why a component's certificate doesn't do for the hosts it says it is at; None when it does.

    Args:
        certificate: what it showed, its chain checked already, in DER; None when it showed none.
        hosts: host names and addresses, all of which it has to be for.
    """
    if certificate is None:
        return "a component has to show a certificate here"
    patterns = extract_patterns(x509.load_der_x509_certificate(certificate))
    for host in hosts:
        try:
            verify_service_identity(patterns, [_wanted(host)], [])
        except (VerificationError, NoNameError, ValueError):
            return "its certificate is not for the host it says it is at"
    return None


def days_left(pem: bytes, now: float) -> float:
    """Days until the (first) certificate ends; below zero when it has."""
    end = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    return (end - datetime.fromtimestamp(now, UTC)).total_seconds() / 86400


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """A listener's TLS, from two files that may change.

    Args:
        certificate: PEM file, the chain after the certificate.
        key: PEM file; may be the same one.
        allow_tls12: accept TLS 1.2 as well.
        clients: PEM file of the authority of those who may show a certificate of their own;
            None to ask nobody for one. Who shows none is let in either way, and who shows a wrong
            one is not.

    Raises:
        CertificateError: from the constructor and :meth:`reload`; after a failed reload the
            former certificate stays in use.
    """

    def __init__(
        self, certificate: Path, key: Path, allow_tls12: bool = False, clients: Path | None = None
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._clients = clients
        self._minimum = TLSVersion.TLSv1_2 if allow_tls12 else TLSVersion.TLSv1_3
        self.reload()

    def reload(self) -> None:
        """Read the files again, for the connections to come."""
        pem = _read(self._certificate)
        options = _shown(self._certificate, self._key)
        if self._clients is not None:
            options["trustRoot"] = Certificate.loadPEM(_checked(self._clients))
        made = CertificateOptions(
            raiseMinimumTo=self._minimum, acceptableCiphers=CIPHERS, requireCertificate=False, **options
        )
        context = made.getContext()
        context.set_session_id(b"xjrelay")  # OpenSSL resumes no session of a client it knows without
        self._context = context
        self.pem = pem

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection with the certificate of now."""
        return SSL.Connection(self._context, None)


class ClientTLS:
    """A dialler's TLS: whom it trusts.

    Args:
        authority: PEM file of the authority; None for the system's.
        pinned: an authority's :func:`fingerprint` instead of a file.
        allow_tls12: accept TLS 1.2 as well.
        shown: our own certificate and key, for a server that asks for one; None to show none.

    Raises:
        CertificateError: a file can't be read, or the fingerprint is none.
    """

    def __init__(
        self,
        authority: Path | None = None,
        pinned: str | None = None,
        allow_tls12: bool = False,
        shown: tuple[Path, Path] | None = None,
    ) -> None:
        self._minimum = TLSVersion.TLSv1_2 if allow_tls12 else TLSVersion.TLSv1_3
        self._pinned = None if pinned is None else _parse_fingerprint(pinned)
        self._authority = authority
        self._own = shown
        self.reload()

    def reload(self) -> None:
        """Read the files again, for the connections to come."""
        root = None if self._authority is None else Certificate.loadPEM(_checked(self._authority))
        self._shown = {} if self._own is None else _shown(*self._own)
        self._root = root

    def to(self, host: str) -> IOpenSSLClientConnectionCreator:
        """What a connection to ``host`` is made with; the name is checked against it."""
        options: dict[str, Any] = {**self._shown, "raiseMinimumTo": self._minimum, "acceptableCiphers": CIPHERS}
        if self._pinned is not None:
            context = CertificateOptions(**options).getContext()
            return _PinnedConnections(context, host, self._pinned)
        return optionsForClientTLS(host, self._root or platformTrust(), extraCertificateOptions=options)


@implementer(IOpenSSLClientConnectionCreator)
class _PinnedConnections:
    """Connections that trust the one authority with a fingerprint, shown by the server itself.

    OpenSSL verifies the signatures down from whatever heads the chain; with no authority of
    its own it asks, once, whether to accept that head. The answer is the fingerprint.
    """

    def __init__(self, context: SSL.Context, host: str, pinned: bytes) -> None:
        self._context = context
        self._host = host
        self._pinned = pinned

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection that checks chain, fingerprint and name."""
        connection = SSL.Connection(self._context, None)
        if not _is_address(self._host):
            connection.set_tlsext_host_name(self._host.encode("idna"))
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify)
        return connection

    def _verify(
        self, connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int
    ) -> bool:
        if not ok and not (error in _SELF_SIGNED and self._is_pinned(certificate)):
            return False
        if depth > 0:
            return True
        try:
            patterns = extract_patterns(certificate.to_cryptography())
            verify_service_identity(patterns, [_wanted(self._host)], [])
        except (VerificationError, NoNameError):
            return False
        return True

    def _is_pinned(self, certificate: crypto.X509) -> bool:
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        return hashlib.sha256(der).digest() == self._pinned


_SELF_SIGNED = (18, 19)  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, ..._SELF_SIGNED_CERT_IN_CHAIN


class OwnTLS:
    """Dials this very process: believes its certificate, whatever it is dialled as.

    Args:
        server: what this process shows.
    """

    def __init__(self, server: ServerTLS) -> None:
        self._server = server

    def to(self, host: str) -> IOpenSSLClientConnectionCreator:
        """What a connection is made with; the host doesn't matter."""
        return _OwnConnections(self._server)


@implementer(IOpenSSLClientConnectionCreator)
class _OwnConnections:
    """Connections that trust one certificate and no authority."""

    def __init__(self, server: ServerTLS) -> None:
        self._server = server

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection that compares the certificate."""
        minimum = TLSVersion.TLSv1_3
        context = CertificateOptions(raiseMinimumTo=minimum, acceptableCiphers=CIPHERS).getContext()
        connection = SSL.Connection(context, None)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify)
        return connection

    def _verify(
        self, connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int
    ) -> bool:
        own = x509.load_pem_x509_certificate(self._server.pem)
        return depth > 0 or certificate.to_cryptography() == own


def _wanted(host: str) -> DNS_ID | IPAddress_ID:
    return IPAddress_ID(host) if _is_address(host) else DNS_ID(host)


def _shown(certificate: Path, key: Path) -> dict[str, Any]:
    """The options of a context that shows a certificate.

    Raises:
        CertificateError: the files can't be read, or don't belong together.
    """
    chain = _chain(certificate, _read(certificate))
    options: dict[str, Any] = {"privateKey": _load_key(key), "certificate": chain[0], "extraCertChain": chain[1:]}
    try:
        CertificateOptions(**options).getContext().check_privatekey()
    except SSL.Error as error:
        raise CertificateError(f"{key} is not the key of {certificate}") from error
    return options


def _key_of(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic curve key")
    return key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: float, days: int
) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(now, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _BACKDATED)
        .not_valid_after(start + timedelta(days=days))
    )


def _usage(**granted: bool) -> x509.KeyUsage:
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
        " key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: granted.get(name, False) for name in every.split()})


def _alternative(name: str) -> x509.GeneralName:
    if _is_address(name):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name.encode("idna").decode("ascii"))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _parse_fingerprint(text: str) -> bytes:
    algorithm, _, digits = text.partition(":")
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        digest = b""
    if algorithm.lower() != "sha256" or len(digest) != 32:
        raise CertificateError("a fingerprint is sha256: and 64 hexadecimal digits")
    return digest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from error


def _checked(path: Path) -> bytes:
    pem = _read(path)
    _chain(path, pem)
    return pem


def _chain(path: Path, pem: bytes) -> list[crypto.X509]:
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateError(f"{path} holds no certificate in PEM") from error
    return [crypto.X509.from_cryptography(certificate) for certificate in certificates]


def _load_key(path: Path) -> crypto.PKey:
    try:
        return crypto.load_privatekey(crypto.FILETYPE_PEM, _read(path), passphrase=b"")
    except crypto.Error as error:
        raise CertificateError(f"{path} holds no private key in PEM without a passphrase") from error
