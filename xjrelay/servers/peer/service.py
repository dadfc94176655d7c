# SPDX-License-Identifier: MIT
"""A peer as a tree of services: it listens, remembers, dials, and says good-bye.

Everything it needs comes as an argument, so that a test, the sandbox and a window build it as the
``tap`` does. Opens no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger

from xjrelay.domain.peers import Place
from xjrelay.servers.listening import Listening, Serving
from xjrelay.servers.peer.local import LocalPeer
from xjrelay.storage.interfaces import PeerStores, StoreLoad

_log = Logger()


class PeerListening(Listening):
    """A peer's sockets. They speak TLS with whoever knows it, so they may face others as they are."""

    def __init__(self, reactor: Any, endpoints: Sequence[str], factory: IProtocolFactory) -> None:
        super().__init__(reactor, endpoints, factory)

    def _check(self, text: str, host: str) -> None:
        """No warning: who comes in plain is shown as such."""


class PeerService(MultiService):
    """A peer behind its listening sockets.

    Args:
        peer: the peer.
        listening: the sockets, for its factory.
        stores: its memory; closed at the end.
        connect: places to dial from the beginning and for ever.
        serving: called with the place when it listens and has remembered whom it knows.

    Attributes:
        peer: the peer.
        started: fires when it serves, or fails with what kept it from that.
    """

    def __init__(
        self,
        peer: LocalPeer,
        listening: Listening,
        stores: PeerStores,
        connect: Sequence[Place] = (),
        serving: Serving = lambda place: None,
    ) -> None:
        super().__init__()
        self.peer = peer
        self.listening = listening
        self.started: Deferred[None] = Deferred()
        self._stores = stores
        self._connect = connect
        self._serving = serving
        self._ready = False
        listening.setServiceParent(self)

    @property
    def is_ready(self) -> bool:
        """Whether it serves."""
        return bool(self.running) and self._ready

    def load(self) -> StoreLoad:
        """How its store is doing."""
        return self._stores.load()

    def startService(self) -> None:
        """Opens the sockets where that isn't done yet, and begins."""
        self.listening.privilegedStartService()
        super().startService()
        starting = Deferred.fromCoroutine(self._start())
        starting.addErrback(self._not_started)

    def stopService(self) -> Deferred[None]:
        """Stops listening and leaves; fires when every link is gone and all is on disk."""
        return Deferred.fromCoroutine(self._stop(super().stopService()))

    async def _start(self) -> None:
        await self.peer.start(self.listening.places)
        for host, port in self._connect:
            self.peer.ask(host, port)
        self._ready = True
        self._serving(self.listening.places[0])
        self.started.callback(None)

    def _not_started(self, failure: Any) -> None:
        """Its memory can't be read: without it, it would be a stranger to its friends."""
        _log.failure("the peer could not start", failure)
        self.started.errback(failure)
        self.started.addErrback(lambda _: None)  # told above; whoever waits has been told too

    async def _stop(self, unlistened: Deferred[Any]) -> None:
        await unlistened
        await self.peer.stop()
        await self._stores.close()
