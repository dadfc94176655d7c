# SPDX-License-Identifier: MIT
"""Whom an asyncio client believes: the standard library's ``ssl``, given a file or a fingerprint.

``ssl`` knows no fingerprints of authorities. So the first connection fetches the authority's
certificate from the server, checked against the fingerprint, and from then on it is as if it had been
given in a file. Must not import Twisted's reactor.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from xjrelay.client.errors import BadAddress
from xjrelay.client.network import DialError, TLSError
from xjrelay.security.certificates import CertificateError, is_fingerprint
from xjrelay.security.tls import ClientTLS, fetch_authority

InThread = Callable[[Callable[[], str]], Awaitable[str]]
"""Runs something slow off the loop's thread."""


class Authority:
    """Makes the contexts of TLS connections.

    Args:
        said: a PEM file, a fingerprint ``sha256:...``, or None for the system's authorities.

    Raises:
        BadAddress: the file can't be read, or the fingerprint is none.
    """

    def __init__(self, said: str | os.PathLike[str] | None) -> None:
        try:
            ClientTLS.of(said)
        except CertificateError as error:
            raise BadAddress(str(error)) from error
        self._pinned = str(said) if said is not None and is_fingerprint(said) else None
        self._file = None if said is None or self._pinned else Path(said).expanduser()
        self._context: ssl.SSLContext | None = None

    async def context(self, host: str, port: int, timeout: float, in_thread: InThread) -> ssl.SSLContext:
        """What a connection to ``host`` and ``port`` is made with.

        Raises:
            TLSError: nobody there shows the authority with that fingerprint.
            DialError: nobody is there.
        """
        if self._context is None:
            pem = None
            if (pinned := self._pinned) is not None:
                pem = await _fetched(in_thread(lambda: fetch_authority(host, port, pinned, timeout)))
            self._context = ssl.create_default_context(cafile=self._file, cadata=pem)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        return self._context


async def _fetched(work: Awaitable[str]) -> str:
    try:
        return await work
    except CertificateError as error:
        raise TLSError(str(error)) from error
    except ConnectionRefusedError as error:
        raise DialError("") from error
    except OSError as error:
        raise DialError((error.strerror or str(error)).lower()) from error


def tls_reason(error: ssl.SSLError) -> str:
    """Why TLS didn't come about, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    return (error.reason or "the handshake failed").replace("_", " ").lower()
