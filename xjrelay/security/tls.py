# SPDX-License-Identifier: MIT
"""TLS made of files: what a listener shows, and whom a dialler trusts (protocol, section 9).

:class:`ServerTLS` reads a certificate and its key, and reads them again on demand: links that are
open keep what they have, the next one gets the new certificate.

Whom a dialler trusts is the system's authorities, one authority in a file, or one known by
its fingerprint (:class:`ClientTLS`); the name it dialled is checked in every case. A process
that dials itself knows its own certificate (:class:`OwnTLS`). TLS 1.3 is the floor, 1.2 an
option; key exchange is by elliptic curves and the ciphers are AES in GCM. Knows no reactor.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.exceptions import CertificateError as NoNameError
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
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

from xjrelay.security.certificates import (
    CertificateError,
    fingerprint,
    is_address,
    is_fingerprint,
    read_pem,
    to_pem,
)

CIPHER_STRING = "ECDHE+AESGCM"
CIPHERS = AcceptableCiphers.fromOpenSSLCipherString(CIPHER_STRING)
"""What TLS 1.2 may use where it is allowed; TLS 1.3 chooses among its own."""


class ServerTLS:
    """A listener's TLS, from two files that may change.

    Args:
        certificate: PEM file, the chain after the certificate.
        key: PEM file; may be the same one.
        allow_tls12: accept TLS 1.2 as well.
        clients: PEM file of the authority of those who may show a certificate of their own;
            None to ask nobody for one. Who shows none is let in either way, and who shows a wrong
            one is not.

    Attributes:
        context: what the next connection is made with.
        certificate: what it will show, in DER; logins are bound to it.
        pem: the certificate's file.

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
        self._minimum = ssl.TLSVersion.TLSv1_2 if allow_tls12 else ssl.TLSVersion.TLSv1_3
        self.reload()

    def reload(self) -> None:
        """Read the files again, for the connections to come."""
        files = (self._certificate, self._key)
        pem, key = map(read_pem, files)
        _shown(*files)  # which says better than the standard library what is wrong with them
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._minimum
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_ciphers(CIPHER_STRING)
        try:
            context.load_cert_chain(*files, password="")
        except ssl.SSLError as error:
            raise CertificateError(f"{self._certificate} can't be used: {error.reason}") from error
        if self._clients is not None:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata=_der(_checked(self._clients)))
        if (pem, key) != tuple(map(read_pem, files)):
            raise CertificateError(f"{self._certificate} changed while it was read; try again")
        self.context = context
        self.certificate = _der(pem)
        self.pem = pem


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

    @classmethod
    def of(
        cls,
        authority: str | os.PathLike[str] | None,
        allow_tls12: bool = False,
        shown: tuple[Path, Path] | None = None,
    ) -> ClientTLS:
        """As :class:`ClientTLS`, of an authority as a person says it: a path, or ``sha256:...``."""
        if authority is None:
            return cls(allow_tls12=allow_tls12, shown=shown)
        if is_fingerprint(authority):
            return cls(pinned=str(authority), allow_tls12=allow_tls12, shown=shown)
        return cls(Path(authority).expanduser(), allow_tls12=allow_tls12, shown=shown)

    def reload(self) -> None:
        """Read the files again, for the connections to come."""
        root = None if self._authority is None else Certificate.loadPEM(_checked(self._authority))
        self._shown = {} if self._own is None else _shown(*self._own)
        self._root = root

    def to(self, host: str) -> IOpenSSLClientConnectionCreator:
        """What a connection to ``host`` is made with; the name is checked against it."""
        options = {**self._shown, "raiseMinimumTo": self._minimum, "acceptableCiphers": CIPHERS}
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
        if not is_address(self._host):
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


def fetch_authority(host: str, port: int, pinned: str, timeout: float) -> str:
    """The certificate, in PEM, that a fingerprint means, as a server shows it. Blocks.

    For TLS other than OpenSSL's as Twisted has it, which can't be given a fingerprint. The server is
    believed no more than by :class:`ClientTLS`: signatures, fingerprint and name are checked.

    Raises:
        OSError: nobody answers there, or not in ``timeout`` seconds.
        CertificateError: the fingerprint is none, or there is no such authority above the server.
    """
    context = ClientTLS(pinned=pinned)
    made: Any = context.to(host)
    connection: SSL.Connection = made.clientConnectionForTLS(None)
    connection.set_connect_state()
    with socket.create_connection((host, port), timeout) as stream:
        try:
            _shake(connection, stream)
        except SSL.Error as error:
            raise CertificateError("no certificate of the authority with that fingerprint") from error
    for one in connection.get_peer_cert_chain(as_cryptography=True) or []:
        pem = to_pem(one)
        if fingerprint(pem) == pinned.lower():
            return pem.decode("ascii")
    raise CertificateError("the server doesn't show the authority with that fingerprint")


def _shake(connection: SSL.Connection, stream: socket.socket) -> None:
    """A handshake by hand, since a socket with a timeout is one that OpenSSL doesn't wait for."""
    while True:
        try:
            connection.do_handshake()
            return
        except SSL.WantReadError:
            with suppress(SSL.WantReadError):
                stream.sendall(connection.bio_read(1 << 16))
            heard = stream.recv(1 << 16)
            if not heard:
                raise ConnectionResetError("closed in the middle of the handshake") from None
            connection.bio_write(heard)


def _der(pem: bytes) -> bytes:
    """The first certificate of a file."""
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def _wanted(host: str) -> DNS_ID | IPAddress_ID:
    return IPAddress_ID(host) if is_address(host) else DNS_ID(host)


def _shown(certificate: Path, key: Path) -> dict[str, Any]:
    """The options of a context that shows a certificate.

    Raises:
        CertificateError: the files can't be read, or don't belong together.
    """
    chain = _chain(certificate, read_pem(certificate))
    options: dict[str, Any] = {"certificate": chain[0], "extraCertChain": chain[1:]}
    options["privateKey"] = _load_key(key)
    try:
        CertificateOptions(**options).getContext().check_privatekey()
    except SSL.Error as error:
        raise CertificateError(f"{key} is not the key of {certificate}") from error
    return options


def _parse_fingerprint(text: str) -> bytes:
    algorithm, _, digits = text.partition(":")
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        digest = b""
    if algorithm.lower() != "sha256" or len(digest) != 32:
        raise CertificateError("a fingerprint is sha256: and 64 hexadecimal digits")
    return digest


def _checked(path: Path) -> bytes:
    pem = read_pem(path)
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
        return crypto.load_privatekey(crypto.FILETYPE_PEM, read_pem(path), passphrase=b"")
    except crypto.Error as error:
        raise CertificateError(f"{path} holds no private key in PEM without a passphrase") from error
