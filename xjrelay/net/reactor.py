# SPDX-License-Identifier: MIT
"""Twisted's epoll reactor, with less between the kernel and a connection.

Why it exists: where one message comes at a time, what is done for each wake-up is a third of what it
costs. Twisted's loop asks three times for the time, and calls each connection within a log context of
its own (so that lines logged from there begin with its class, which ours, naming their link, don't
need), after asking whether its descriptor is one still.

Of a turn's wake-ups, those purely to read are read first, one after the other, then told to their
protocols, then what these say is written: so the kernel's code, ours and the kernel's again each
run while the processor has them at hand, and what several say to one goes out as one. Everything else
goes Twisted's own way, and so do timed calls when one is due. ``tests/system/test_reactor.py`` fails
when Twisted changes what this stands on. Linux alone can import it; a server's tap does, where nobody
chose another reactor (``twistd --reactor=epoll xjrelay ...``).
"""

from __future__ import annotations

import sys
from errno import EAGAIN, EINTR, EWOULDBLOCK
from select import EPOLLIN
from typing import Any

from twisted.internet import main, tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.logger import Logger
from twisted.python import log

from xjrelay.net.context import Batch

_log = Logger()

_PLAIN = frozenset((tcp.Server, tcp.Client))
_NOT_NOW = frozenset((EAGAIN, EWOULDBLOCK, EINTR))


class QuickReactor(EPollReactor):
    """The same reactor, a wake-up to read for half the price.

    Attributes:
        batch: gathers what is written while a turn's reads are told of; for the programs' contexts.
    """

    def __init__(self) -> None:
        self.batch = Batch()
        self._buffer = bytearray(tcp.Connection.bufferSize)
        self._view = memoryview(self._buffer)
        super().__init__()

    def mainLoop(self) -> None:
        """Turn until stopped; what goes wrong in a turn is logged, and the next one begins."""
        while self._started:
            try:
                self.doPoll(self._wait())
            except Exception:
                _log.failure("the reactor's turn failed")

    def _wait(self) -> float | None:
        """Run what is due; returns the seconds to the next timed call, None for none."""
        calls = self._pendingTimedCalls
        if not (
            self.threadCallQueue
            or self._newTimedCalls
            or self._justStopped
            or (self._cancellations > 50 and self._cancellations > len(calls) >> 1)
            or not self.running
        ):
            if not calls:
                return None
            wait: float = calls[0].time - self.seconds()
            if wait > 0:
                return wait if wait < _LONGEST else _LONGEST  # min() and max() are 0.15 us each
        self.runUntilCurrent()
        timeout: float | None = self.timeout()
        return timeout if self.running else 0.0

    def doPoll(self, timeout: float | None) -> None:
        """Wait for descriptors so long, and serve those that are ready.

        What ``doRead`` of a plain connection does is done here, through one buffer for all. Without it each
        read takes 64 KiB of memory and gives most of it back; where what was read is kept, until it is
        acknowledged, no two of them find room in the same place.
        """
        selectables, buffer, view = self._selectables, self._buffer, self._view
        try:
            ready = self._poller.poll(-1 if timeout is None else timeout, MOST_READY)
        except InterruptedError:
            return
        read: list[tuple[Any, bytes]] = []
        held = again = 0
        for fd, event in ready:
            selectable = selectables.get(fd)
            if selectable is None:  # ended by one before it
                continue
            if event != EPOLLIN or type(selectable) not in _PLAIN:
                log.callWithLogger(selectable, self._doReadOrWrite, selectable, fd, event)
                continue
            while True:
                try:
                    size = selectable.socket.recv_into(buffer)
                except OSError as error:
                    if error.errno not in _NOT_NOW:
                        self._disconnectSelectable(selectable, main.CONNECTION_LOST, True)
                    break
                if not size:
                    self._disconnectSelectable(selectable, main.CONNECTION_DONE, True)
                    break
                read.append((selectable, view[:size].tobytes()))
                held += size
                if held >= MOST_HELD:
                    self._tell(read)
                    read, held = [], 0
                if size < len(buffer) or again == MOST_AGAIN or fd not in self._reads:
                    break
                again += 1
        if read:
            self._tell(read)

    def _tell(self, read: list[tuple[Any, bytes]]) -> None:
        """Tell the protocols what was read, and let what they say be written together.

        One that another has ended meanwhile hears no more, as if the kernel still had it.
        """
        batch = self.batch
        began, batch.open = not batch.open, True
        for connection, data in read:
            if connection.disconnecting or connection._aborting or not connection.connected:
                continue
            try:
                connection.protocol.dataReceived(data)
            except BaseException as error:
                _log.failure("a connection's protocol failed")
                self._disconnectSelectable(connection, error, True)
        if began:
            batch.end()

    doIteration = doPoll


MOST_READY = 64
"""Descriptors that are served a turn; room for each is made anew every time."""

MOST_HELD = 32 * 1024
"""Bytes that are read before they are told of: more don't stay in the processor's caches meanwhile."""

MOST_AGAIN = 16
"""Reads a turn of connections that had more to say than one read took. A relay speaks for all of its users
over one link: served like one user it would be what all wait for, and what is under way would only grow."""

_LONGEST = 86400.0
"""Seconds that epoll is asked to wait at most; it takes 24 days in milliseconds."""


def install() -> bool:
    """Make it the process's reactor; False where there is one already."""
    if "twisted.internet.reactor" in sys.modules:
        return False
    installReactor(QuickReactor())
    return True
