# SPDX-License-Identifier: MIT
"""TLS under a link: wrapping a factory in it, dialling through it, and what an end can say of it.

Whom a dialler trusts comes from outside as an object with :class:`Trust`'s shape, so that this
room knows no file and no authority. Everything works on any reactor with ``connectTCP``, a
sandbox's machine too. Must not import ``security``.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from typing import Protocol as Seam

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTCP,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.protocol import ClientFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from xjrelay.net.secure import SecureFactory, SecureStream, Showing
from xjrelay.wire.endpoints import Address, is_loopback, way_in


class IDiallingReactor(IReactorTCP, IReactorTime):
    """What dialling needs of a reactor: connections and time."""


class Trust(Seam):
    """Whom a dialler believes."""

    def to(self, host: str) -> IOpenSSLClientConnectionCreator:
        """What a connection to ``host`` is made with; it checks the name."""


Vouch = Callable[[bytes | None, Sequence[str]], str | None]
"""Says why a component's certificate (DER) doesn't do for the hosts it is at; None when it does."""


class NotDialled(Exception):
    """An address that may not be dialled; the text says why."""


class PlaintextRefused(NotDialled):
    """Off loopback without TLS, and that was not allowed."""

    def __init__(self) -> None:
        super().__init__("off loopback without TLS; say --allow-plaintext if that is meant")


class NobodyTrusted(NotDialled):
    """TLS, and nobody to believe there."""

    def __init__(self) -> None:
        super().__init__("it is TLS, and nobody is trusted")


@dataclass(frozen=True, slots=True)
class Dialling:
    """How a program's diallers connect.

    Args:
        trust: whom they believe; without it TLS can't be dialled, and is not preferred.
        allow_plaintext: whether they may leave loopback without TLS.
        near: hosts that are really this machine, and where they are dialled instead.
    """

    trust: Trust | None = None
    allow_plaintext: bool = True
    near: Mapping[str, str] = field(default_factory=dict)

    @property
    def prefers_tls(self) -> bool:
        """Whether TLS is dialled where it is offered."""
        return self.trust is not None

    def way_in(self, host: str, port: int, endpoints: Iterable[str] | None) -> Address:
        """How a component is dialled that is at ``host`` and ``port`` and offers ``endpoints``."""
        return way_in(host, port, endpoints, self.prefers_tls)

    def connect(
        self, reactor: IDiallingReactor, address: Address, factory: ClientFactory[Any], timeout: float
    ) -> IConnector:
        """Dial; the outcome goes to the factory, as ``connectTCP``'s does.

        Raises:
            NotDialled: that may not be, and the factory will hear nothing of it.
        """
        host = self.near.get(address.host, address.host)
        if not address.tls:
            if not self.allow_plaintext and not is_loopback(host):
                raise PlaintextRefused
            return reactor.connectTCP(host, address.port, factory, timeout)
        if self.trust is None:
            raise NobodyTrusted
        wrapped = client_tls(self.trust.to(address.host), factory, reactor)
        return reactor.connectTCP(host, address.port, wrapped, timeout)


class _TLSFactory(TLSMemoryBIOFactory):
    """Twisted's, but a factory that wants no connection is believed, and a write is written.

    Twisted would gather small writes until the next turn of the reactor. Links gather theirs
    already (``net.context.Batch``), and a timer for each cost as much as encrypting it.
    """

    protocol = TLSMemoryBIOProtocol

    def buildProtocol(self, addr: IAddress | None) -> TLSMemoryBIOProtocol:
        """The inner protocol in TLS, or None."""
        inner = self.wrappedFactory.buildProtocol(addr)
        return None if inner is None else self.protocol(self, inner)  # type: ignore[return-value]


def server_tls(showing: Showing, factory: IProtocolFactory) -> SecureFactory:
    """A listener's factory behind TLS (see ``secure``)."""
    return SecureFactory(showing, factory)


def mutual_tls(
    creator: IOpenSSLServerConnectionCreator, factory: IProtocolFactory, clock: IReactorTime
) -> TLSMemoryBIOFactory:
    """A listener's factory behind TLS where the creator itself judges the other side's certificate,
    which the standard library has no call for."""
    return _TLSFactory(creator, False, factory, clock)


def client_tls(
    creator: IOpenSSLClientConnectionCreator, factory: IProtocolFactory, clock: IReactorTime
) -> TLSMemoryBIOFactory:
    """A dialler's factory behind TLS."""
    return _TLSFactory(creator, True, factory, clock)


def is_tls(transport: object) -> bool:
    """Whether nobody between the ends can read along."""
    return bool(ISSLTransport.providedBy(transport))


def own_certificate(transport: Any) -> bytes | None:
    """The certificate this end showed, in DER; None without TLS."""
    if isinstance(transport, SecureStream):
        return transport.own_certificate
    return _der(transport, lambda handle: handle.get_certificate(as_cryptography=True))


def peer_certificate(transport: Any) -> bytes | None:
    """The certificate the other end showed and TLS has checked, in DER; None where it showed none."""
    if isinstance(transport, SecureStream):
        return transport.peer_certificate
    return _der(transport, lambda handle: handle.get_peer_certificate(as_cryptography=True))


def _der(transport: Any, ask: Callable[[Any], Certificate | None]) -> bytes | None:
    if not is_tls(transport):
        return None
    certificate = ask(transport.getHandle())
    return None if certificate is None else certificate.public_bytes(Encoding.DER)


def failure_reason(failure: Failure) -> str:
    """Why TLS didn't come about, in a few words for a log or an error."""
    error = failure.value
    if failure.check(ConnectionDone, ConnectionLost):
        return "the other side closed the connection"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "the handshake failed").lower().replace("_", " ")
    if not isinstance(error, SSL.Error):
        if failure.check(VerificationError):  # which has no sentence of its own
            return "its certificate is for another name"
        return failure.getErrorMessage()
    reasons = [entry[2] for entry in error.args[0]] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(reasons) or "the handshake failed"
