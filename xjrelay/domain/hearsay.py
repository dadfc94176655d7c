# SPDX-License-Identifier: MIT
"""Places that others tell us of, and which of them are worth a dial (protocol, section 11).

A stranger's list must not make this machine dial whatever the stranger likes, as often as it
likes: addresses only, never names (but ``localhost``); no place on this machine from anybody who
isn't on it; so many a teller, a host, and in all; each place once in a while. What isn't taken is
left out, and a peer that is really there tells us itself.

Plain arithmetic on times that the caller gives, in seconds.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from xjrelay.domain.peers import Place
from xjrelay.wire.peers import MAX_LISTED, Entry

MAX_WAITING: Final = 512
"""Places waiting to be tried."""
MAX_OF_TELLER: Final = MAX_LISTED
"""Places tried on one teller's word, in :data:`FORGET` seconds."""
MAX_OF_HOST: Final = 16
"""Places tried on one host, likewise: nobody's ports are looked through by us."""
MAX_TRIED: Final = 4096
"""Places remembered as tried."""
FORGET: Final = 120.0
"""Seconds until a place may be tried again."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place somebody told us of.

    Args:
        place: host, an IP address, and port.
        peer_id: who is said to be there.
        teller: on whose word.
    """

    place: Place
    peer_id: str
    teller: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is ours, so that others can't point us at it.

    Args:
        places: where we listen.
        hosts: this machine's addresses, as far as we have seen them.
    """

    places: Collection[Place]
    hosts: Collection[str]

    def is_here(self, host: str) -> bool:
        """Whether an address is this machine."""
        address = _address(host)
        return address is not None and (address.is_loopback or str(address) in self.hosts)


class Hearsay:
    """Places heard of: taken, waiting, tried."""

    def __init__(self) -> None:
        self._waiting: deque[Candidate] = deque()
        self._tried: OrderedDict[Place, tuple[float, Candidate]] = OrderedDict()
        self._places: set[Place] = set()  # of both
        self._tellers: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def offer(
        self, teller: str, host: str, entries: Iterable[Entry], ours: Surroundings, now: float
    ) -> int:
        """Somebody names peers; how many of the places are worth a try.

        Args:
            teller: its id.
            host: the address it speaks from.
            entries: what it says.
            ours: what may not be pointed at.
            now: seconds.
        """
        self._forget(now)
        taken = 0
        for entry in entries:
            place = dialable(entry.host, entry.port, host, ours)
            if place is not None and self._has_room(place, teller):
                self._take(Candidate(place, entry.peer_id, teller))
                taken += 1
        return taken

    def next(self, now: float) -> Candidate | None:
        """The next place to try, which counts as tried from now on."""
        if not self._waiting:
            return None
        candidate = self._waiting.popleft()
        self._tried[candidate.place] = (now, candidate)
        if len(self._tried) > MAX_TRIED:
            self._drop(next(iter(self._tried)))
        return candidate

    def _take(self, candidate: Candidate) -> None:
        self._waiting.append(candidate)
        self._places.add(candidate.place)
        self._tellers[candidate.teller] += 1
        self._hosts[candidate.place[0]] += 1

    def _has_room(self, place: Place, teller: str) -> bool:
        if place in self._places or len(self._waiting) >= MAX_WAITING:
            return False
        return self._tellers[teller] < MAX_OF_TELLER and self._hosts[place[0]] < MAX_OF_HOST

    def _forget(self, now: float) -> None:
        while self._tried:
            place, (then, _) = next(iter(self._tried.items()))
            if now - then < FORGET:
                return
            self._drop(place)

    def _drop(self, place: Place) -> None:
        _, candidate = self._tried.pop(place)
        self._places.discard(place)
        for counter, key in ((self._tellers, candidate.teller), (self._hosts, place[0])):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]


def dialable(host: str, port: int, told_from: str, ours: Surroundings) -> Place | None:
    """A place somebody tells us of, or None where we don't go on such a word.

    Args:
        host: as it was said.
        port: likewise.
        told_from: the address of whoever says it.
        ours: what may not be pointed at.
    """
    address = _address("127.0.0.1" if host == "localhost" else host)
    if address is None or not 1 <= port <= 65535:
        return None
    reserved = address.is_reserved and not address.is_loopback  # ::1 is both
    if address.is_multicast or address.is_unspecified or reserved:
        return None
    if address.version == 6 and (address.is_link_local or address.ipv4_mapped is not None):
        return None
    place = (str(address), port)
    if place in ours.places or (ours.is_here(place[0]) and not ours.is_here(told_from)):
        return None
    return place


def reachable_at(said: str, port: int, seen: str) -> Place | None:
    """Where a joiner listens: the port it says, at the address we see it at.

    Only one who speaks from this machine is believed another address: it has two, and the
    outer one is what others need.

    Args:
        said: the host it gives.
        port: the port; 0 means it listens nowhere.
        seen: the address its connection comes from, empty where there is none.
    """
    if not port or not seen:
        return None
    address, outer = _address(seen), _address(said)
    if address is None:
        return None
    if address.is_loopback and outer is not None and not (outer.is_unspecified or outer.is_multicast):
        return str(outer), port
    return str(address), port


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address
