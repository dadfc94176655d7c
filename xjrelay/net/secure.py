# SPDX-License-Identifier: MIT
"""A listener's TLS: the standard library's, over memory buffers, straight to the socket.

Why it exists: Twisted's layer (pyOpenSSL over memory buffers) cost three times what the relay itself
costs a message, in calls from Python into C one by one, in buffers of its own, and in exceptions for
"no more for now". Here a read is one decryption a record and one ``dataReceived`` in all, a write is
one encryption and one ``send``; the cryptography is OpenSSL's either way. Memory buffers rather than a
socket owned by TLS, because so everything below stays the transport's business (limits, pauses,
closing, a pipe in memory), and what is tested in memory is what runs.

What is there for each connection is what a message over one of many costs: it has left the processor's
cache since the last one. So every attribute is a slot; what a link asks of the transport is written
out, since a ``__getattr__`` for it, as Twisted's wrappers have one, makes each look at an attribute of
our own ten times as dear; and all connections of a listener share two buffers (:class:`Buffers`).

Nothing encrypted waits here: a write is with the transport when it returns, so the producer that the
transport pauses is the right one. TLS 1.3 has no renegotiation, and 1.2 has it off, so a write never
waits for a read once the handshake is through. Must not import a link.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast
from typing import Protocol as Seam

from OpenSSL import crypto
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    ISSLTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from xjrelay.net.direct import is_plain, straight

RECORD = 16 * 1024
"""Bytes of plain text that one record holds at most."""


class Showing(Seam):
    """What a listener's next connection is made with; those that are open keep what they have.

    Attributes:
        context: of a server.
        certificate: the one it shows, in DER, to which logins are bound.
    """

    context: ssl.SSLContext
    certificate: bytes


class Buffers:
    """What is encrypted, on its way into TLS and out of it: of whichever connection is at work.

    The rule: whoever has put something in leaves both empty before any code runs that isn't OpenSSL's or
    its own. OpenSSL takes what is part of a record and keeps it itself, so what it asks more for it has
    taken all of; the rest is left after an end only, and thrown away (:meth:`SecureStream._leave`). With
    two buffers for each connection it was 3 KB more a session.
    """

    __slots__ = ("incoming", "outgoing")

    def __init__(self) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()


@implementer(ISSLTransport)
class SecureStream(Protocol):
    """One connection, between its transport and its protocol.

    Args:
        showing: what it is made with.
        inner: the protocol.
        buffers: those of all connections in this thread that this is one of.

    The protocol sees the connection before TLS is agreed upon, so that its deadline is running, and
    hears of the agreement as an ``IHandshakeListener``. What it writes before waits for that.

    The end: :meth:`loseConnection` says TLS's goodbye (close_notify), drops what still comes, and
    closes when the other side has said it too; whoever wants no more waiting aborts. A
    connection that ends without a goodbye is lost (``ConnectionLost``), not done.
    """

    __slots__ = (
        *("_agreed", "_deaf", "_early", "_incoming", "_inner", "_outgoing", "_plain", "_raw", "_reason"),
        *("_silent", "_tls", "connected", "disconnecting", "own_certificate", "transport"),
    )

    def __init__(self, showing: Showing, inner: IProtocol, buffers: Buffers) -> None:
        self._inner: Any = inner  # None when it is over
        self.transport: ITransport | None = None
        self.connected = 0
        self.disconnecting = False
        self.own_certificate = showing.certificate
        self._incoming, self._outgoing = buffers.incoming, buffers.outgoing
        self._tls = showing.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        # What SSLObject's own methods call; their wrapping in Python is a third of the cost of a record.
        self._raw: Any = self._tls._sslobj  # type: ignore[attr-defined]
        self._early: list[bytes] = []  # written before TLS was agreed upon
        self._agreed = False
        self._silent = False  # our goodbye is said, or there is nobody to say it to
        self._deaf = False  # nothing more is heard
        self._reason: Failure | None = None  # why TLS failed
        self._plain = False

    @property
    def peer_certificate(self) -> bytes | None:
        """What the other side showed and OpenSSL has checked, in DER; None where it showed none."""
        return self._tls.getpeercert(binary_form=True)

    def getPeerCertificate(self) -> crypto.X509 | None:
        """The same in Twisted's form."""
        der = self.peer_certificate
        return None if der is None else crypto.load_certificate(crypto.FILETYPE_ASN1, der)

    # -- what the protocol asks --------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Encrypt, and hand to the transport."""
        if not self._agreed:
            self._early.append(data)
        elif data and not self._silent:
            try:
                sent = self._raw.write(data)
                while sent < len(data):
                    sent += self._raw.write(memoryview(data)[sent:])
            except Exception:
                self._fail(Failure())
                return
            if self._plain:
                straight(self.transport, self._outgoing.read())
            else:
                self._send()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Likewise, several pieces at once."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Close when everything is written and both sides have said goodbye."""
        if self.disconnecting:
            return
        if not self._agreed and not self._early:
            self.abortConnection()
            return
        self.disconnecting = True
        if self._agreed:
            self._say_goodbye()

    def loseWriteConnection(self) -> None:
        """Say goodbye, and go on hearing."""
        if self._agreed:
            self._say_goodbye()

    def abortConnection(self) -> None:
        """Cut, without a word."""
        self.disconnecting = self._silent = self._deaf = True
        self._below.abortConnection()

    def getPeer(self) -> Any:
        """Where the other side is."""
        return self._below.getPeer()

    def getHost(self) -> Any:
        """Where this side is."""
        return self._below.getHost()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Whom the transport slows down: nothing waits here."""
        self._below.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Nobody any more."""
        self._below.unregisterProducer()

    def pauseProducing(self) -> None:
        """Read nothing for now."""
        self._below.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        self._below.resumeProducing()

    def stopProducing(self) -> None:
        """Close, as a producer is asked to."""
        self.loseConnection()

    def getTcpNoDelay(self) -> bool:
        """Of the transport; it is there with TCP alone, as the three that follow."""
        return bool(self._below.getTcpNoDelay())

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Of the transport."""
        self._below.setTcpNoDelay(enabled)

    def getTcpKeepAlive(self) -> bool:
        """Of the transport."""
        return bool(self._below.getTcpKeepAlive())

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Of the transport."""
        self._below.setTcpKeepAlive(enabled)

    # -- what the transport says -------------------------------------------------------------

    def makeConnection(self, transport: ITransport) -> None:
        """Connected; the other side begins."""
        self._plain = is_plain(cast(Any, transport))
        self.transport = transport
        self.connected = 1
        self._inner.makeConnection(self)

    def dataReceived(self, data: bytes) -> None:
        """Encrypted bytes: nearly always one record, whole."""
        if self._deaf:
            return
        incoming = self._incoming
        incoming.write(data)
        if not self._agreed and not self._shake():
            return
        size = RECORD if len(data) > RECORD else len(data)
        try:
            heard = self._raw.read(size)
        except ssl.SSLWantReadError:
            self._leave()
            return
        except Exception:
            self._hear_no_more(Failure())
            return
        # Less than was asked for is all that its record had. To ask for the next one where there is none is
        # an exception, dearer than the decryption.
        if incoming.pending or self._outgoing.pending or not 0 < len(heard) < size:
            self._hear_more(heard, size)
        elif not self.disconnecting:
            self._inner.dataReceived(heard)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over, and whether that was announced."""
        if self._reason is not None:
            reason = self._reason
        elif self._agreed and not self._deaf and reason.check(ConnectionDone):
            reason = Failure(ConnectionLost("closed without a goodbye of TLS"))
        self._deaf = self._silent = True
        inner, self._inner = self._inner, None  # which ends the circle that the two are
        inner.connectionLost(reason)

    # -- TLS ---------------------------------------------------------------------------------

    @property
    def _below(self) -> Any:
        return self.transport

    def _shake(self) -> bool:
        """Go on with the handshake; whether it is through and something may be heard."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._leave()
            return False
        except Exception:
            self._fail(Failure())
            return False
        self._agreed = True
        more = self._incoming.read()
        self._leave()
        listener = IHandshakeListener(self._inner, None)
        if listener is not None:
            listener.handshakeCompleted()
        early, self._early = self._early, []
        self.writeSequence(early)
        if self.disconnecting:
            self._say_goodbye()
        if self._deaf or not more:
            return False
        self._incoming.write(more)
        return True

    def _hear_more(self, heard: bytes, size: int) -> None:
        """Decrypt all there is, after what is heard, and give it to the protocol at once."""
        pieces: list[bytes] = []
        raw, incoming = self._raw, self._incoming
        why: Failure | None = None
        try:
            while heard:
                pieces.append(heard)
                if not incoming.pending and not raw.pending():
                    break
                heard = raw.read(size)
        except ssl.SSLWantReadError:
            pass
        except Exception:
            why = Failure()
        self._leave()
        if pieces and not self.disconnecting:
            self._inner.dataReceived(b"".join(pieces))
        if why is not None or not heard:
            self._hear_no_more(why)

    def _hear_no_more(self, why: Failure | None) -> None:
        """TLS has ended, in a good way (None) or another."""
        self._leave()
        if why is None or why.check(ssl.SSLZeroReturnError):
            self._say_goodbye()
            self._deaf = True
            self._below.loseConnection()
        else:
            self._fail(why)

    def _leave(self) -> None:
        """Leave the buffers empty, for the next connection: what follows an end is for nobody, an answer of
        TLS's own (an alert, a change of keys) goes out."""
        if self._incoming.pending:
            self._incoming.read()
        self._send()

    def _say_goodbye(self) -> None:
        if self._silent:
            return
        self._silent = True
        with suppress(ssl.SSLError):  # theirs hasn't come: the ordinary case
            self._tls.unwrap()
        self._send()

    def _fail(self, failure: Failure) -> None:
        """TLS has broken: send its alert, and close."""
        failure.cleanFailure()  # of the frames, which know us: a circle
        self._reason = self._reason or failure
        self._deaf = self._silent = self.disconnecting = True
        self._leave()
        self._below.loseConnection()

    def _send(self) -> None:
        data = self._outgoing.read()
        if not data:
            return
        if self._plain:
            straight(self.transport, data)
        else:
            self._below.write(data)


class SecureFactory(Factory):
    """A listener's factory behind TLS.

    Args:
        showing: says what connections are made with.
        factory: of the protocols.
    """

    def __init__(self, showing: Showing, factory: IProtocolFactory) -> None:
        self.showing = showing
        self._factory = factory
        self._buffers = Buffers()

    def doStart(self) -> None:
        """Somebody listens."""
        self._factory.doStart()
        super().doStart()

    def doStop(self) -> None:
        """Nobody listens any more."""
        self._factory.doStop()
        super().doStop()

    def buildProtocol(self, addr: IAddress | None) -> SecureStream | None:
        """The inner protocol in TLS, or None where that is not wanted."""
        inner = self._factory.buildProtocol(cast(Any, addr))
        return None if inner is None else SecureStream(self.showing, inner, self._buffers)
