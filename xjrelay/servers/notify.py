# SPDX-License-Identifier: MIT
"""What systemd is told of a program: that it serves, that it lives, that it stops (sd_notify(3)).

A unit of ``Type=notify`` is started when its program says so and not before, and one with
``WatchdogSec=`` is killed and started again when its program falls silent. Each is a datagram to
the socket named by the environment; without one there is nobody to tell, and nothing is said.
A tap's ``makeService`` puts it around the program::

    notify = Notify.of_process(reactor)
    notify.about(make_service(options, reactor, notify.after(ANNOUNCE)))

Must not import a server.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from xjrelay.servers.listening import Place, Serving
from xjrelay.servers.startup import Program

_log = Logger()

Tell = Callable[[bytes], None]
"""Sends one datagram; raises OSError when that can't be done."""


class Notify(Service):
    """One program's word to systemd.

    Args:
        clock: the reactor.
        tell: reaches systemd; None when the program runs under something else.
        watchdog: seconds of silence after which systemd ends the program; None when it doesn't watch.
    """

    def __init__(self, clock: IReactorTime, tell: Tell | None = None, watchdog: float | None = None) -> None:
        self._clock = clock
        self._tell = tell
        self._watchdog = watchdog

    @classmethod
    def of_process(cls, clock: IReactorTime, environ: Mapping[str, str] = os.environ) -> Notify:
        """As the environment says: ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``."""
        path = environ.get("NOTIFY_SOCKET", "")
        return cls(clock, _teller(path) if path[:1] in ("/", "@") else None, _watchdog(environ))

    def about(self, program: Program) -> Program:
        """The program, whose start and end systemd hears of."""
        self.setName("notify")
        self.setServiceParent(program)  # the last to start, and the first to hear of the end
        return program

    def after(self, announce: Serving) -> Serving:
        """What announces that the program serves, and then tells systemd."""

        def serving(place: Place) -> None:
            announce(place)
            self._say(f"READY=1\nSTATUS=serves at {place.host}:{place.port}")

        return serving

    def startService(self) -> None:
        """Lives from now on, and says so."""
        super().startService()
        self._feed()

    def stopService(self) -> None:
        """Says that the end has begun. It may take a while (links to close, users to move), so the
        watchdog is fed until the process is gone: who hangs at the end hangs too."""
        super().stopService()
        self._say("STOPPING=1\nSTATUS=stops")

    def _feed(self) -> None:
        # In the reactor's own time: a reactor that is stuck says nothing.
        if self._tell is not None and self._watchdog is not None:
            self._say("WATCHDOG=1")
            self._clock.callLater(self._watchdog / 2, self._feed)

    def _say(self, words: str) -> None:
        if self._tell is None:
            return
        try:
            self._tell(words.encode())
        except OSError as error:
            _log.warn("systemd can't be told {words!r}: {why}", words=words, why=error)


def _teller(path: str) -> Tell:
    address = "\0" + path[1:] if path.startswith("@") else path

    def tell(words: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)  # a systemd that doesn't read must not stop us
            sender.sendto(words, address)

    return tell


def _watchdog(environ: Mapping[str, str]) -> float | None:
    microseconds = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or not microseconds.isdigit():
        return None
    return int(microseconds) / 1e6 or None
