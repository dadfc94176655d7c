# SPDX-License-Identifier: MIT
"""Both ends of a listener's TLS, and what lies under and over it.

The client is the standard library's own, driven by hand, so that each step can be cut, repeated, left out
or falsified.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from xjrelay.net.secure import SecureFactory, SecureStream
from xjrelay.net.tls import failure_reason
from xjrelay.security.folder import Folder
from xjrelay.security.tls import ServerTLS

HOST = "10.0.0.5"


class Below(StringTransport):
    """The transport under TLS."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True

    def take(self) -> bytes:
        """What was written since the last look."""
        written: bytes = self.value()
        self.clear()
        return written


@implementer(IHandshakeListener)
class Above(Protocol):
    """The protocol over TLS: notes what it is told, in order."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.heard = b""
        self.reason: Failure | None = None

    def connectionMade(self) -> None:
        self.events.append("made")

    def handshakeCompleted(self) -> None:
        self.events.append("agreed")

    def dataReceived(self, data: bytes) -> None:
        self.events.append(len(data))
        self.heard += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.events.append("lost")
        self.reason = reason


class User:
    """A client of the standard library's TLS.

    Args:
        context: what it is made with.
        stream: the connection it talks to.
        below: that one's transport.
    """

    def __init__(self, context: ssl.SSLContext, stream: SecureStream, below: Below) -> None:
        self._in, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self.out, server_hostname=HOST)
        self.heard = b""
        self.ended = False
        self._stream = stream
        self._below = below

    def shake(self, piece: int = 1 << 20) -> None:
        """The handshake, in pieces of so many bytes each way."""
        for _ in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.go(piece)

    def say(self, *words: bytes) -> None:
        """Each is a record of its own, all in one read."""
        for word in words:
            self.tls.write(word)
        self.go()

    def go(self, piece: int = 1 << 20) -> None:
        """Carry over what waits, and hear what comes back."""
        data = self.out.read()
        for at in range(0, len(data), piece):
            self._stream.dataReceived(data[at : at + piece])
        self.hear()

    def hear(self) -> None:
        """What the other side has written."""
        self._in.write(self._below.take())
        try:
            while data := self.tls.read(1 << 16):
                self.heard += data
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True


def key_update(secrets: str) -> bytes:
    """A record that says KeyUpdate and asks for one, under a client's first keys (RFC 8446, 7.3).

    Args:
        secrets: of the connection, in the form of NSS's key log.
    """
    [line] = [one.split() for one in secrets.splitlines() if one.startswith("CLIENT_TRAFFIC_SECRET_0")]
    key, vector = expand(bytes.fromhex(line[2]), b"key", 32), expand(bytes.fromhex(line[2]), b"iv", 12)
    inner = b"\x18\x00\x00\x01\x01" + b"\x16"  # key_update, three bytes of length, requested; handshake
    header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
    return header + AESGCM(key).encrypt(vector, inner, header)


def expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label of RFC 8446, 7.1, with an empty context."""
    full = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(full)]) + full + b"\x00"
    return HKDFExpand(SHA384(), size, info).derive(secret)


class SecureTestCase(SynchronousTestCase):
    """A listener with a certificate, and a client that trusts its authority."""

    allow_tls12 = False

    def setUp(self) -> None:
        self.folder = Folder(Path(self.mktemp()))
        self.issued = self.folder.issue("relay1", [HOST], time.time())
        self.server = ServerTLS(
            self.issued.certificate, self.issued.key, self.allow_tls12, self.folder.authority_file
        )
        self.context = ssl.create_default_context(cafile=str(self.folder.authority_file))
        self.listening = SecureFactory(self.server, Factory.forProtocol(lambda: self.above))
        self.connect()

    def connect(self) -> None:
        """A new connection; nothing has been said."""
        self.below, self.above = Below(), Above()
        built = self.listening.buildProtocol(None)
        assert built is not None
        self.stream = built
        self.stream.makeConnection(self.below)
        self.user = User(self.context, self.stream, self.below)

    def agreed(self) -> None:
        """A new connection whose handshake is through."""
        self.connect()
        self.user.shake()
        self.assertEqual(self.above.events, ["made", "agreed"])

    def end(self, reason: Exception | None = None) -> None:
        """The transport says that it is over."""
        self.stream.connectionLost(Failure(reason or ConnectionDone()))

    def lost(self) -> str:
        """Why the protocol was told that it is over."""
        assert self.above.reason is not None
        return failure_reason(self.above.reason)
