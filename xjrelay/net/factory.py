# SPDX-License-Identifier: MIT
"""The listening side: builds links, bounds how many, and closes them all at the end.

A connection that is one too many (of all, or of its address's) is closed without a word: an answer would be
work that a flood could ask for. One that is too many in its handshake is let in, and the oldest of these
makes way: who says nothing can't keep out who does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from xjrelay.domain.limits import Seats, source
from xjrelay.net.context import Context
from xjrelay.net.protocol import Link
from xjrelay.wire.errors import CloseReason

_log = Logger()

LinkType = TypeVar("LinkType", bound=Link)


class LinkFactory(ServerFactory, Generic[LinkType]):
    """Accepts connections as links of one kind.

    Args:
        context: what the links share.
        build: makes the protocol of one connection; it reports its end to
            :meth:`gone` through :attr:`Link.on_gone`.

    Attributes:
        links: those that are open.
    """

    noisy = False

    def __init__(self, context: Context, build: Callable[[], LinkType]) -> None:
        self.context = context
        self.links: set[LinkType] = set()
        self._build = build
        self._seats = Seats(context.limits.max_links_address)
        self._sources: dict[Link, str] = {}  # of links that are counted by address
        self._greeting: dict[Link, None] = {}  # those whose handshake isn't through, the oldest first
        self._warned: set[CloseReason] = set()
        self._closing = False
        self._all_gone: list[Deferred[None]] = []
        self._hear_greeted, self._hear_gone = self._greeted, self.gone  # one of each, not one a link

    @property
    def greeting(self) -> int:
        """How many links are in their handshake."""
        return len(self._greeting)

    def buildProtocol(self, addr: IAddress | None) -> LinkType | None:
        """A link, or None (which closes the connection) when there are too many, or at the end."""
        if self._closing:
            return None
        limits = self.context.limits
        who = source(str(getattr(addr, "host", "")), limit_loopback=limits.limit_loopback)
        if len(self.links) >= limits.max_links:
            self._refuse(CloseReason.TOO_MANY_LINKS, "max-links")
            return None
        if who is not None and not self._seats.take(who):
            self._refuse(CloseReason.TOO_MANY_FROM_ADDRESS, "max-links-address")
            return None
        if len(self._greeting) >= limits.max_handshakes:
            self._make_way()
        link = self._build()
        link.factory = self
        link.on_established = self._hear_greeted
        link.on_gone = self._hear_gone
        self.links.add(link)
        self._greeting[link] = None
        if who is not None:
            self._sources[link] = who
        self._warned.clear()
        return link

    def gone(self, link: Link) -> None:
        """A link has ended."""
        self.links.discard(link)
        self._greeted(link)
        if (who := self._sources.pop(link, None)) is not None:
            self._seats.leave(who)
        if not self.links:
            waiting, self._all_gone = self._all_gone, []
            for deferred in waiting:
                deferred.callback(None)

    def close_all(self, reason: CloseReason = CloseReason.SHUTDOWN) -> Deferred[None]:
        """Close every link and admit no more; fires when the last is gone."""
        self._closing = True
        if not self.links:
            return succeed(None)
        deferred: Deferred[None] = Deferred()
        self._all_gone.append(deferred)
        for link in list(self.links):
            link.close(reason)
        return deferred

    def _greeted(self, link: Link) -> None:
        self._greeting.pop(link, None)

    def _make_way(self) -> None:
        oldest = next(iter(self._greeting))
        self._greeted(oldest)
        self.context.counters.limited["max-handshakes"] += 1
        oldest.abort(CloseReason.TOO_MANY_HANDSHAKES)

    def _refuse(self, reason: CloseReason, option: str) -> None:
        self.context.counters.closed[reason] += 1
        self.context.counters.limited[option] += 1
        if reason not in self._warned:  # a flood makes one line, not one each
            count = len(self.links)
            _log.warn(
                "a connection was refused: {why}, {count} are open",
                event="link-refused",
                why=reason.value,
                count=count,
            )
            self._warned.add(reason)
