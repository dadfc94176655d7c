# SPDX-License-Identifier: MIT
"""A program's options looked at without starting it: everything that is wrong, each with its place.

What is wrong with a value alone, ``options`` finds; here is what only the machine tells: files that
are not what they are said to be, certificates, addresses nobody has here. Listens for a moment and
closes again; dials nobody, and makes nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.endpoints import serverFromString
from twisted.python import usage

from xjrelay.security.certificates import CertificateError, days_left, is_fingerprint, names_of
from xjrelay.security.private import PrivateFileError
from xjrelay.security.secret import SecretError, read_secret
from xjrelay.security.tls import ClientTLS, ServerTLS, vouch
from xjrelay.servers.listening import LOOPBACK, SECURE, below_tls, interface, with_interface
from xjrelay.servers.options import ProgramOptions, options_for
from xjrelay.wire.endpoints import is_loopback

_NOBODY: Any = None  # in place of a reactor: an endpoint asks for one only when it listens
SOON = 14
"""Days; a certificate that ends sooner should have been renewed."""

Found = Iterator[tuple[str, int, str]]
"""The name of an option, which of its values, and what is wrong with it."""


def read(
    program: str, path: Path | None, environ: Mapping[str, str], said: Sequence[str] = ()
) -> tuple[ProgramOptions, list[str]]:
    """A program's options, and what is wrong with them as they stand.

    Args:
        program: ``node`` and its like.
        path: the TOML file.
        environ: the environment that counts.
        said: a command line.

    Returns:
        The options, those that are wrong with their defaults, and a sentence for each of these.
    """
    options = options_for(program)()
    options.environ, options.problems = environ, []
    words = [*(("--config", str(path)) if path is not None else ()), *said]
    try:
        usage.Options.parseOptions(options, words)
    except usage.UsageError as error:
        options.problems.append(str(error))
    return options, options.problems


def examine(options: ProgramOptions, now: float) -> list[str]:
    """What this machine tells of options that are well said.

    Args:
        options: of one program.
        now: seconds since 1970.
    """
    looks: tuple[Callable[[], Found], ...] = (
        lambda: _listening(options, "listen"),
        lambda: _listening(options, "admin"),
        lambda: _dialling(options),
        lambda: _certificate(options, now),
        lambda: _authority(options),
        lambda: _files(options),
    )
    return [f"{place(options, name, index)}: {what}" for look in looks for name, index, what in look()]


def place(options: ProgramOptions, name: str, index: int = 0) -> str:
    """Where a value of an option was said, for the beginning of a line."""
    places = options.places.get(name)
    return places[index] if places else f"--{name} (default)"


def _listening(options: ProgramOptions, name: str) -> Found:
    said = options[name]
    for index, text in enumerate(said if isinstance(said, list) else [said] if said is not None else []):
        inner, tls = below_tls(text)
        scheme = inner.partition(":")[0]
        try:
            serverFromString(_NOBODY, with_interface(inner))
        except Exception as error:  # each kind of endpoint has its own way to dislike its arguments
            if scheme != "systemd":  # its sockets are there only when systemd starts it
                yield name, index, f"{text!r} is no good endpoint: {error}"
            continue
        if tls and options.get("tls-certificate") is None:
            yield name, index, f"{text} needs --tls-certificate"
        if scheme not in LOOPBACK:
            continue
        host = interface(inner)
        if not (tls or scheme in SECURE or is_loopback(host) or options["allow-plaintext"]):
            yield (
                name,
                index,
                f"{text} is off loopback without TLS; say tls:, or allow-plaintext if that is meant",
            )
        if (why := _unbound(host)) is not None:
            yield name, index, f"{text}: nothing here has the address {host}: {why}"


def _unbound(host: str) -> str | None:
    """Why no socket can have this address here."""
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = found[0]
        with closing(socket.socket(family, kind)) as one:
            one.bind(address)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def _dialling(options: ProgramOptions) -> Found:
    for index, tracker in enumerate(options.get("tracker", ())):
        if not (tracker.tls or options["allow-plaintext"] or is_loopback(tracker.host)):
            yield (
                "tracker",
                index,
                f"{tracker} is off loopback without TLS; say tls:{tracker}, or allow-plaintext",
            )
    for index, one in enumerate(options.get("advertise", ())):
        try:
            socket.getaddrinfo(one.host, one.port)
        except OSError as error:
            yield "advertise", index, f"{one.host} is nobody's name: {(error.strerror or str(error)).lower()}"


def _certificate(options: ProgramOptions, now: float) -> Found:
    certificate, key = options.get("tls-certificate"), options.get("tls-key")
    if certificate is None:
        if key is not None:
            yield "tls-key", 0, "it needs --tls-certificate"
        return
    try:
        shown = ServerTLS(certificate, key or certificate, allow_tls12=options["allow-tls12"], clients=None)
    except CertificateError as error:
        yield ("tls-key" if key is not None and str(key) in str(error) else "tls-certificate"), 0, str(error)
        return
    days = days_left(shown.pem, now)
    if days < 0:
        yield "tls-certificate", 0, f"{certificate} ended {-days:.0f} days ago"
    elif days < SOON:
        yield "tls-certificate", 0, f"{certificate} ends in {days:.0f} days"
    for one in options.get("advertise", ()):
        der = x509.load_pem_x509_certificate(shown.pem).public_bytes(Encoding.DER)
        if vouch(der, [one.host]) is not None:
            names = ", ".join(names_of(shown.pem)) or "nobody"
            yield "tls-certificate", 0, f"{certificate} is for {names}, not for {one.host}"


def _authority(options: ProgramOptions) -> Found:
    authority = options.get("tls-authority")
    required = options.get("tls-require-client-certificate")
    try:
        ClientTLS.of(authority)
    except CertificateError as error:
        yield "tls-authority", 0, str(error)
    if required and (options["tls-certificate"] is None or authority is None or is_fingerprint(authority)):
        needed = "--tls-certificate, --tls-key and --tls-authority FILE"
        yield "tls-require-client-certificate", 0, f"it needs {needed}"


def _files(options: ProgramOptions) -> Found:
    secret: Path | None = options.get("cluster-secret-file")
    if secret is not None and secret.exists():
        try:
            read_secret(secret)
        except (SecretError, PrivateFileError) as error:
            yield "cluster-secret-file", 0, str(error)
    folder: Path | None = options["data-dir"]
    if folder is None:
        return
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        yield "data-dir", 0, f"{there} is no folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        yield "data-dir", 0, f"nothing can be made in {there}"
