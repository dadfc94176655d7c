# SPDX-License-Identifier: MIT
"""What an operator sees of a manager: metrics, facts, and what is wrong. It must not change anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xjrelay.net.metrics import Part, Sample, Samples, queue
from xjrelay.servers.manager.post import MAX_BYTES, MAX_LETTERS
from xjrelay.servers.manager.service import Derivations, ManagerService
from xjrelay.servers.seeing import links_seen, store_seen, store_troubles


class Seen:
    """A manager, looked at.

    Args:
        service: the manager behind its sockets.
        derivations: its threads, where it has any.
    """

    def __init__(self, service: ManagerService, derivations: Derivations | None = None) -> None:
        self._service = service
        self._manager = service.manager
        self._derivations = derivations

    def part(self) -> Part:
        """As the admin pages have it."""
        context, stores = self._manager.context, self._manager.stores
        return Part(
            *("manager", context.counters, self.missing, self.samples, self.facts),
            broken=lambda: store_troubles(stores.load()),
            trace=context.trace,
        )

    def missing(self) -> Sequence[str]:
        """Why it takes no users."""
        if not self._service.running:
            return ["it does not run"]
        if not self._service.is_ready:
            return ["no tracker lists it"]
        return []

    def samples(self) -> Samples:
        """Its own metrics."""
        manager = self._manager
        yield from links_seen(manager.context, self._service.factory)
        yield from store_seen(manager.stores.load())
        yield from queue("letters for the mailboxes", manager.post.waiting, MAX_LETTERS)
        yield from queue("bytes of these letters", manager.post.waiting_bytes, MAX_BYTES)
        links = manager.context.limits.max_links
        yield from queue("logins that wait their turn", manager.turns.waiting, links)
        yield from queue("logins that wait for a key", manager.slow_turns.waiting, links)
        if self._derivations is not None:
            yield from queue(
                "passwords to derive keys of", self._derivations.waiting, manager.context.limits.max_links
            )
        yield Sample("xjrelay_users_logged_in", len(manager.users))
        yield Sample("xjrelay_users_online", manager.users.online)
        yield Sample("xjrelay_relays_live", len(manager.relays))
        yield Sample("xjrelay_relays_given_up", len(manager.relays.gone))
        for relay in manager.relays.shown():
            yield Sample("xjrelay_relay_users", relay["users"], (relay["name"],))
        yield Sample("xjrelay_trackers_listing", self._service.listing)
        yield Sample("xjrelay_mail_handed_out", manager.post.handed_out)
        yield Sample("xjrelay_mail_taken", manager.post.taken)

    def facts(self) -> Mapping[str, Any]:
        """The relays and how much each has; no user's name."""
        manager = self._manager
        place = self._service.place if self._service.running else None
        return {
            "kind": "manager",
            "place": f"{place.host}:{place.port}" if place is not None else "",
            "logged_in": len(manager.users),
            "online": manager.users.online,
            "relays": manager.relays.shown(),
            "given_up": sorted(manager.relays.gone),
        }
