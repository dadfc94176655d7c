# SPDX-License-Identifier: MIT
"""A peer's memory on lists, for the sandbox and the tests; see :mod:`xjrelay.storage.memory`.

Must not import SQLite, nor a module that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from twisted.internet.defer import Deferred, fail, succeed

from xjrelay.domain.peers import Known
from xjrelay.storage.interfaces import OutboxFull, PeerMessage, PeerStores

MAX_WAITING: Final = 1000


class MemoryPeers:
    """A :class:`~xjrelay.storage.interfaces.PeerStore`."""

    def __init__(self) -> None:
        self._peers: dict[str, Known] = {}
        self._messages: list[PeerMessage] = []
        self._number = 0

    def peers(self) -> Deferred[list[Known]]:
        """Everybody we have met, by id."""
        return succeed([replace(self._peers[peer_id]) for peer_id in sorted(self._peers)])

    def keep(self, peer: Known) -> Deferred[None]:
        """Write somebody over the row there was."""
        self._peers[peer.peer_id] = replace(peer)
        return succeed(None)

    def forget(self, peer_id: str) -> Deferred[None]:
        """Remove somebody, and all that was said."""
        self._peers.pop(peer_id, None)
        self._messages = [one for one in self._messages if one.peer_id != peer_id]
        return succeed(None)

    def say(self, message: PeerMessage) -> Deferred[PeerMessage]:
        """Put a message into the outbox."""
        if len(self._waiting(message.peer_id)) >= MAX_WAITING:
            return fail(OutboxFull(f"{MAX_WAITING} messages wait for that peer already"))
        return succeed(self._insert(message))

    def hear(self, message: PeerMessage, most: int) -> Deferred[PeerMessage | None]:
        """Keep what was heard, unless it was heard before."""
        heard = (message.peer_id, True, message.message_id)
        if any((one.peer_id, one.incoming, one.message_id) == heard for one in self._messages):
            return succeed(None)
        return succeed(self._insert(message))

    def waiting(self, peer_id: str, after: int, most: int) -> Deferred[list[PeerMessage]]:
        """What waits for a peer, in order."""
        return succeed([one for one in self._waiting(peer_id) if one.number > after][:most])

    def settle(self, peer_id: str, message_ids: Sequence[str], state: str) -> Deferred[list[str]]:
        """Messages that waited have gone, or one that was to go has not."""
        before = "sent" if state == "waiting" else "waiting"
        settled = []
        for at, one in enumerate(self._messages):
            if one.peer_id == peer_id and one.state == before and one.message_id in message_ids:
                self._messages[at] = replace(one, state=state)
                settled.append(one.message_id)
        return succeed(settled)

    def history(self, peer_id: str, before: int | None, most: int) -> Deferred[list[PeerMessage]]:
        """What was said with a peer, oldest first."""
        said = [one for one in self._messages if one.peer_id == peer_id]
        return succeed([one for one in said if before is None or one.number < before][-most:])

    def last(self) -> Deferred[dict[str, PeerMessage]]:
        """The last message with each peer."""
        return succeed({one.peer_id: one for one in self._messages})

    def _waiting(self, peer_id: str) -> list[PeerMessage]:
        return [one for one in self._messages if one.peer_id == peer_id and one.state == "waiting"]

    def _insert(self, message: PeerMessage) -> PeerMessage:
        self._number += 1
        numbered = replace(message, number=self._number)
        self._messages.append(numbered)
        return numbered


def memory_peer_stores() -> PeerStores:
    """A peer's stores without a disk."""
    return PeerStores(MemoryPeers(), lambda: succeed(None))
