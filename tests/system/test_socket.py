# SPDX-License-Identifier: MIT
"""What the kernel makes of how a socket is tuned."""

from __future__ import annotations

import socket
import sys
import time
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.net.socket import tune


class Accepted:
    """A transport of a socket that was accepted, as far as tuning looks."""

    def __init__(self, handle: socket.socket) -> None:
        self._handle = handle

    def getHandle(self) -> socket.socket:
        return self._handle

    def setTcpNoDelay(self, on: bool) -> None:
        self._handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, on)

    def setTcpKeepAlive(self, on: bool) -> None:
        self._handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, on)


class TuneTests(SynchronousTestCase):
    """A connection over loopback."""

    if sys.platform != "linux":
        skip = "what is tuned here is Linux's"

    def setUp(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.far = socket.create_connection(listener.getsockname())
            self.near, _ = listener.accept()
        self.addCleanup(self.near.close)
        self.addCleanup(self.far.close)
        tune(cast(Any, Accepted(self.near)), 7.5)

    def option(self, name: int) -> int:
        return self.near.getsockopt(socket.IPPROTO_TCP, name)

    def test_what_is_set(self) -> None:
        self.assertTrue(self.option(socket.TCP_NODELAY))
        self.assertEqual(self.option(socket.TCP_USER_TIMEOUT), 7500)
        self.assertEqual(self.option(socket.TCP_QUICKACK), 0)

    def test_at_the_first_pause_the_kernel_acknowledges_at_once_again(self) -> None:
        self.far.sendall(b"x")
        self.assertEqual(self.near.recv(1), b"x")
        for _ in range(500):
            if self.option(socket.TCP_QUICKACK):
                break
            time.sleep(0.01)
        self.assertEqual(self.option(socket.TCP_QUICKACK), 1)
