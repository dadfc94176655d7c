# SPDX-License-Identifier: MIT
"""What we have to tell others: kept on disk, sent when they are there, in order, once.

To a peer of ours a message is sent on each new link until its receipt has come; it knows by the id
which it has had. To a plain peer there is no receipt: a message counts as sent just before it is
written, so that it goes once or, in the worst moment, not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xjrelay.servers.peer.protocol import PeerLink
from xjrelay.storage.interfaces import PeerMessage, PeerStore
from xjrelay.wire.peers import Author, Broadcast, Message, Text

_log = Logger()

WINDOW: Final = 32
"""Messages under way to a peer that tells what it has."""

Told = Callable[[str, list[str], str], None]


@dataclass(slots=True, eq=False)
class _Lane:
    """One peer that is there."""

    link: PeerLink
    cursor: int = 0  # number of the last message sent on this link
    under_way: int = 0
    busy: bool = False
    more: bool = False


class Outbox:
    """Messages to all peers.

    Args:
        store: where they wait.
        author: writes the packets.
        told: called with a peer's id, message ids and their new state.
    """

    def __init__(self, store: PeerStore, author: Author, told: Told) -> None:
        self._store = store
        self._author = author
        self._told = told
        self._lanes: dict[str, _Lane] = {}

    @property
    def under_way(self) -> int:
        """Messages under way to the peer that has most of them."""
        return max((lane.under_way for lane in self._lanes.values()), default=0)

    async def say(self, message: PeerMessage) -> PeerMessage:
        """Keep a message, and send it as soon as that can be.

        Returns:
            It, on disk.

        Raises:
            OutboxFull: too many wait.
        """
        kept = await self._store.say(message)
        self._pump(message.peer_id)
        return kept

    def opened(self, link: PeerLink) -> None:
        """Somebody's link is this one from now on: what waits goes, from the beginning."""
        self._lanes[link.peer_id] = _Lane(link)
        self._pump(link.peer_id)

    def closed(self, peer_id: str) -> None:
        """Somebody is gone."""
        self._lanes.pop(peer_id, None)

    async def receipts(self, link: PeerLink, message_ids: list[str]) -> None:
        """Somebody has messages of ours."""
        settled = await self._store.settle(link.peer_id, message_ids, "delivered")
        if settled:
            self._told(link.peer_id, settled, "delivered")
        lane = self._lanes.get(link.peer_id)
        if lane is not None and lane.link is link:
            lane.under_way = max(0, lane.under_way - len(message_ids))
            self._pump(link.peer_id)

    def _pump(self, peer_id: str) -> None:
        lane = self._lanes.get(peer_id)
        if lane is None:
            return
        lane.more = True
        if not lane.busy:
            lane.busy = True
            running = Deferred.fromCoroutine(self._run(peer_id, lane))
            running.addErrback(self._broke, peer_id, lane)

    async def _run(self, peer_id: str, lane: _Lane) -> None:
        while lane.more and self._is_current(peer_id, lane):
            lane.more = False
            room = WINDOW - lane.under_way
            batch = await self._store.waiting(peer_id, lane.cursor, room) if room > 0 else []
            for message in batch:
                await lane.link.drained()
                if not self._is_current(peer_id, lane):
                    break
                lane.cursor = message.number
                await self._send(lane, message)
            lane.more = lane.more or len(batch) == room > 0
        lane.busy = False

    async def _send(self, lane: _Lane, message: PeerMessage) -> None:
        if not lane.link.plain:
            lane.under_way += 1
            lane.link.send_frame(self._frame(message, with_id=True))
            return
        sent = await self._store.settle(message.peer_id, [message.message_id], "sent")
        if not sent:
            return
        if not lane.link.send_frame(self._frame(message, with_id=False)):
            await self._store.settle(message.peer_id, sent, "waiting")
            return
        self._told(message.peer_id, sent, "sent")

    def _frame(self, message: PeerMessage, with_id: bool) -> bytes:
        text = Text(message.text, message.message_id if with_id else None)
        kind = Broadcast if message.broadcast else Message
        target = None if message.broadcast else message.peer_id
        return self._author.write(kind, text, target, message.at / 1000)

    def _is_current(self, peer_id: str, lane: _Lane) -> bool:
        return self._lanes.get(peer_id) is lane and lane.link.is_open

    def _broke(self, failure: object, peer_id: str, lane: _Lane) -> None:
        """The store failed: what waits goes with the next message, or on the next link."""
        lane.busy = False
        _log.failure("the outbox of {peer} stopped", failure, peer=peer_id)  # type: ignore[arg-type]
