# SPDX-License-Identifier: MIT
"""What an operator sees of a peer: metrics, facts, and what is wrong. It must not change anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xjrelay.net.metrics import Part, Sample, Samples, queue
from xjrelay.servers.peer.outbox import WINDOW
from xjrelay.servers.peer.service import PeerService
from xjrelay.servers.seeing import links_seen, store_seen, store_troubles


class Seen:
    """A peer, looked at.

    Args:
        service: the peer behind its sockets.
    """

    def __init__(self, service: PeerService) -> None:
        self._service = service
        self._peer = service.peer

    def part(self) -> Part:
        """As the admin pages have it."""
        context, service = self._peer.context, self._service
        return Part(
            *("peer", context.counters, self.missing, self.samples, self.facts),
            broken=lambda: store_troubles(service.load()),
            trace=context.trace,
        )

    def missing(self) -> Sequence[str]:
        """Why it talks to nobody."""
        return () if self._service.is_ready else ("it does not listen, or has not remembered whom it knows",)

    def samples(self) -> Samples:
        """Its own metrics."""
        peer = self._peer
        yield from links_seen(peer.context, peer.factory)
        yield from store_seen(self._service.load())
        yield from queue("under way to a peer", peer.under_way, WINDOW)
        yield Sample("xjrelay_peers_linked", len(peer.links))
        yield Sample("xjrelay_peers_known", len(peer.book))
        yield Sample("xjrelay_texts_heard", peer.texts_heard)

    def facts(self) -> Mapping[str, Any]:
        """How many it is linked with; nobody's name."""
        places = self._service.listening.places
        return {
            "kind": "peer",
            "place": f"{places[0].host}:{places[0].port}" if places else "",
            "linked": len(self._peer.links),
            "known": len(self._peer.book),
        }
