# SPDX-License-Identifier: MIT
"""Finding peers on the local network, by mDNS and DNS-SD (RFC 6762, 6763).

python-zeroconf does the talking, in its own thread; it is an extra (``p2p``), and a peer without it
says so once and goes on. What is announced is the id, the name and the port; what is heard is a
hint for a dial, no more: the key proves who is there. A peer that listens on loopback only
doesn't come here at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from xjrelay.domain.peers import Place, is_keyed

_log = Logger()

TYPE: Final = "_xjrelay._tcp.local."
"""The service's type."""
RESOLVE_TIME: Final = 3.0
"""Seconds an announced peer has to say where it is."""
MAX_RESOLVING: Final = 16
"""Announcements looked into at a time; more are passed over, and come again."""

InThread = Callable[..., Deferred[Any]]
Found = Callable[[Place, str], None]


class Lan(Service):
    """Announces one peer, and looks for others.

    Args:
        reactor: gets what zeroconf's thread has to say.
        in_thread: runs what blocks.
        peer_id: whom to announce.
        name: what it calls itself.
        found: called with the place and id of each peer that announces itself.
        interfaces: addresses of the interfaces to speak on; None for all.
    """

    def __init__(
        self,
        reactor: Any,
        in_thread: InThread,
        peer_id: str,
        name: str,
        found: Found,
        interfaces: Sequence[str] | None = None,
    ) -> None:
        self._reactor = reactor
        self._in_thread = in_thread
        self._peer_id = peer_id
        self._name = name
        self._found = found
        self._interfaces = interfaces
        self._zeroconf: Any = None
        self._resolving: set[str] = set()
        self._beginning: Deferred[None] | None = None

    def begin(self, port: int) -> Deferred[None]:
        """Announce ourselves at a port, and browse; fires when that is done, or has failed."""
        self._beginning = self._in_thread(self._open, port).addErrback(self._failed)
        return self._beginning

    def stopService(self) -> Deferred[None]:
        """Take the announcement back; fires when that is said."""
        super().stopService()
        waiting = self._beginning or succeed(None)
        return waiting.addCallback(lambda _: self._in_thread(self._close)).addErrback(self._failed)

    # -- in a thread -------------------------------------------------------------------------

    def _open(self, port: int) -> None:
        zeroconf: Any = import_module("zeroconf")
        interfaces: Any = self._interfaces or zeroconf.InterfaceChoice.All
        self._zeroconf = zeroconf.Zeroconf(interfaces=interfaces, ip_version=zeroconf.IPVersion.V4Only)
        info = zeroconf.ServiceInfo(
            TYPE,
            f"{self._peer_id}.{TYPE}",
            port=port,
            properties={"id": self._peer_id, "name": self._name},
            server=f"{self._peer_id}.local.",
            parsed_addresses=list(self._interfaces or self._addresses(zeroconf)),
        )
        self._zeroconf.register_service(info)
        zeroconf.ServiceBrowser(self._zeroconf, TYPE, handlers=[self._announced])

    def _close(self) -> None:
        if self._zeroconf is not None:
            self._zeroconf.close()
            self._zeroconf = None

    @staticmethod
    def _addresses(zeroconf: Any) -> list[str]:
        return [one for one in zeroconf.get_all_addresses() if not one.startswith("127.")]

    def _announced(self, zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        """Zeroconf's thread hears of somebody."""
        if state_change.name != "Removed":
            self._reactor.callFromThread(self._look, name)

    # -- in the reactor's --------------------------------------------------------------------

    def _look(self, name: str) -> None:
        peer_id = name.removesuffix("." + TYPE)
        if not self.running or self._zeroconf is None or peer_id == self._peer_id or not is_keyed(peer_id):
            return
        if name in self._resolving or len(self._resolving) >= MAX_RESOLVING:
            return
        self._resolving.add(name)
        asking = self._in_thread(self._zeroconf.get_service_info, TYPE, name, int(RESOLVE_TIME * 1000))
        asking.addCallback(self._resolved, peer_id).addErrback(self._failed)
        asking.addBoth(lambda _: self._resolving.discard(name))

    def _resolved(self, info: Any, peer_id: str) -> None:
        if info is None or not self.running:
            return
        for address in info.parsed_addresses():
            self._found((address, info.port), peer_id)

    def _failed(self, failure: Failure) -> None:
        if failure.check(ImportError):
            _log.info("peers of this network are not found: install xjrelay[p2p], or say --discovery off")
        else:
            _log.warn("mDNS: {why}", why=failure.getErrorMessage())
