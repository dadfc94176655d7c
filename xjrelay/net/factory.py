# SPDX-License-Identifier: MIT
"""The listening side: builds links, bounds how many, and closes them all at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

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
        self._warned = False
        self._closing = False
        self._all_gone: list[Deferred[None]] = []

    def buildProtocol(self, addr: IAddress | None) -> LinkType | None:
        """A link, or None (which closes the connection) when there are too many, or at the end."""
        if self._closing:
            return None
        if len(self.links) >= self.context.limits.max_links:
            self._refuse()
            return None
        link = self._build()
        link.factory = self
        link.on_gone = self.gone
        self.links.add(link)
        self._warned = False
        return link

    def gone(self, link: Link) -> None:
        """A link has ended."""
        self.links.discard(link)
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

    def _refuse(self) -> None:
        self.context.counters.closed[CloseReason.TOO_MANY_LINKS] += 1
        if not self._warned:  # a flood makes one line, not one each
            _log.warn("{count} links open, no more are let in", count=len(self.links))
            self._warned = True
