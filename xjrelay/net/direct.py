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

from typing import Any

from twisted.internet import tcp

from xjrelay.net.socket import IStream

_PLAIN = (tcp.Server, tcp.Client)


def is_plain(transport: IStream) -> bool:
    """Whether :func:`straight` may be used with a transport."""
    return type(transport) in _PLAIN


def straight(transport: Any, data: bytes) -> None:
    """Write to a plain transport: to its socket where nothing waits before it, else as it does it.

    A function and not an object of the link's: one of those, and what it holds, is 350 bytes.
    """
    if transport.dataBuffer or transport._tempDataLen or not transport.connected:
        transport.write(data)
        return
    try:
        sent = transport.socket.send(data)
    except OSError:  # full, or broken: the transport finds out which, and says so in its way
        sent = 0
    if sent < len(data):
        transport.write(data[sent:])
