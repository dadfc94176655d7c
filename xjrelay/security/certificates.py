# SPDX-License-Identifier: MIT
"""Certificates: a small authority of one's own, and what a certificate says (protocol, section 9).

A private deployment needs no more than one authority and a certificate for each program, all
P-256. A public one gives the files that its ACME client renews. What TLS makes of either is
``security.tls``'s. Time is an argument. Imports nothing of ours.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397
"""The longest that clients at large still accept."""

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
    return Pair(to_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


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
    return Pair(to_pem(certificate) + authority.certificate, _key_pem(key))


def fingerprint(pem: bytes) -> str:
    """``sha256:`` and the hexadecimal SHA-256 of the (first) certificate's DER form."""
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    return "sha256:" + hashlib.sha256(der).hexdigest()


def is_fingerprint(authority: str | os.PathLike[str]) -> bool:
    """Whether what a person says of an authority is its fingerprint, not its file."""
    return isinstance(authority, str) and authority.lower().startswith("sha256:")


def names_of(pem: bytes) -> list[str]:
    """The host names and addresses the (first) certificate is for."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in said if isinstance(one, x509.DNSName | x509.IPAddress)]


def spelled(host: str) -> str:
    """A host name or address as a certificate has it.

    Raises:
        ValueError: it is neither.
    """
    if not host or any(char.isspace() for char in host):
        raise ValueError("not a host name")
    return str(_alternative(host).value)


def days_left(pem: bytes, now: float) -> float:
    """Days until the (first) certificate ends; below zero when it has."""
    end = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    return (end - datetime.fromtimestamp(now, UTC)).total_seconds() / 86400


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


def _alternative(name: str) -> x509.IPAddress | x509.DNSName:
    if is_address(name):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name.encode("idna").decode("ascii"))


def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def to_pem(certificate: x509.Certificate) -> bytes:
    """A certificate as files have it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_pem(path: Path) -> bytes:
    """A file's content.

    Raises:
        CertificateError: it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from error
