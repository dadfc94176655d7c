# SPDX-License-Identifier: MIT
"""One link a peer: which of several is the one that counts (protocol, section 11).

Two peers that dial each other at once have two links, and one that came back may still have its
dead predecessor's. With a peer that proves its key the rule is ``domain.peers.newer_stays``, tried
on the older link before that is given up; a plain peer proves nothing, so whoever has its id
keeps it as long as it answers.

The link that goes is closed a moment later, and read until then: what the other side wrote to it
before it knew is not lost. Knows no packet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from xjrelay.domain.peers import newer_stays
from xjrelay.servers.peer.protocol import PeerLink
from xjrelay.wire.errors import CloseReason

_log = Logger()

LAST_WORDS: Final = 1.0
"""Seconds for which a link that is no longer used is still read."""


class Links:
    """The links there are, by peer.

    Args:
        own_id: ours.
        clock: the time.
        changed: called with a peer's id, the link that counts from now on, or None, and the one that
            did before, or None.
    """

    def __init__(
        self,
        own_id: str,
        clock: IReactorTime,
        changed: Callable[[str, PeerLink | None, PeerLink | None], None],
    ) -> None:
        self._own_id = own_id
        self._clock = clock
        self._changed = changed
        self._active: dict[str, PeerLink] = {}
        self._standby: dict[str, PeerLink] = {}

    def __contains__(self, peer_id: str) -> bool:
        return peer_id in self._active

    def __len__(self) -> int:
        return len(self._active)

    @property
    def ids(self) -> set[str]:
        """Who is there."""
        return set(self._active)

    def get(self, peer_id: str) -> PeerLink | None:
        """The link with a peer."""
        return self._active.get(peer_id)

    def all(self) -> list[PeerLink]:
        """The link with each."""
        return list(self._active.values())

    async def yields(self, peer_id: str) -> bool:
        """Whether somebody plain may come under an id: nobody has it, or that one is dead."""
        older = self._active.get(peer_id)
        if older is None:
            return True
        if await older.lives():
            return False
        older.abort(CloseReason.SILENT)
        self.down(older)
        return True

    def up(self, link: PeerLink) -> None:
        """A link was let in under its ``peer_id``."""
        peer_id = link.peer_id
        older = self._active.get(peer_id)
        if older is None:
            self._activate(link)
        elif newer_stays(self._own_id, peer_id, older.dialled is not None, link.dialled is not None):
            self._activate(link)
            self._retire(older)
        else:
            self._wait(link, older)

    def down(self, link: PeerLink) -> None:
        """A link is gone; one that doesn't count is ignored."""
        peer_id = link.peer_id
        if self._standby.get(peer_id) is link:
            del self._standby[peer_id]
        if self._active.get(peer_id) is not link:
            return
        heir = self._standby.pop(peer_id, None)
        if heir is not None:
            self._activate(heir)
        else:
            del self._active[peer_id]
            self._changed(peer_id, None, link)

    def _activate(self, link: PeerLink) -> None:
        before = self._active.get(link.peer_id)
        self._active[link.peer_id] = link
        self._changed(link.peer_id, link, before)

    def _wait(self, link: PeerLink, older: PeerLink) -> None:
        """The older link would stay, if it lives."""
        replaced = self._standby.get(link.peer_id)
        self._standby[link.peer_id] = link
        if replaced is not None:
            self._retire(replaced)
        trial = older.lives()
        trial.addCallback(self._tried, older, link)
        trial.addErrback(lambda failure: _log.failure("{link} was tried in vain", failure, link=older.name))

    def _tried(self, lives: bool, older: PeerLink, link: PeerLink) -> None:
        if self._standby.get(link.peer_id) is not link:
            return
        if lives:
            del self._standby[link.peer_id]
            self._retire(link)
        else:
            older.abort(CloseReason.SILENT)
            self.down(older)

    def _retire(self, link: PeerLink) -> None:
        self._clock.callLater(LAST_WORDS, link.close, CloseReason.DUPLICATE)
