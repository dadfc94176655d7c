# SPDX-License-Identifier: MIT
"""A tracker's links: hellos to the directory, the directory to whoever asks (protocol, section 4).

Frames become calls of :class:`Rendezvous`; there are no rules here.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall

from xjrelay.net.context import Context
from xjrelay.net.factory import LinkFactory
from xjrelay.net.proof import AdmittingLink, Check
from xjrelay.servers.tracker.rendezvous import Rendezvous
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import ComponentHello, Stanza


class TrackerProtocol(AdmittingLink):
    """One connection to a tracker, from a client, a manager or a relay.

    Args:
        context: what the tracker's links share.
        rendezvous: the tracker's state.
        check: starts a check of the cluster's secret.
    """

    label = "tracker"
    # A client of the original suite answers no ping and needs none; a component has its lease.
    may_be_mute = True

    def __init__(self, context: Context, rendezvous: Rendezvous, check: Check) -> None:
        super().__init__(context)
        self.phase = Phase.TRACKER_HELLO
        self._rendezvous = rendezvous
        self._check = check
        self._hello: ComponentHello | None = None
        self._listed = False
        self._lease: IDelayedCall | None = None

    def dataReceived(self, data: bytes) -> None:
        """Whatever a component says, it is heard."""
        if self._listed and self._hello is not None:
            self._rendezvous.directory.heard(self._hello, self.context.clock.seconds())
        super().dataReceived(data)

    def on_component_hello(self, hello: Stanza) -> None:
        """A client gets the array; a component has to prove itself first."""
        assert isinstance(hello, ComponentHello)
        if hello.type == "client":
            self._open()
            return
        self._hello = hello
        self.phase = Phase.TRACKER_PROOF
        self.demand_proof(self._check, hello)

    def admitted(self) -> None:
        """A component proved itself: it is listed, unless nobody could dial it, and gets the array."""
        assert self._hello is not None
        if self._hello.port == 0:
            self._open()
            return
        self._rendezvous.join(self._hello, self)
        self._listed = True
        self._open()
        self._watch_lease()

    def on_get_components(self, stanza: Stanza) -> None:
        """The array."""
        self.send_frame(self._rendezvous.array())

    def on_watch_components(self, stanza: Stanza) -> None:
        """The array, now and after each change."""
        self.send_frame(self._rendezvous.array())
        self._rendezvous.watch(self)

    def closed(self, reason: CloseReason) -> None:
        """The connection is gone, and with it the component."""
        if self._lease is not None and self._lease.active():
            self._lease.cancel()
        self._rendezvous.forget(self)
        if self._listed and self._hello is not None:
            self._rendezvous.leave(self._hello, self)

    def _open(self) -> None:
        self.established()
        self.phase = Phase.TRACKER_OPEN
        self.send_frame(self._rendezvous.array())

    def _watch_lease(self) -> None:
        """Looks again when the lease would end; one timer a component, none a frame."""
        assert self._hello is not None
        clock = self.context.clock
        remaining = self._rendezvous.directory.remaining(self._hello, clock.seconds())
        if remaining <= 0:
            self.abort(CloseReason.SILENT)
        else:
            self._lease = clock.callLater(remaining, self._watch_lease)


class TrackerFactory(LinkFactory[TrackerProtocol]):
    """Accepts connections to a tracker."""

    def __init__(self, context: Context, rendezvous: Rendezvous, check: Check) -> None:
        super().__init__(context, lambda: TrackerProtocol(context, rendezvous, check))
