# SPDX-License-Identifier: MIT
"""The tracker as a tree of services: it listens, serves, and closes in order.

Everything it needs comes as an argument, so that a test, the sandbox and the node build it as the
``tap`` does. Opens no file.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred

from xjrelay.net.context import Context, Limits
from xjrelay.net.secure import Showing
from xjrelay.net.tls import Vouch
from xjrelay.net.tracker import DEFAULT_LEASE
from xjrelay.security.secret import ClusterSecret
from xjrelay.servers.listening import Listening, Serving
from xjrelay.servers.tracker.protocol import TrackerFactory
from xjrelay.servers.tracker.rendezvous import Rendezvous
from xjrelay.storage.interfaces import StoreLoad, TrackerStores
from xjrelay.wire.errors import CloseReason


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """What may be chosen of a tracker; the defaults are those of the options."""

    listen: Sequence[str] = ("tcp:5000",)
    allow_plaintext: bool = False
    tls: Showing | None = None
    vouch: Vouch | None = None
    lease: float = DEFAULT_LEASE
    limits: Limits = field(default_factory=Limits)
    prefix: str = ""


class TrackerService(MultiService):
    """A tracker.

    Args:
        reactor: listens and tells the time.
        rng: for its links.
        secret: the cluster's.
        stores: its record; closed at the end.
        config: what may be chosen.
        serving: called with the place when it serves, which it does as soon as it listens.

    Attributes:
        context: what its links share, with their counters.
        rendezvous: its state.
        listening: its sockets; ``listening.places`` tells where, once it listens.
    """

    def __init__(
        self,
        reactor: Any,
        rng: random.Random,
        secret: ClusterSecret,
        stores: TrackerStores,
        config: TrackerConfig,
        serving: Serving = lambda place: None,
    ) -> None:
        super().__init__()
        self.context = Context(reactor, rng, config.limits, vouch=config.vouch, prefix=config.prefix)
        self.rendezvous = Rendezvous(reactor, stores.directory, config.lease)
        self.factory = TrackerFactory(self.context, self.rendezvous, secret.server)
        plain = config.allow_plaintext
        self.listening = Listening(reactor, config.listen, self.factory, plain, config.tls)
        self.listening.setServiceParent(self)
        self._stores = stores
        self._serving = serving

    @property
    def is_ready(self) -> bool:
        """Whether it serves: a tracker does as soon as it listens."""
        return bool(self.running)

    def load(self) -> StoreLoad:
        """How its store is doing."""
        return self._stores.load()

    def startService(self) -> None:
        """Serves."""
        self.rendezvous.start()
        super().startService()
        self._serving(self.listening.places[0])

    def stopService(self) -> Deferred[None]:
        """Closes the sockets, then the links, then the store; fires when all is on disk."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await super().stopService()
        await self.factory.close_all(CloseReason.SHUTDOWN)
        self.rendezvous.stop()
        await self._stores.close()
