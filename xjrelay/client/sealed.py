# SPDX-License-Identifier: MIT
"""TLS between two users on any stream, in either framework: bytes in, bytes out, keys proved.

Why it exists: both ends of a direct link are nobody's server. Each shows a key of its own, and who it is
the other learns from the key alone; asyncio's TLS can't ask for a certificate that no authority signed,
and Twisted's needs Twisted's transports. OpenSSL on a pair of memory buffers needs neither. It lies
between the framework's connection, of which it is the receiver, and whoever is said what was decrypted.

Imports no framework's reactor or loop.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from OpenSSL import SSL, crypto

from xjrelay.client.network import Connection, Receiver

_CHUNK = 65536


class Sealed:
    """A connection with TLS on it: the upper side's :class:`Connection`, the lower side's receiver.

    Args:
        tls: the TLS connection, without a socket, set to begin or to accept.
        on_agreed: called once, when both keys are proved; says who hears what follows, or None to end it.
    """

    def __init__(self, tls: SSL.Connection, on_agreed: Callable[[Sealed], Receiver | None]) -> None:
        self._tls = tls
        self._on_agreed = on_agreed
        self._raw: Connection | None = None
        self._upper: Receiver | None = None
        self._agreed = False
        self._over = False
        self.on_failed: Callable[[str], None] = lambda why: None
        """Called instead of ``on_agreed`` where the connection ends before."""

    def begin(self, raw: Connection) -> None:
        """The connection is there."""
        self._raw = raw
        self._step()

    # -- what the network calls --------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Bytes arrived."""
        if self._over:
            return
        self._tls.bio_write(data)
        self._step()

    def lost(self, why: str) -> None:
        """The connection is gone."""
        self._end(why)

    def _step(self) -> None:
        try:
            if not self._agreed:
                self._shake_hands()
            if self._agreed:
                self._read()
        except SSL.ZeroReturnError:
            self._flush()
            self._give_up("closed by the other end")
        except SSL.WantReadError:
            self._flush()
        except SSL.Error as error:
            self._flush()
            self._give_up(_reason(error))

    def _shake_hands(self) -> None:
        self._tls.do_handshake()
        self._agreed = True
        self._flush()
        self._upper = self._on_agreed(self)
        if self._upper is None:
            self.abort()

    def _read(self) -> None:
        while not self._over and self._upper is not None:
            self._upper.received(self._tls.recv(_CHUNK))

    def _flush(self) -> None:
        with suppress(SSL.WantReadError, SSL.Error):
            while self._raw is not None and not self._over:
                self._raw.write(self._tls.bio_read(_CHUNK))

    def _give_up(self, why: str) -> None:
        raw = self._raw
        self._end(why)
        if raw is not None:
            raw.abort()

    def _end(self, why: str) -> None:
        if self._over:
            return
        self._over = True
        if self._upper is not None:
            self._upper.lost(why)
        elif not self._agreed:
            self.on_failed(why)

    # -- what the upper side calls -----------------------------------------------------------

    @property
    def peer(self) -> bytes | None:
        """The certificate that the other end proved, in DER."""
        shown = self._tls.get_peer_certificate()
        return None if shown is None else crypto.dump_certificate(crypto.FILETYPE_ASN1, shown)

    def write(self, data: bytes) -> None:
        """Send, some time."""
        if self._over or not data:
            return
        try:
            self._tls.sendall(data)
        except SSL.Error as error:
            self._give_up(_reason(error))
            return
        self._flush()

    def close(self) -> None:
        """Send what was written, then close."""
        if self._over:
            return
        with suppress(SSL.Error):
            self._tls.shutdown()
        self._flush()
        raw = self._raw
        self._over = True
        if raw is not None:
            raw.close()

    def abort(self) -> None:
        """Close at once."""
        self._over = True
        if self._raw is not None:
            self._raw.abort()

    def pause(self) -> None:
        """Read no more for now."""
        if self._raw is not None and not self._over:
            self._raw.pause()

    def resume(self) -> None:
        """Read on."""
        if self._raw is not None and not self._over:
            self._raw.resume()

    def local(self) -> tuple[str, int]:
        """Our end's address and port."""
        return self._raw.local() if self._raw is not None else ("", 0)

    def certificate(self) -> bytes | None:
        """The other end's; nothing is bound to it here."""
        return self.peer


def _reason(error: SSL.Error) -> str:
    """OpenSSL's words for the first of its reasons."""
    reasons = error.args[0] if error.args else ()
    if isinstance(reasons, list | tuple) and reasons:
        return str(reasons[0][-1])
    return "TLS was broken off"
