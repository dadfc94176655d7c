# SPDX-License-Identifier: MIT
"""What an operator sees of a relay: metrics, facts, and what is wrong. It must not change anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xjrelay.net.metrics import Part, Sample, Samples, queue
from xjrelay.servers.relay.post import MAX_TAKEN
from xjrelay.servers.relay.service import RelayService
from xjrelay.servers.seeing import links_seen


class Seen:
    """A relay, looked at.

    Args:
        service: the relay behind its sockets.
    """

    def __init__(self, service: RelayService) -> None:
        self._service = service
        self._relay = service.relay

    def part(self) -> Part:
        """As the admin pages have it."""
        context = self._relay.context
        return Part(
            *("relay", context.counters, self.missing, self.samples, self.facts),
            trace=context.trace,
            pulse=self._relay.switch.timings.refill,
        )

    def missing(self) -> Sequence[str]:
        """Why it takes no users."""
        relay = self._relay
        reasons = {
            "it does not run": not self._service.running,
            "no tracker lists it": not relay.listing,
            "the manager is away": not relay.upstream.linked,
            "it drains": relay.switch.draining,
        }
        return [why for why, holds in reasons.items() if holds]

    def samples(self) -> Samples:
        """Its own metrics."""
        relay, switch = self._relay, self._relay.switch
        yield from links_seen(relay.context, relay.factory)
        yield from self._queues()
        yield Sample("xjrelay_sessions", len(switch.table))
        yield Sample("xjrelay_sessions_waiting", switch.waiting)
        yield Sample("xjrelay_users_elsewhere", switch.table.elsewhere)
        yield Sample("xjrelay_mesh_links", len(relay.peers.linked))
        yield Sample("xjrelay_mesh_missing", len(relay.peers.missing))
        yield Sample("xjrelay_manager_linked", relay.upstream.linked)
        yield Sample("xjrelay_draining", switch.draining)
        yield Sample("xjrelay_trackers_listing", relay.listing)
        for way, histogram in switch.timings.by_way.items():
            yield Sample("xjrelay_delivery_seconds", histogram, (way,))

    def _queues(self) -> Samples:
        relay, settings = self._relay, self._relay.switch.settings
        owed = [one.owed for one in relay.switch.sessions() if one.owed is not None]
        fullest = max((one.load for one in owed), default=(0, 0))
        yield from queue("unacknowledged of a session", fullest[0], settings.max_queue)
        most_bytes = max((one.load[1] for one in owed), default=0)
        yield from queue("unacknowledged bytes of a session", most_bytes, settings.max_queue_bytes)
        most = relay.context.limits.max_links
        yield from queue("sessions waiting to be resumed", relay.switch.waiting, most)
        yield from queue("on their way over a mesh link", relay.peers.in_flight, settings.max_in_flight)
        yield from queue("on their way to the mailbox", relay.upstream.post.in_flight, settings.max_in_flight)
        yield from queue("mail taken and not told", relay.upstream.post.untold, MAX_TAKEN)

    def facts(self) -> Mapping[str, Any]:
        """Whom it is linked with, and how much it carries; no user's name."""
        relay = self._relay
        place = relay.identity.place if self._service.running else None
        return {
            "kind": "relay",
            "name": relay.identity.name,
            "place": f"{place.host}:{place.port}" if place is not None else "",
            "sessions": len(relay.switch.table),
            "waiting": relay.switch.waiting,
            "manager": relay.upstream.linked,
            "mesh": relay.peers.linked,
            "unlinked": [str(place) for place in relay.peers.missing],
            "draining": relay.switch.draining,
        }
