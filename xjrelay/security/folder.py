# SPDX-License-Identifier: MIT
"""A folder with an authority and a certificate for each component, for a private deployment.

::

    authority.pem          everybody's: servers' --tls-authority, clients' --authority
    authority.key          signs, and is needed nowhere else; keep it off the servers
    relay1/certificate.pem its --tls-certificate
    relay1/key.pem         its --tls-key

Keys are made once, mode 0600, and never overwritten: a renewed certificate is for the same key.
What is there already and good for a while is left as it is, so the same call does for making,
adding and renewing. Time is an argument.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xjrelay.security.certificates import (
    CertificateError,
    Pair,
    days_left,
    fingerprint,
    issue,
    make_authority,
    names_of,
    read_pem,
    spelled,
)
from xjrelay.security.private import PrivateFileError, create_private, read_private, replace_private

RENEW_DAYS = 30.0
"""A certificate that ends sooner than this is renewed when it is looked at."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Issued:
    """One component's certificate, and what became of it.

    Attributes:
        hosts: whom it is for.
        days: until it ends.
        change: ``made``, ``renewed``, or ``kept``.
    """

    name: str
    certificate: Path
    key: Path
    hosts: list[str]
    days: float
    change: Literal["made", "renewed", "kept"]


class Folder:
    """The folder.

    Args:
        path: made when it isn't there, for its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.authority_file = path / "authority.pem"
        self._authority_key = path / "authority.key"

    def authority(self, now: float, name: str = "xjrelay") -> Pair:
        """The authority, made on first use.

        Args:
            now: seconds since 1970.
            name: what a person reads in a new one.

        Raises:
            CertificateError: it can't be made or read, others can read its key, or it is not whole.
        """
        if not self._authority_key.exists() and not self.authority_file.exists():
            made = make_authority(name, now)
            _keep_key(self._authority_key, made.key)
            _write(self.authority_file, made.certificate)
        return Pair(read_pem(self.authority_file), _read_key(self._authority_key))

    def names(self) -> list[str]:
        """The components there are."""
        return sorted(path.parent.name for path in self.path.glob("*/certificate.pem"))

    def fingerprint(self) -> str:
        """The authority's, for clients that would rather have a line than a file."""
        return fingerprint(read_pem(self.authority_file))

    def issue(self, name: str, hosts: Sequence[str], now: float, renew: bool = False) -> Issued:
        """A component's certificate: made, renewed where it ends soon or is for other hosts, or kept.

        Args:
            name: of its folder.
            hosts: host names and addresses; none for those it has.
            now: seconds since 1970.
            renew: whatever is there.

        Raises:
            CertificateError: the name or a host can't be one, or a file can't be read or written.
        """
        if not _NAME.fullmatch(name):
            raise CertificateError(f"{name!r} can't be a component's name: letters, digits, dots and dashes")
        authority = self.authority(now)
        certificate, key = self.path / name / "certificate.pem", self.path / name / "key.pem"
        before = read_pem(certificate) if certificate.exists() else None
        had = names_of(before) if before is not None else []
        wanted = [_spelled(host) for host in hosts] or had or [_spelled(name)]
        if before is not None and not renew and had == wanted and days_left(before, now) > RENEW_DAYS:
            return Issued(name, certificate, key, had, days_left(before, now), "kept")
        made = issue(authority, wanted, now, _read_key(key) if key.exists() else None)
        _keep_key(key, made.key)
        _write(certificate, made.certificate)
        days = days_left(made.certificate, now)
        return Issued(name, certificate, key, wanted, days, "made" if before is None else "renewed")


def _spelled(host: str) -> str:
    try:
        return spelled(host)
    except ValueError as error:
        raise CertificateError(f"no certificate can be made for {host!r}: {error}") from error


def _keep_key(path: Path, key: bytes) -> None:
    """Made where there is none; what is there stays."""
    try:
        create_private(path, key)
    except PrivateFileError as error:
        raise CertificateError(str(error)) from error


def _read_key(path: Path) -> bytes:
    try:
        return read_private(path)
    except FileNotFoundError as error:
        raise CertificateError(f"{path} is missing") from error
    except PrivateFileError as error:
        raise CertificateError(str(error)) from error


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and for everybody to read: a server may be reading it now."""
    try:
        replace_private(path, content)
        os.chmod(path, 0o644)
    except (PrivateFileError, OSError) as error:
        raise CertificateError(f"cannot write {path}: {error}") from error
