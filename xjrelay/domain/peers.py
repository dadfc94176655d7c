# SPDX-License-Identifier: MIT
"""Peers: who each one is, whom we know, whom to dial, and which of two links stays (section 11).

A peer of ours is its key: its id begins with :data:`KEYED` and is a hash of the key, so only TLS
can speak for it. Any other id is a plain peer's, a program of the original: believed, and
shown as such. Places heard of from others are ``domain.hearsay``'s.

Values in, decisions out: time comes as an argument, nothing is dialled or stored here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from xjrelay.wire.peers import shown_name

KEYED: Final = "xj1-"
"""How the id of a peer that has a key begins; 40 hexadecimal digits follow."""

MAX_KNOWN: Final = 1000
"""Peers remembered; strangers make room for strangers, never somebody we have written to."""

MAX_DIALLED: Final = 64
"""Absent peers dialled at a time, the latest seen first."""

RETURN_TIME: Final = 90.0
"""Seconds in which a peer whose link was lost counts as coming back; then it is gone."""

Place = tuple[str, int]


class Status(Enum):
    """Whether a peer is there; the values are words for a person."""

    HERE = "here"
    RETURNING = "coming back"
    GONE = "not there"


class Refusal(Enum):
    """Why somebody is not let in; the values are sentences for the other side."""

    ITSELF = "that is this peer itself"
    LIAR = "the key is not the one of this sender_id"
    NEEDS_TLS = "this sender_id is spoken for by a key: use TLS"
    CHANGED_KEY = "known here by another key"
    ANOTHER = "another peer was expected here"
    FULL = "too many peers are known here"
    TAKEN = "this sender_id is in use"


class Refused(Exception):
    """Somebody is not let in.

    Args:
        why: the rule.
        known: with a changed key, whom we know by that name and place.
    """

    def __init__(self, why: Refusal, known: Known | None = None) -> None:
        super().__init__(why.value)
        self.why = why
        self.known = known


@dataclass(slots=True)
class Known:
    """A peer we have met.

    Args:
        peer_id: its identity.
        name: what it calls itself.
        place: where it listens, as far as we know.
        met_at: when we met, milliseconds.
        seen_at: when it was last there, milliseconds.
        label: what its user is called here; empty for its own name.
        kept: whether we have written to it: such a one is never forgotten for a stranger.
    """

    peer_id: str
    name: str
    place: Place | None
    met_at: int
    seen_at: int
    label: str = ""
    kept: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is of the original form: no key, no TLS, nothing proved."""
        return not is_keyed(self.peer_id)

    @property
    def shown(self) -> str:
        """Its name as it is shown here."""
        return self.label or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What somebody on a link says of itself.

    Args:
        peer_id: its ``sender_id``.
        name: its ``sender_name``.
        place: where it listens, or None where that can't be known.
        proven: the id its key has, None on a plain link.
        expected: whom we meant to dial, None where we were dialled or knew nobody there.
        asked: whether a person told us to dial there, so that somebody new may be found.
    """

    peer_id: str
    name: str
    place: Place | None
    proven: str | None = None
    expected: str | None = None
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Introduction:
    """Somebody is let in.

    Args:
        peer: who.
        first: whether this is the first meeting: its fingerprint wants comparing.
        namesake: whether another key (or none) is known under the same name.
        dropped: strangers forgotten to make room.
    """

    peer: Known
    first: bool
    namesake: bool
    dropped: tuple[str, ...] = ()


def is_keyed(peer_id: str) -> bool:
    """Whether an id is one that a key has to prove."""
    return peer_id.startswith(KEYED)


def fingerprint(peer_id: str) -> str:
    """What two people compare: 80 bits of the key's hash in five groups; empty for a plain peer."""
    digits = peer_id.removeprefix(KEYED)[:20] if is_keyed(peer_id) else ""
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def newer_stays(own_id: str, peer_id: str, older_dialled: bool, newer_dialled: bool) -> bool:
    """Of two links with a proven peer, whether the newer one stays; both ends decide alike.

    Of two that the same side dialled the later stays: whoever dials again has lost the first. Of two
    dialled from both sides at once, the one from the lexically smaller id.

    Args:
        own_id: ours.
        peer_id: theirs.
        older_dialled: whether we dialled the older one.
        newer_dialled: whether we dialled the newer one.
    """
    if older_dialled == newer_dialled:
        return True
    return newer_dialled == (own_id < peer_id)


