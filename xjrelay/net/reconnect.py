# SPDX-License-Identifier: MIT
"""Dialling and dialling again: a link that is meant to be there for ever.

Full jitter from the first try (the first connection waits a random part of the first delay),
because what makes a restart hard on a server is everybody coming back at once. The delay
starts again from the bottom only when the link has *authenticated*: a server that accepts and
then refuses is not a success.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall
from twisted.internet.protocol import ReconnectingClientFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from xjrelay.net.protocol import Link
from xjrelay.net.tls import Dialling, IDiallingReactor, NotDialled
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason

_log = Logger()

LinkType = TypeVar("LinkType", bound=Link)

FIRST_DELAY = 0.25
FACTOR = 1.6
CEILING = 30.0
CONNECT_TIMEOUT = 10.0


class Dialler(ReconnectingClientFactory, Generic[LinkType]):
    """Keeps one link to one address.

    Args:
        reactor: connects and tells the time.
        rng: the jitter.
        address: where to; may be changed while running, for the next try.
        build: makes the protocol of one connection. The protocol calls
            :meth:`authenticated` when it is let in.
        dialling: how, and whom it believes there.

    Attributes:
        link: the link of now, from connecting until it is lost, or None.
    """

    noisy = False
    factor = FACTOR
    initialDelay = FIRST_DELAY
    maxDelay = CEILING  # type: ignore[assignment]  # annotated int, compared with a float

    def __init__(
        self,
        reactor: IDiallingReactor,
        rng: random.Random,
        address: Address,
        build: Callable[[], LinkType],
        dialling: Dialling | None = None,
    ) -> None:
        self.delay = self.initialDelay
        self.address = address
        self.link: LinkType | None = None
        self._reactor = reactor
        self._random = rng
        self._build = build
        self._dialling = dialling or Dialling()
        self._next: IDelayedCall | None = None
        self._connector: IConnector | None = None
        self._stopped: list[Deferred[None]] = []

    def start(self) -> None:
        """Begin to dial, after a random part of the first delay."""
        self._dial_after(self._random.uniform(0, self.initialDelay))

    def authenticated(self) -> None:
        """The link was let in: the next loss starts again from the first delay."""
        self.delay = self.initialDelay

    def again(self) -> None:
        """Dial now-ish, whatever the delay had grown to: there is reason to think it helps."""
        if self._next is not None and self._next.active():
            self._next.cancel()
            self.delay = self.initialDelay
            self.start()

    def stop(self) -> Deferred[None]:
        """Dial no more and close the link; fires when it is gone."""
        self.continueTrying = 0
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None
        link = self.link
        if link is not None:
            gone: Deferred[None] = Deferred()
            self._stopped.append(gone)
            link.close(CloseReason.SHUTDOWN)
            return gone
        if self._connector is not None:
            self._connector.disconnect()
            self._connector = None
        return succeed(None)

    def buildProtocol(self, addr: IAddress | None) -> LinkType | None:
        """A connection is there."""
        link = self._build()
        link.factory = self
        self.link = link
        return link

    def clientConnectionLost(self, connector: IConnector, unused_reason: Failure) -> None:
        """The link ended."""
        self.link = None
        waiting, self._stopped = self._stopped, []
        for gone in waiting:
            gone.callback(None)
        self.retry(connector)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """Nobody answered there."""
        _log.info("no answer from {address}: {why}", address=self.address, why=reason.getErrorMessage())
        self.retry(connector)

    def retry(self, connector: IConnector | None = None) -> None:
        """Dial again after a random part of the delay, which then grows."""
        self._connector = None
        if not self.continueTrying:
            return
        self._dial_after(self._random.uniform(0, self.delay))
        self.delay = min(self.delay * self.factor, self.maxDelay)

    def _dial_after(self, seconds: float) -> None:
        self._next = self._reactor.callLater(seconds, self._dial)

    def _dial(self) -> None:
        self._next = None
        try:
            self._connector = self._dialling.connect(self._reactor, self.address, self, CONNECT_TIMEOUT)
        except NotDialled as error:
            _log.warn("{address} is not dialled: {why}", address=self.address, why=error)
            self.retry()
