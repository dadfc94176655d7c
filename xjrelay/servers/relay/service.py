# SPDX-License-Identifier: MIT
"""A relay, whole: what it is made of, and what it does by the clock.

:class:`Relay` runs on any reactor, a sandbox's too; :class:`RelayService` starts and stops it in
a twistd process, around the listening sockets.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from xjrelay.net.context import Context
from xjrelay.net.tls import IDiallingReactor
from xjrelay.net.tracker import DEFAULT_LEASE, Trackers
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Verifier
from xjrelay.servers.listening import Listening, Place, advertised
from xjrelay.servers.relay.draining import Draining
from xjrelay.servers.relay.identity import Identity
from xjrelay.servers.relay.peers import Peers
from xjrelay.servers.relay.protocol import Door, RelayFactory
from xjrelay.servers.relay.switch import RelaySettings, Switch
from xjrelay.servers.relay.upstream import Upstream
from xjrelay.wire import fast
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.stanzas import ComponentHello

_log = Logger()


class Relay:
    """One relay.

    Args:
        reactor: dials and tells the time.
        context: what its links share.
        settings: the operator's.
        secret: the cluster's.
        relay_id: its own, kept over restarts.
        trackers: where each is.
        lease: seconds a tracker lists what it doesn't hear.
        random_bytes: of which resume keys are made.

    Attributes:
        context: what its links share, with their counters.
        on_ready: called once, with its place, when a tracker lists it and the manager has
            welcomed it.
        factory: accepts connections; whoever makes the relay listens with it.
        identity: who it is.
        switch: its sessions and routes.
        peers: the other relays.
        upstream: the manager.
        draining: sends users elsewhere.
        on_drained: called when the manager wanted the relay drained, and it is.
    """

    def __init__(
        self,
        reactor: IDiallingReactor,
        context: Context,
        settings: RelaySettings,
        secret: ClusterSecret,
        relay_id: str,
        trackers: Sequence[Address],
        *,
        lease: float = DEFAULT_LEASE,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        verifier = Verifier(reactor.seconds)
        self.context = context
        self.identity = Identity(relay_id)
        self.switch = Switch(context, settings, random_bytes)
        shared = (reactor, context, self.identity, self.switch, verifier, secret)
        self.peers = Peers(*shared)
        self.upstream = Upstream(*shared, self._welcomed)
        self.factory = RelayFactory(
            context, Door(self.identity, verifier, secret, self.switch, self.peers, self.upstream)
        )
        self._trackers = Trackers(
            reactor, context, trackers, self.identity.to_tracker, secret.client, self._heard, lease
        )
        self.draining = Draining(context, self.switch, self.upstream, self.peers)
        self.upstream.on_given_up = self.peers.given_up
        self.upstream.on_drain = self._drain
        self._reactor = reactor
        self.on_drained: Callable[[], None] = lambda: None
        self.on_ready: Callable[[Place], None] | None = None
        self._ask_call: IDelayedCall | None = None

    @property
    def listing(self) -> int:
        """How many trackers list it."""
        return self._trackers.listing

    @property
    def is_ready(self) -> bool:
        """Whether a tracker lists it and the manager has welcomed it."""
        return self.upstream.linked and self._trackers.listed

    def start(self, place: Place) -> None:
        """Find the trackers, through them the manager, through it the other relays (R1, R2, R4).

        Args:
            place: where others reach it; it listens there already.
        """
        self.identity.place = place
        self._trackers.start()
        self._ask()

    def stop(self) -> Deferred[None]:
        """Send users elsewhere, end every session, tell whoever must know, and leave.

        Returns:
            Fires when all links are gone: at the latest some seconds after ``--drain``.
        """
        if self._ask_call is not None and self._ask_call.active():
            self._ask_call.cancel()
        self.on_ready = None
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.draining.drain(self.switch.settings.drain)
        self.draining.stop()
        self.switch.end_all(CloseReason.SHUTDOWN)
        with suppress(TimeoutError):
            await self.upstream.post.settled().addTimeout(self.switch.settings.hand_over, self._reactor)
        await deferLater(self._reactor, 0)  # receipts are gathered until their read is done
        gone = [self.peers.stop(), self.upstream.stop(), self._trackers.stop(), self.factory.close_all()]
        await gatherResults(gone)

    def _drain(self, within: float, users: int | None) -> None:
        """The manager wants users to go elsewhere, some of them or all."""
        if users is not None:
            self.draining.shed(users, within)
            return
        drained = self.draining.drain(within or self.switch.settings.drain)
        drained.addCallback(lambda _: self.on_drained())
        drained.addErrback(lambda failure: _log.failure("what follows a drain broke", failure))

    def _ask(self) -> None:
        """Ask again until there is a manager (R3)."""
        self._ask_call = self._reactor.callLater(self.switch.settings.ask_interval, self._ask)
        if not self.upstream.linked:
            self._trackers.ask()

    def _heard(self, components: list[ComponentHello]) -> None:
        way_in = self.context.dialling.way_in
        places = [(one.type, way_in(one.ip_local, one.port, one.endpoints)) for one in components]
        self.upstream.managers([place for kind, place in places if kind == "manager"])
        self.peers.listed(place for kind, place in places if kind == "relay")
        self._check_ready()

    def _welcomed(self, relays: list[tuple[str, Address]]) -> None:
        self.peers.named(self.identity.name)
        for name, place in relays:
            self.peers.keep(name, place)
        self._check_ready()

    def _check_ready(self) -> None:
        if self.on_ready is not None and self.is_ready:
            ready, self.on_ready = self.on_ready, None
            ready(self.identity.place)


class RelayService(MultiService):
    """A relay behind its listening sockets.

    Args:
        relay: the relay.
        listening: the sockets, for its factory.
        advertise: ``--advertise``.
        serving: called once, with the place, when the relay listens, is listed, and has its
            manager's welcome.
    """

    def __init__(
        self,
        relay: Relay,
        listening: Listening,
        advertise: Sequence[Address] = (),
        serving: Callable[[Place], None] = lambda place: None,
    ) -> None:
        super().__init__()
        self.relay = relay
        self._listening = listening
        self._advertise = advertise
        listening.setServiceParent(self)
        relay.on_ready = serving

    @property
    def is_ready(self) -> bool:
        """Whether it serves now."""
        return bool(self.running) and self.relay.is_ready

    def startService(self) -> None:
        """Opens the sockets where that isn't done yet, and joins the suite.

        Raises:
            StartupError: they can't be had, or nobody could be told where they are.
        """
        super().startService()
        _log.info("messages are read by the {form} form of the fast lane", form=fast.FORM)
        self.relay.start(advertised(self._listening.places, self._advertise))

    def stopService(self) -> Deferred[Any]:
        """Stops listening and leaves; fires when every link is gone."""
        return Deferred.fromCoroutine(self._stop(super().stopService()))

    async def _stop(self, unlistened: Deferred[Any]) -> None:
        await unlistened
        await self.relay.stop()