class PeerBook:
    """Whom we know.

    Args:
        own_id: ours.
        known: those who were remembered.
    """

    def __init__(self, own_id: str, known: Iterable[Known] = ()) -> None:
        self.own_id = own_id
        self._known: dict[str, Known] = {}
        self.remember(known)

    def remember(self, known: Iterable[Known]) -> None:
        """Know these too."""
        self._known.update((peer.peer_id, peer) for peer in known)

    def __iter__(self) -> Iterator[Known]:
        return iter(list(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)

    def get(self, peer_id: str) -> Known | None:
        """Somebody we know."""
        return self._known.get(peer_id)

    def at(self, place: Place) -> Known | None:
        """Who listens at a place: of several who did, the latest seen."""
        there = [peer for peer in self._known.values() if peer.place == place]
        return max(there, key=lambda peer: peer.seen_at, default=None)

    def forget(self, peer_id: str) -> None:
        """Know somebody no more: the next meeting is the first."""
        self._known.pop(peer_id, None)

    def introduce(self, claim: Claim, now: int, linked: Collection[str] = ()) -> Introduction:
        """Let somebody in, or refuse.

        Args:
            claim: what it says.
            now: milliseconds since 1970.
            linked: ids of those who are there, and never make room.

        Raises:
            Refused: it lies, its key has changed, or there is no room.
        """
        self._check(claim)
        name = shown_name(claim.name)
        peer = self._known.get(claim.peer_id)
        namesake = any(self._same_name(other, name, claim.peer_id) for other in self._known.values())
        dropped: tuple[str, ...] = ()
        first = peer is None
        if peer is None:
            dropped = self._make_room(linked)
            peer = self._known[claim.peer_id] = Known(claim.peer_id, name, claim.place, now, now)
        peer.name, peer.seen_at = name, now
        if claim.place is not None:
            self._settle(peer, claim.place)
        return Introduction(peer, first, namesake and first, dropped)

    def to_dial(self, linked: Collection[str], asked: Iterable[Place] = ()) -> dict[Place, str | None]:
        """The places to dial now, with whom we expect there.

        Args:
            linked: ids of those who are there.
            asked: places a person told us to dial and where nobody is linked.
        """
        wanted: dict[Place, str | None] = {}
        for place in asked:
            there = self.at(place)
            wanted[place] = there.peer_id if there else None
        absent = [peer for peer in self._known.values() if peer.place and peer.peer_id not in linked]
        for peer in sorted(absent, key=lambda peer: peer.seen_at, reverse=True):
            if len(wanted) >= MAX_DIALLED:
                break
            if peer.place is not None:
                wanted.setdefault(peer.place, peer.peer_id)
        return wanted

    def _check(self, claim: Claim) -> None:
        peer_id = claim.peer_id
        if self.own_id in (peer_id, claim.proven):
            raise Refused(Refusal.ITSELF)
        if claim.proven is None and is_keyed(peer_id):
            raise Refused(Refusal.NEEDS_TLS)
        if claim.proven is not None and claim.proven != peer_id:
            raise Refused(Refusal.LIAR)
        self._check_key(claim)
        if claim.expected not in (None, peer_id):
            expected = self._known.get(claim.expected or "")
            if is_keyed(claim.expected or "") and not claim.asked:
                raise Refused(Refusal.ANOTHER, expected)

    def _check_key(self, claim: Claim) -> None:
        """Who has the name of somebody with a key, at that one's own place, must have that key."""
        name = shown_name(claim.name)
        for other in self._known.values():
            if other.plain or not self._same_name(other, name, claim.peer_id):
                continue
            if claim.expected == other.peer_id or (claim.place is not None and other.place == claim.place):
                raise Refused(Refusal.CHANGED_KEY, other)

    def _settle(self, peer: Known, place: Place) -> None:
        for other in self._known.values():
            if other is not peer and other.place == place:
                other.place = None  # somebody else lives there now
        peer.place = place

    def _make_room(self, linked: Collection[str]) -> tuple[str, ...]:
        if len(self._known) < MAX_KNOWN:
            return ()
        strangers = [
            peer
            for peer in self._known.values()
            if not (peer.kept or peer.label or peer.peer_id in linked)
        ]
        if not strangers:
            raise Refused(Refusal.FULL)
        oldest = min(strangers, key=lambda peer: peer.seen_at)
        del self._known[oldest.peer_id]
        return (oldest.peer_id,)

    @staticmethod
    def _same_name(other: Known, name: str, peer_id: str) -> bool:
        return other.peer_id != peer_id and other.name.casefold() == name.casefold()
