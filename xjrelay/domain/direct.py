# SPDX-License-Identifier: MIT
"""Direct links between users: which places are dialled, when it is tried, whose offer counts (section 13).

A friend's word must not make this machine dial whatever the friend likes: addresses only, nothing on this
machine or of the well-known ports, few at a time, each offer's places once. And a link that fails
is not tried for ever: the relay is there.

Plain values and arithmetic on times that the caller gives, in seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from xjrelay.domain.hearsay import Surroundings, dialable
from xjrelay.domain.limits import TokenBucket
from xjrelay.domain.peers import Place
from xjrelay.wire.direct import Candidate

MAX_SESSIONS: Final = 16
"""Direct sessions of one user at a time, those under negotiation among them."""
DIAL_EVERY: Final = 0.2
"""Seconds between the places of one offer."""
ROUNDS: Final = 2
ROUND_EVERY: Final = 3.0
"""How often each place of an offer is tried, and the seconds between."""
ANSWER_FIRST: Final = 0.3
"""Seconds that who was asked waits before it dials, for its answer to be there before it."""
LINK_WITHIN: Final = 10.0
"""Seconds from the answer to a link; also to an answer, and from a connection to its first words."""
CROSS_WITHIN: Final = 10.0
"""Seconds from a link to the conversation's being on it."""
IDLE: Final = 600.0
"""Seconds without a message after which a link is closed."""
OFFERS: Final = (0.1, 4.0)
"""Offers a second that one friend may make, and how many at once."""
LOWEST_PORT: Final = 1024
"""Ports below are other programs'."""
MAX_FRIENDS: Final = 1000
"""Of how many it is remembered when they were tried, or made offers."""

FIRST_PAUSE: Final = 1.0
FACTOR: Final = 2.0
LONGEST_PAUSE: Final = 600.0
STEADY: Final = 10.0
"""Seconds before another try: the first pause, by how much it grows, the longest; and how long a link has
to hold for the next pause to be the first again."""


def worth_dialling(candidates: Iterable[Candidate], ours: Surroundings, loopback: bool) -> list[Place]:
    """The places that a friend's offer makes us dial, in its order, each once.

    Args:
        candidates: what the friend says.
        ours: where we listen, and our own addresses.
        loopback: we listen for direct links on this machine's loopback only, so that is where friends are.
    """
    places: dict[Place, None] = {}
    for one in candidates:
        place = dialable(one.ip, one.port, "127.0.0.1" if loopback else "", ours)
        if place is None or place[1] < LOWEST_PORT:
            continue
        address = ip_address(place[0])
        if address.is_loopback is loopback and not (address.is_link_local or address.is_unspecified):
            places[place] = None
    return list(places)


def own_offer_counts(own: str, other: str) -> bool:
    """Of two users' offers that cross, whether ours is the one; both give users' keys."""
    return own < other


@dataclass(slots=True)
class _Friend:
    bucket: TokenBucket
    pause: float = 0.0
    after: float = 0.0
    since: float | None = None


class Tries:
    """When a friend may be offered a link again, and how many offers of its are heard."""

    def __init__(self) -> None:
        self._friends: OrderedDict[str, _Friend] = OrderedDict()

    def may_offer(self, friend: str, now: float) -> bool:
        """Whether its pause is over."""
        return self._of(friend).after <= now

    def hears(self, friend: str, now: float) -> bool:
        """One more offer of a friend; false where that is too many."""
        return self._of(friend).bucket.spend(now)

    def came(self, friend: str) -> None:
        """The friend has come: there is no reason to wait any longer."""
        if friend in self._friends:
            one = self._friends[friend]
            one.pause = one.after = 0.0

    def linked(self, friend: str, now: float) -> None:
        """There is a link."""
        self._of(friend).since = now

    def ended(self, friend: str, now: float, spread: float = 1.0, for_long: bool = False) -> None:
        """There is none any more, or none came about.

        Args:
            friend: a user's key.
            now: seconds.
            spread: a random part of the pause, from 0 to 1.
            for_long: the friend takes none, or went away on purpose: the longest pause at once.
        """
        one = self._of(friend)
        held = one.since is not None and now - one.since >= STEADY
        one.pause = FIRST_PAUSE if held or not one.pause else min(one.pause * FACTOR, LONGEST_PAUSE)
        if for_long:
            one.pause = LONGEST_PAUSE
        one.since = None
        one.after = now + one.pause * (0.5 + spread / 2)

    def _of(self, friend: str) -> _Friend:
        if friend not in self._friends and len(self._friends) >= MAX_FRIENDS:
            self._friends.popitem(last=False)
        one = self._friends.setdefault(friend, _Friend(TokenBucket(*OFFERS)))
        self._friends.move_to_end(friend)
        return one
