# SPDX-License-Identifier: MIT
"""Straight to the socket, when nothing is queued before it.

Twisted's ``write`` puts bytes into a buffer, asks the reactor to wake when the socket can take
them, and sends in a later turn: two more system calls and a wake-up, half of what it cost to
carry a message one at a time. A plain TCP socket with an empty buffer almost always takes the
bytes at once; what it doesn't take goes the transport's own way, and order is kept because that
way is taken whenever anything waits there.

This is the one place that looks at a transport's inside; ``tests/system/test_direct.py`` fails when
Twisted changes it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import tcp

from xjrelay.net.socket import IStream

_PLAIN = (tcp.Server, tcp.Client)


def writer(transport: IStream) -> Callable[[bytes], None]:
    """What writes to a transport: straight where that is possible, else its own ``write``."""
    if type(transport) not in _PLAIN:
        return transport.write
    write = transport.write
    send: Callable[[bytes], int] = transport.socket.send  # type: ignore[attr-defined]
    plain: tcp.Connection = transport  # type: ignore[assignment]

    def straight(data: bytes) -> None:
        if plain.dataBuffer or plain._tempDataLen:
            write(data)
            return
        try:
            sent = send(data)
        except OSError:  # full, or broken: the transport finds out which, and says so in its way
            sent = 0
        if sent < len(data):
            write(data[sent:])

    return straight
