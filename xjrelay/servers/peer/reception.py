# SPDX-License-Identifier: MIT
"""Who comes in: what somebody says of itself, held against what its key proves and whom we know.

The rules are ``domain.peers``'s; here they meet a link. Whoever is refused hears why, and a person
reads a warning where somebody may be posing as somebody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from xjrelay.domain.hearsay import reachable_at
from xjrelay.domain.peers import Claim, Introduction, PeerBook, Place, Refusal, Refused, fingerprint
from xjrelay.security.identity import id_of
from xjrelay.servers.peer.events import Events, Warned
from xjrelay.servers.peer.links import Links
from xjrelay.servers.peer.protocol import PeerLink
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.peers import Join, Peers, shown_name

_log = Logger()

MAX_WARNED: Final = 100
"""Warnings remembered, so that each is given once."""

Welcome = Callable[[PeerLink, Join | Peers, Introduction], None]


class Reception:
    """Lets peers in, or refuses them.

    Args:
        clock: the time, since 1970.
        book: whom we know.
        links: who is there.
        events: told of warnings.
        welcome: called with a link, its first word, and who it is, when it is let in.
    """

    def __init__(
        self, clock: IReactorTime, book: PeerBook, links: Links, events: Events, welcome: Welcome
    ) -> None:
        self._clock = clock
        self._book = book
        self._links = links
        self._events = events
        self._welcome = welcome
        self._open = False
        self._early: list[Deferred[None]] = []  # who came before we had remembered
        self._warned: dict[str, None] = {}

    def open(self) -> None:
        """The book has been read: who waits is looked at."""
        self._open = True
        early, self._early = self._early, []
        for waiter in early:
            waiter.callback(None)

    def meet(self, link: PeerLink, packet: Join | Peers) -> Deferred[None] | None:
        """Somebody says who it is; fires when that is decided."""
        if self._open and not (link.plain and packet.sender_id in self._links):
            self._meet(link, packet)
            return None
        return Deferred.fromCoroutine(self._meet_later(link, packet))

    async def _meet_later(self, link: PeerLink, packet: Join | Peers) -> None:
        """Somebody is here before our memory, or comes in plain under an id that is in use: whoever has
        it keeps it, if it lives."""
        if not self._open:
            waiter: Deferred[None] = Deferred()
            self._early.append(waiter)
            await waiter
        free = not link.plain or await self._links.yields(packet.sender_id)
        if not link.is_open:
            return
        if free:
            self._meet(link, packet)
        else:
            link.farewell(Refusal.TAKEN.value, CloseReason.DUPLICATE)

    def _meet(self, link: PeerLink, packet: Join | Peers) -> None:
        claim = _claim(link, packet)
        try:
            introduction = self._book.introduce(claim, int(self._clock.seconds() * 1000), self._links.ids)
        except Refused as refused:
            if refused.why in (Refusal.CHANGED_KEY, Refusal.LIAR):
                self._warn(_in_words(claim, refused), refused.known.peer_id if refused.known else None)
            link.farewell(refused.why.value, CloseReason.PROTOCOL)
            return
        link.let_in(claim.peer_id)
        self._welcome(link, packet, introduction)

    def _warn(self, text: str, peer_id: str | None) -> None:
        """Once: whoever is refused comes again."""
        if text in self._warned:
            return
        self._warned[text] = None
        if len(self._warned) > MAX_WARNED:
            del self._warned[next(iter(self._warned))]
        _log.warn("{text}", text=text)
        self._events.tell(Warned(text, peer_id))


def _claim(link: PeerLink, packet: Join | Peers) -> Claim:
    place: Place | None = None
    if link.dialled is not None:
        place = (link.host or link.dialled[0], link.dialled[1])
    elif isinstance(packet, Join):
        place = reachable_at(packet.data.host, packet.data.port, link.host)
    certificate = link.certificate
    return Claim(
        peer_id=packet.sender_id,
        name=packet.sender_name,
        place=place,
        proven=None if certificate is None else id_of(certificate) or "unreadable",
        expected=link.expected,
        asked=link.asked,
    )


def _in_words(claim: Claim, refused: Refused) -> str:
    if refused.known is None:
        who = shown_name(claim.name)
        return f"somebody who calls itself {who} gave an id that is not its own, and was refused"
    shown = fingerprint(claim.proven or "") or "none at all"
    return (
        f"WARNING: {refused.known.shown} was known by the key {fingerprint(refused.known.peer_id)},"
        f" and somebody in its place now shows {shown}. It was refused: either it has a new"
        " key, or somebody poses as it. Ask; and if it is well, forget the old one."
    )
