# SPDX-License-Identifier: MIT
"""A program's TLS, made of its options: what it shows, whom it believes, and both read again.

``--tls-certificate`` and ``--tls-key`` are what listeners on ``tls:`` show, and what diallers show to a
server that asks. ``--tls-authority`` is whom diallers believe, and with
``--tls-require-client-certificate`` also whose certificates other components must show. Opens files,
and no socket.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IReactorFromThreads
from twisted.logger import Logger

from xjrelay.net.tls import Dialling, Trust, Vouch
from xjrelay.security.certificates import CertificateError, days_left, is_fingerprint
from xjrelay.security.tls import ClientTLS, OwnTLS, ServerTLS, vouch
from xjrelay.servers.options import ProgramOptions
from xjrelay.servers.reloading import Reloading
from xjrelay.servers.startup import Options, Program, StartupError
from xjrelay.wire.endpoints import is_loopback

_log = Logger()


class LinkSecurity:
    """What a program's links need of TLS.

    Args:
        options: those whose names begin with ``tls-``, and ``allow-plaintext`` and ``allow-tls12``. A node
            adds ``near``: hosts that are really itself, and where they are dialled.

    Attributes:
        server: what listeners show; None when there is no certificate.
        dialling: how diallers connect.
        vouch: judges other components' certificates; None when none is asked for.

    Raises:
        CertificateError: a file can't be read, or they don't belong together.
        StartupError: options that don't go together.
    """

    def __init__(self, options: Options) -> None:
        files = _files(options)
        authority = options["tls-authority"]
        old = options["allow-tls12"]
        required = options["tls-require-client-certificate"]
        _refuse_plain(options)
        if required and (files is None or authority is None or is_fingerprint(authority)):
            needed = "--tls-certificate, --tls-key and --tls-authority FILE"
            raise StartupError(f"--tls-require-client-certificate needs {needed}")
        clients = Path(authority).expanduser() if required else None
        self.server = None if files is None else ServerTLS(*files, allow_tls12=old, clients=clients)
        self.vouch: Vouch | None = vouch if required else None
        self._client = ClientTLS.of(authority, old, files)
        near: Mapping[str, str] = options.get("near", {})
        trust: Trust = self._client
        if near and self.server is not None:
            trust = _NearTrust(OwnTLS(self.server), self._client, near)
        self.dialling = Dialling(trust, options["allow-plaintext"], near)

    def reload(self) -> None:
        """Read the files again, for the connections to come. Where they are of no use, that is said
        and what was in use stays so."""
        try:
            self._client.reload()
            if self.server is None:
                return
            self.server.reload()
        except CertificateError as error:
            _log.error("the former certificate stays in use: {why}", why=error)
            return
        days = days_left(self.server.pem, time.time())
        _log.info("the certificate was read again, and ends in {days:.0f} days", days=days)


class _NearTrust:
    """Believes its own process by its own certificate, and everybody else as usual."""

    def __init__(self, own: Trust, others: Trust, near: Mapping[str, str]) -> None:
        self._own = own
        self._others = others
        self._near = near

    def to(self, host: str) -> IOpenSSLClientConnectionCreator:
        """What a connection to ``host`` is made with."""
        return (self._own if host in self._near else self._others).to(host)


class Hangup(Service):
    """SIGHUP: read again what may have changed.

    Args:
        reactor: the real one.
        reloads: what to call, in the reactor's thread; looked at when the signal comes.
    """

    def __init__(self, reactor: IReactorFromThreads, reloads: list[Callable[[], None]]) -> None:
        self._reactor = reactor
        self._reloads = reloads
        self._before: Any = None

    def startService(self) -> None:
        """From now on the signal means this; without, it would end the process."""
        super().startService()
        self._before = signal.signal(signal.SIGHUP, self._came)

    def stopService(self) -> None:
        """The signal means what it did before."""
        super().stopService()
        signal.signal(signal.SIGHUP, self._before)

    def _came(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._reload)

    def _reload(self) -> None:
        for reload in self._reloads:
            reload()


def hanging_up(program: Program, reactor: Any) -> Program:
    """The program, to which SIGHUP means its options again, and what it says in its ``reloads``."""
    if isinstance(program.options, ProgramOptions):
        program.reloads.insert(0, Reloading(program.options, program.applies))
    Hangup(reactor, program.reloads).setServiceParent(program)
    return program


def _refuse_plain(options: Options) -> None:
    for tracker in options.get("tracker", ()):
        if not (tracker.tls or options["allow-plaintext"] or is_loopback(tracker.host)):
            plain = f"--tracker {tracker} is off loopback without TLS"
            raise StartupError(f"{plain}; say tls:{tracker}, or --allow-plaintext if that is meant")


def _files(options: Options) -> tuple[Path, Path] | None:
    certificate, key = options["tls-certificate"], options["tls-key"]
    if certificate is None and key is None:
        return None
    if certificate is None:
        raise StartupError("--tls-key needs --tls-certificate")
    return certificate, key or certificate

