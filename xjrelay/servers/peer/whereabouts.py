# SPDX-License-Identifier: MIT
"""Where this peer is, as each other one has to see it, and what of others' places each may be told.

One machine has several addresses, and a router may lend it another: what a link is told depends on
where the link comes from. Dials nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from xjrelay.domain.hearsay import Surroundings
from xjrelay.domain.peers import Known, Place
from xjrelay.servers.listening import WILDCARDS
from xjrelay.servers.listening import Place as Listened
from xjrelay.servers.peer.protocol import PeerLink
from xjrelay.wire.endpoints import is_loopback
from xjrelay.wire.peers import MAX_LISTED, Entry
from xjrelay.wire.peers import Place as WirePlace

MAX_HOSTS: Final = 64
"""Addresses of this machine that are remembered."""


class Whereabouts:
    """Our own places.

    Args:
        advertise: where the operator says that others reach us, or None.

    Attributes:
        mapped: where a router forwards to us, once it does.
        port: where we listen.
    """

    def __init__(self, advertise: Place | None = None) -> None:
        self.mapped: Place | None = None
        self.port = 0
        self._advertise = advertise
        self._listened: list[Place] = []
        self._hosts: dict[str, None] = {}

    def listening(self, places: Sequence[Listened]) -> None:
        """We listen here."""
        self._listened = [(place.host, place.port) for place in places]
        self.port = next((port for _, port in self._listened if port), 0)
        for host, _ in self._listened:
            if host not in WILDCARDS:
                self._hosts[host] = None

    def is_mapped(self, place: Place | None) -> None:
        """A router forwards to us, or does no more."""
        self.mapped = place

    @property
    def everywhere(self) -> bool:
        """Whether anybody but this machine can reach us: we listen beyond loopback."""
        return any(not is_loopback(host) for host, port in self._listened if port)

    def saw(self, link: PeerLink) -> None:
        """A link shows one more address of this machine."""
        if link.own_host and len(self._hosts) < MAX_HOSTS:
            self._hosts[link.own_host] = None

    def ours(self) -> Surroundings:
        """What others must not point us at."""
        places = {(host, self.port) for host in self._hosts}
        if not self.everywhere:
            places = set()
        places |= set(self._listened) | {place for place in (self.mapped, self._advertise) if place}
        places.add(("127.0.0.1", self.port))
        return Surroundings(places, set(self._hosts))

    def seen_from(self, link: PeerLink) -> WirePlace:
        """Where whoever is on a link finds us; port 0 where it can't."""
        outside = self._advertise or self.mapped
        if outside is not None and not _is_near(link.host):
            return WirePlace(*outside)
        if not self.everywhere and not is_loopback(link.host):
            return WirePlace(link.own_host, 0)
        return WirePlace(link.own_host, self.port)

    def told_to(self, link: PeerLink, others: Iterable[Known]) -> list[Entry]:
        """Others' places that mean something to whoever is on a link, 200 at most."""
        here = self.ours().is_here(link.host)
        entries = []
        for peer in others:
            if peer.place is not None and (here or not is_loopback(peer.place[0])):
                entries.append(Entry(peer.peer_id, peer.name, *peer.place))
        return entries[:MAX_LISTED]


def _is_near(host: str) -> bool:
    """Whether an address is on this machine or its networks, not out on the internet."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return True
