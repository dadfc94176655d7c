# SPDX-License-Identifier: MIT
"""A home router is asked to let others in (UPnP IGD), when the operator says so.

miniupnpc does the talking, in a thread; it is an extra (``p2p``). The same port is asked for outside
as we listen on, for an hour at a time, and given back at the end. A router that has none of it
costs one line of the log.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final
from typing import Protocol as Seam

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from xjrelay.domain.peers import Place

_log = Logger()

LEASE: Final = 3600
"""Seconds a mapping is asked for; it is renewed at half of that."""

InThread = Callable[..., Deferred[Any]]


class Router(Seam):
    """What can be asked of a router. Each call blocks, and raises whatever it likes."""

    def open(self, port: int) -> Place:
        """Let others in at a port; where they find it."""

    def close(self, port: int) -> None:
        """Let nobody in any more."""


class PortMapping(Service):
    """Keeps one port open at the router.

    Args:
        clock: renews.
        in_thread: runs what blocks.
        router: makes the router to ask; called in the thread.
        mapped: called with where others find us, or None when they don't any more.
    """

    def __init__(
        self,
        clock: IReactorTime,
        in_thread: InThread,
        router: Callable[[], Router],
        mapped: Callable[[Place | None], None],
    ) -> None:
        self._clock = clock
        self._in_thread = in_thread
        self._make = router
        self._router: Router | None = None
        self._mapped = mapped
        self._port = 0
        self._renewal: IDelayedCall | None = None
        self._asking: Deferred[None] = succeed(None)

    def begin(self, port: int) -> Deferred[None]:
        """Ask for a port; fires when the router has answered, or none has."""
        self._port = port
        self._renewal = self._clock.callLater(LEASE / 2, self.begin, port)
        self._asking = self._in_thread(self._open).addCallbacks(self._opened, self._failed)
        return self._asking

    def stopService(self) -> Deferred[None]:
        """Give the port back; fires when the router has answered."""
        super().stopService()
        if self._renewal is not None and self._renewal.active():
            self._renewal.cancel()
        return self._asking.addCallback(lambda _: self._in_thread(self._close)).addErrback(self._failed)

    def _open(self) -> Place:
        if self._router is None:
            self._router = self._make()
        return self._router.open(self._port)

    def _close(self) -> None:
        if self._router is not None:
            self._router.close(self._port)

    def _opened(self, place: Place) -> None:
        _log.info("the router lets others in at {host}:{port}", host=place[0], port=place[1])
        self._mapped(place)

    def _failed(self, failure: Failure) -> None:
        self._mapped(None)
        if failure.check(ImportError):
            _log.warn("no router is asked: install xjrelay[p2p]")
        else:
            _log.warn("the router lets nobody in: {why}", why=failure.getErrorMessage())


class UpnpRouter:
    """The router that miniupnpc finds.

    Raises:
        ImportError: the extra is not installed.
        OSError: no router answers.
    """

    def __init__(self) -> None:
        self._upnp = import_module("miniupnpc").UPnP(discoverdelay=2000)
        try:
            self._upnp.discover()
            self._upnp.selectigd()
        except Exception as error:  # with no router it is a bare Exception("Success")
            raise OSError("no router that speaks UPnP was found") from error

    def open(self, port: int) -> Place:
        """Map the same port; a router that knows no leases gets none."""
        ours = self._upnp.lanaddr
        for lease in (LEASE, 0):
            try:
                self._upnp.addportmapping(port, "TCP", ours, port, "xjrelay peer", "", lease)
            except Exception as error:
                why = error
                continue
            return str(self._upnp.externalipaddress()), port
        raise OSError(f"it refuses port {port}: {why}")

    def close(self, port: int) -> None:
        """Take the mapping back."""
        self._upnp.deleteportmapping(port, "TCP")
