# SPDX-License-Identifier: MIT
"""What a record of TLS costs in each form it can be had in here: ``python -m benchmarks.tls_forms``.

On socket pairs, without a reactor: a client sends records of 160 bytes; the form under measurement, with one
context for all connections as a listener has it, reads each and writes one like it back. The figure is the
process's CPU time for one read and one write, system calls included, the client's share not.
``docs/performance/tls.md`` has the figures and the choice.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock

from benchmarks.programs import Certificate, make_certificate
from xjrelay.net.tls import mutual_tls, server_tls
from xjrelay.security.tls import ServerTLS

WORD = b"x" * 160
READ = 65536
Serve = Callable[[], None]
"""Reads what came, and writes a word back."""
Accept = Callable[[socket.socket], Serve]
"""Makes a connection's."""


class Echo(Protocol):
    """Writes a word for what it hears."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(WORD)


class Straight:
    """A transport that writes to its socket at once, as ``net.direct`` does."""

    def __init__(self, end: socket.socket) -> None:
        self.write = end.send

    def getPeer(self) -> None: ...

    def registerProducer(self, producer: object, streaming: bool) -> None: ...


def plain(certificate: Certificate) -> Accept:
    """Without TLS: the system calls alone."""

    def accept(end: socket.socket) -> Serve:
        def serve() -> None:
            end.recv(READ)
            end.send(WORD)

        return serve

    return accept


def sockets(certificate: Certificate) -> Accept:
    """The standard library's non-blocking SSL sockets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)

    def accept(end: socket.socket) -> Serve:
        end.setblocking(False)
        secure = context.wrap_socket(end, server_side=True, do_handshake_on_connect=False)
        agreed = False

        def serve() -> None:
            nonlocal agreed
            with suppress(ssl.SSLWantReadError):
                if not agreed:
                    secure.do_handshake()
                    agreed = True
                secure.recv(READ)
                while secure.pending():
                    secure.recv(READ)
                secure.send(WORD)

        return serve

    return accept


def twisted(certificate: Certificate) -> Accept:
    """Twisted's layer: pyOpenSSL over memory buffers."""
    pem = certificate.chain.read_bytes() + certificate.key.read_bytes()
    options = PrivateCertificate.loadPEM(pem).options()
    return _over(mutual_tls(options, Factory.forProtocol(Echo), Clock()))


def ours(certificate: Certificate) -> Accept:
    """``net.secure``: the standard library over memory buffers."""
    return _over(server_tls(ServerTLS(certificate.chain, certificate.key), Factory.forProtocol(Echo)))


def _over(factory: Any) -> Accept:
    def accept(end: socket.socket) -> Serve:
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(Straight(end))

        def serve() -> None:
            protocol.dataReceived(end.recv(READ))

        return serve

    return accept


FORMS: dict[str, Callable[[Certificate], Accept]] = {
    "no TLS": plain,
    "Twisted's layer": twisted,
    "SSL sockets": sockets,
    "net.secure": ours,
}


class Client:
    """The other end, over memory buffers whatever the form; None without TLS."""

    def __init__(self, end: socket.socket, secure: bool, serve: Serve) -> None:
        self.serve = serve
        self._end = end
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # of our own server: names are not at stake
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._tls = context.wrap_bio(self._in, self._out) if secure else None
        if self._tls is not None:
            self._shake(self._tls)

    def _shake(self, tls: ssl.SSLObject) -> None:
        for finished in (False, True):
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            self._end.send(self._out.read())
            self.serve()
            if not finished:
                self._in.write(self._end.recv(READ))

    def ask(self) -> float:
        """Send a word, and let it be answered; the CPU time that took the other side, in seconds."""
        if self._tls is not None:
            self._tls.write(WORD)
        self._end.send(WORD if self._tls is None else self._out.read())
        began = time.process_time_ns()
        self.serve()
        spent = time.process_time_ns() - began
        self._end.recv(READ)
        return spent * 1e-9


def measure(name: str, certificate: Certificate, connections: int, rounds: int) -> float:
    """Microseconds of one read and one write, each connection in turn: the median round."""
    clients = list(_clients(name, certificate, connections))
    spent = []
    for _ in range(rounds):
        spent.append(sum(client.ask() for client in clients) / connections)
    return sorted(spent)[rounds // 2] * 1e6


def _clients(name: str, certificate: Certificate, connections: int) -> Iterator[Client]:
    accept = FORMS[name](certificate)
    for _ in range(connections):
        near, far = socket.socketpair()
        yield Client(near, name != "no TLS", accept(far))


def main() -> None:
    """Every form, with one connection and with many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder))
        for connections in options.connections or (1, 200, 400):
            for name in FORMS:
                cost = measure(name, certificate, connections, max(50, 5_000 // connections))
                print(f"{name:16} {connections:4} connections {cost:6.2f} us a read and a write", flush=True)


if __name__ == "__main__":
    main()
