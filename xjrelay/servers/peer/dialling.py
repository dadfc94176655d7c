# SPDX-License-Identifier: MIT
"""Dialling: those we know, those a person names, and, sparingly, those others tell us of.

A place is dialled by TLS first. Where nobody is expected who has a key, and no TLS comes about,
it is dialled again at once in the original's plain form: such a peer needs no option, and sees one
connection that says nothing it understands. Somebody known by a key is never spoken to in plain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionRefusedError, DNSLookupError, NoRouteError, TimeoutError
from twisted.internet.interfaces import IConnector, IDelayedCall
from twisted.python.failure import Failure

from xjrelay.domain.hearsay import Hearsay
from xjrelay.domain.limits import TokenBucket
from xjrelay.domain.peers import MAX_KNOWN, Place, is_keyed
from xjrelay.net.context import Context
from xjrelay.net.reconnect import Dialler
from xjrelay.net.tls import Dialling, IDiallingReactor, Trust
from xjrelay.servers.peer.protocol import PeerLink
from xjrelay.wire.endpoints import Address

MAX_TRYING: Final = 4
"""Places heard of that are dialled at a time."""
RATE, BURST = 2.0, 20.0
"""Places heard of that are dialled a second, and at once."""
STEADY: Final = 10.0
"""Seconds a link must last for the next dial not to wait longer than the one before it."""


@dataclass(slots=True)
class Target:
    """What is dialled.

    Args:
        place: where.
        expected: whom, where we know.
        asked: whether a person named the place.
        once: whether one try is enough.
    """

    place: Place
    expected: str | None
    asked: bool = False
    once: bool = False


class PeerDialler(Dialler[PeerLink]):
    """Dials one place until somebody there is let in.

    Args:
        reactor: connects.
        context: what the links share.
        trust: makes TLS.
        target: what is dialled.
        build: makes the link.
        failed: called with this dialler after each try in vain, and why in words.
    """

    def __init__(
        self,
        reactor: IDiallingReactor,
        context: Context,
        trust: Trust,
        target: Target,
        build: Callable[[Target], PeerLink],
        failed: Callable[[PeerDialler, str], None],
    ) -> None:
        tls = target.expected is None or is_keyed(target.expected)
        address = Address(*target.place, tls)
        super().__init__(reactor, context.random, address, lambda: build(target), Dialling(trust))
        self.target = target
        self._failed = failed
        self._at_once = False
        self._why = ""

    def start(self) -> None:
        """Begin to dial, after a random part of the delay."""
        self._dial_after(self._random.uniform(0, self.delay))

    def finish(self) -> None:
        """Somebody was let in: the link goes its own way from now on."""
        self.continueTrying = 0

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """Nobody answered."""
        self._why = in_words(reason)
        super().clientConnectionFailed(connector, reason)

    def clientConnectionLost(self, connector: IConnector, unused_reason: Failure) -> None:
        """The link ended; in this form nobody was let in, so perhaps in the other."""
        link = self.link
        if link is not None and not link.peer_id:
            self._why = link.why or "whoever is there is no peer, or refused"
            self._change_form(link)
        super().clientConnectionLost(connector, unused_reason)

    def retry(self, connector: IConnector | None = None) -> None:
        """Again: at once in the other form, or later."""
        if self._at_once and self.continueTrying:
            self._at_once = False
            self._connector = None
            self._dial_after(0.0)
            return
        if self.continueTrying:
            self._failed(self, self._why)
        super().retry(connector)

    def _change_form(self, link: PeerLink) -> None:
        if is_keyed(self.target.expected or ""):
            return
        if not self.address.tls:
            self.address = self.address._replace(tls=True)
        elif not link.greeted:
            self.address = self.address._replace(tls=False)
            self._at_once = True


class Diallers:
    """A dialler at each place that should be dialled, and a few for what others tell us of.

    Args:
        reactor: connects and tells the time.
        context: what the links share.
        trust: makes TLS.
        build: makes the link for a target.
        linked: tells whether somebody is there already.
        failed: called with a place and why in words, after each try in vain at one that was asked for.
    """

    def __init__(
        self,
        reactor: IDiallingReactor,
        context: Context,
        trust: Trust,
        build: Callable[[Target], PeerLink],
        linked: Callable[[str], bool],
        failed: Callable[[Place, str], None],
    ) -> None:
        self.hearsay = Hearsay()
        self._reactor = reactor
        self._context = context
        self._trust = trust
        self._build = build
        self._linked = linked
        self._told_failed = failed
        self._diallers: dict[Place, PeerDialler] = {}
        self._trying: dict[Place, PeerDialler] = {}
        self._bucket = TokenBucket(RATE, BURST)
        self._next_try: IDelayedCall | None = None
        self._delays: dict[str, float] = {}  # of peers whose links don't last
        self._stopped = False

    def want(self, wanted: Mapping[Place, str | None], asked: Collection[Place]) -> None:
        """These places are to be dialled, with whom we expect there; no others."""
        if self._stopped:
            return
        for place, dialler in list(self._diallers.items()):
            if place not in wanted or wanted[place] != dialler.target.expected:
                del self._diallers[place]
                dialler.stop()
        for place, expected in wanted.items():
            if place in self._diallers:
                self._diallers[place].target.asked = place in asked
            else:
                dialler = self._make(Target(place, expected, place in asked))
                dialler.delay = self._delays.get(expected or "", dialler.initialDelay)
                self._diallers[place] = dialler
                dialler.start()

    def now(self, place: Place) -> None:
        """Dial a place at once, however long it would have waited."""
        if place in self._diallers:
            self._diallers[place].again()

    def try_others(self) -> None:
        """Dial some of what was heard of, as fast as that may be."""
        while not self._stopped and self._next_try is None and len(self._trying) < MAX_TRYING:
            candidate = self.hearsay.next(self._context.clock.seconds())
            if candidate is None:
                return
            if self._linked(candidate.peer_id) or candidate.place in self._diallers:
                continue
            dialler = self._make(Target(candidate.place, candidate.peer_id, once=True))
            self._trying[candidate.place] = dialler
            dialler.start()
            wait = self._bucket.take(self._context.clock.seconds(), 1)
            if wait > 0:
                self._next_try = self._context.clock.callLater(wait, self._rested)

    def joined(self, link: PeerLink) -> None:
        """Somebody we dialled was let in."""
        for diallers in (self._diallers, self._trying):
            for place, dialler in list(diallers.items()):
                if dialler.link is link:
                    dialler.finish()
                    del diallers[place]
                    if dialler.target.once:
                        self.try_others()

    def lasted(self, peer_id: str, seconds: float) -> None:
        """A link with somebody is over: one that didn't last makes the next dial wait."""
        if seconds >= STEADY:
            self._delays.pop(peer_id, None)
            return
        before = self._delays.get(peer_id, Dialler.initialDelay)
        self._delays[peer_id] = min(before * Dialler.factor, Dialler.maxDelay)
        if len(self._delays) > MAX_KNOWN:
            del self._delays[next(iter(self._delays))]

    def stop(self) -> Deferred[Any]:
        """Dial no more; fires when what was dialled is gone."""
        self._stopped = True
        if self._next_try is not None and self._next_try.active():
            self._next_try.cancel()
        diallers = [*self._diallers.values(), *self._trying.values()]
        self._diallers.clear()
        self._trying.clear()
        return gatherResults([dialler.stop() for dialler in diallers])

    def _make(self, target: Target) -> PeerDialler:
        return PeerDialler(self._reactor, self._context, self._trust, target, self._build, self._failed)

    def _failed(self, dialler: PeerDialler, why: str) -> None:
        if dialler.target.asked:
            self._told_failed(dialler.target.place, why)
        if dialler.target.once:
            dialler.finish()
            self._trying.pop(dialler.target.place, None)
            self.try_others()

    def _rested(self) -> None:
        self._next_try = None
        self.try_others()


def in_words(failure: Failure) -> str:
    """Why nobody answered, for a person."""
    if failure.check(ConnectionRefusedError):
        return "nobody listens there"
    if failure.check(TimeoutError):
        return "no answer in time"
    if failure.check(DNSLookupError):
        return "there is no such host"
    if failure.check(NoRouteError):
        return "there is no way to that network"
    return failure.getErrorMessage()
