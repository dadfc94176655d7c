# SPDX-License-Identifier: MIT
"""What an operator sees of a tracker: metrics, facts, and what is wrong. It must not change anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from xjrelay.net.metrics import Part, Sample, Samples
from xjrelay.servers.seeing import links_seen, store_seen, store_troubles
from xjrelay.servers.tracker.service import TrackerService


class Seen:
    """A tracker, looked at.

    Args:
        tracker: whom.
    """

    def __init__(self, tracker: TrackerService) -> None:
        self._tracker = tracker

    def part(self) -> Part:
        """As the admin pages have it."""
        tracker = self._tracker
        return Part(
            "tracker",
            tracker.context.counters,
            self.missing,
            self.samples,
            self.facts,
            lambda: store_troubles(tracker.load()),
            tracker.context.trace,
        )

    def missing(self) -> Sequence[str]:
        """A tracker serves as soon as it listens."""
        return () if self._tracker.is_ready else ("it does not listen",)

    def samples(self) -> Samples:
        """Its own metrics."""
        tracker = self._tracker
        yield from links_seen(tracker.context, tracker.factory)
        yield from store_seen(tracker.load())
        live = Counter(one.type for one in tracker.rendezvous.directory.live())
        for kind in ("manager", "relay"):
            yield Sample("xjrelay_components_live", live[kind], (kind,))
        yield Sample("xjrelay_watchers", tracker.rendezvous.watchers)

    def facts(self) -> Mapping[str, Any]:
        """Who is listed: no more than a tracker tells everybody."""
        places = self._tracker.listening.places
        return {
            "kind": "tracker",
            "place": f"{places[0].host}:{places[0].port}" if places else "",
            "components": [
                {"type": one.type, "name": one.name, "place": f"{one.ip_local}:{one.port}"}
                for one in self._tracker.rendezvous.directory.live()
            ],
        }
