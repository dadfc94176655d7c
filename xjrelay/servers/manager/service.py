# SPDX-License-Identifier: MIT
"""The manager as a service: its threads, its place at the trackers, its orderly end.

The listening sockets are a service beside it (``servers.listening``); this one registers where
they are, tells when the manager serves, and closes links and stores in that order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from xjrelay import __version__
from xjrelay.net.secure import Showing
from xjrelay.net.tracker import DEFAULT_LEASE, Trackers
from xjrelay.servers.listening import Listening, Place, advertised
from xjrelay.servers.manager.protocol import ManagerFactory
from xjrelay.servers.manager.relays import Relays
from xjrelay.servers.manager.rotation import Rotation
from xjrelay.servers.manager.state import Manager
from xjrelay.wire.endpoints import Address
from xjrelay.wire.stanzas import ComponentHello

_log = Logger()


class Derivations(Service):
    """The threads in which keys are derived from passwords.

    Few, because each takes a whole core while it works: a storm of logins waits here rather than
    starving the reactor. Each link waits for its own, so no more wait than there are links.

    Args:
        reactor: the real one; told of results.
        threads: at most; by default all cores but one.

    Attributes:
        waiting: how many derivations run, or wait for a thread.
    """

    def __init__(self, reactor: Any, threads: int | None = None) -> None:
        self._reactor = reactor
        self.waiting = 0
        self._pool = ThreadPool(0, threads or max(1, (os.cpu_count() or 2) - 1), "derivations")

    def startService(self) -> None:
        """Ready to work; threads start with the work."""
        super().startService()
        self._pool.start()

    def stopService(self) -> None:
        """Waits for what is being derived: some milliseconds."""
        super().stopService()
        self._pool.stop()

    def run(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Fires with what the function returns."""
        self.waiting += 1
        return deferToThreadPool(self._reactor, self._pool, function, *args).addBoth(self._done)

    def _done(self, result: Any) -> Any:
        self.waiting -= 1
        return result


class ManagerService(MultiService):
    """A manager with its sockets.

    Args:
        reactor: dials the trackers; the sandbox gives a machine's.
        manager: what serves.
        listen: endpoint strings.
        trackers: where each tracker to register with is; none is allowed, then nobody is
            told where the manager is.
        manager_id: its identity over restarts.
        advertise: where others reach it, by default where it listens.
        tls: what listeners on ``tls:`` show.
        lease: what the trackers' lease is, in seconds.
        serving: called once, with the place, when the manager serves: it listens and is registered.

    Attributes:
        place: where others reach it, once it listens.
        factory: accepts its links.
        rotation: changes the key it signs with.
    """

    def __init__(
        self,
        reactor: Any,
        manager: Manager,
        listen: Sequence[str],
        trackers: Sequence[Address],
        manager_id: str,
        *,
        advertise: Sequence[Address] = (),
        tls: Showing | None = None,
        lease: float = DEFAULT_LEASE,
        serving: Callable[[Place], None] = lambda place: None,
    ) -> None:
        super().__init__()
        self.place: Place
        self.factory = ManagerFactory(manager)
        self._manager = manager
        self._manager_id = manager_id
        self._advertise = advertise
        self._serving: Callable[[Place], None] | None = serving
        plain = manager.policy.allow_plaintext
        self._listening = Listening(reactor, listen, self.factory, plain, tls)
        self._listening.setServiceParent(self)
        self.rotation = Rotation(manager)
        self.rotation.setServiceParent(self)
        self._trackers = Trackers(
            reactor,
            manager.context,
            trackers,
            self._hello,
            manager.secret.client,
            self._registered,
            lease,
        )
        self._is_alone = not trackers
        self._balancing: IDelayedCall | None = None

    @property
    def manager(self) -> Manager:
        """What serves."""
        return self._manager

    @property
    def relays(self) -> Relays:
        """The relays that are here, to be drained for instance."""
        return self._manager.relays

    @property
    def listing(self) -> int:
        """How many trackers list it."""
        return self._trackers.listing

    @property
    def is_ready(self) -> bool:
        """Whether it serves now: it listens, and a tracker that there is lists it."""
        return bool(self.running) and (self._is_alone or self._trackers.listed)

    def startService(self) -> None:
        """Opens the sockets, where that is still to be done, and goes to the trackers.

        Raises:
            StartupError: a socket can't be opened, or nobody could dial it.
        """
        super().startService()
        self.place = advertised(self._listening.places, self._advertise)
        self._manager.sessions.start()
        self._manager.post.start()
        self._balance()
        self._trackers.start()
        if self._is_alone:
            self._registered([])

    def stopService(self) -> Deferred[Any]:
        """Closes the sockets, leaves the trackers, closes every link, then the stores."""
        self._manager.stopping = True
        if self._balancing is not None and self._balancing.active():
            self._balancing.cancel()
        return Deferred.fromCoroutine(self._stop(super().stopService()))

    async def _stop(self, unlistened: Deferred[Any]) -> None:
        await unlistened
        await self._trackers.stop()
        await self.factory.close_all()
        self._manager.turns.stop()
        self._manager.slow_turns.stop()
        self._manager.standing.stop()
        self._manager.sessions.stop()
        self._manager.post.stop()
        await self._manager.settled()
        await self._manager.stores.close()

    def _balance(self) -> None:
        """Keep the relays' shares even, now and then."""
        interval = self._manager.policy.balance_interval
        self._balancing = self._manager.context.clock.callLater(interval, self._balance)
        self._manager.relays.balance(interval / 2)

    def _hello(self) -> ComponentHello:
        return ComponentHello(
            ip_local=self.place.host,
            port=self.place.port,
            type="manager",
            is_private=self.place.is_private,
            endpoints=list(self.place.endpoints) or None,
            component_id=self._manager_id,
            version=__version__,
        )

    def _registered(self, components: list[ComponentHello]) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            serving(self.place)
