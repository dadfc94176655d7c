# SPDX-License-Identifier: MIT
"""Where this machine can be reached by friends, and who comes in there (protocol, section 13).

Listens, says the places for an offer, and lets in whoever shows the key of a friend that was told to come.
Strangers find the same port: so many at a time, each for so long, and none while nobody is expected.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, Protocol

from xjrelay.client.direct_link import DirectLink, Listener
from xjrelay.client.model import Direct
from xjrelay.client.network import Cancellable, Connection, DialError, Listening, Network, Receiver
from xjrelay.client.sealed import Sealed
from xjrelay.domain.direct import LINK_WITHIN, MAX_SESSIONS, worth_dialling
from xjrelay.domain.hearsay import Surroundings
from xjrelay.domain.peers import Place
from xjrelay.security.identity import Identity
from xjrelay.wire import direct
from xjrelay.wire.endpoints import is_loopback

TYPE_PREFERENCE: Final = {"host": 126, "srflx": 100}
"""RFC 8445, 5.1.2.2."""

WILDCARDS: Final = ("", "0.0.0.0", "::")


class Hosts(Protocol):
    """Who knows whom to let in."""

    def is_expecting(self) -> bool:
        """Whether any friend may be about to come."""

    def knows(self, link: DirectLink) -> bool:
        """Whether the key at the other end of a link is that of a friend who was told to come."""

    def introduce(self, link: DirectLink, hello: direct.Hello) -> Listener | None:
        """The session that a link is for, by its first words; None for none."""


class Door:
    """One listening port.

    Args:
        network: the framework.
        settings: the application's.
        identity: our key.
        relay_host: our own address, as the way to the relay shows it.
        hosts: who knows whom to let in.
    """

    def __init__(
        self,
        network: Network,
        settings: Direct,
        identity: Identity,
        relay_host: Callable[[], str],
        hosts: Hosts,
    ) -> None:
        self._network = network
        self._settings = settings
        self._identity = identity
        self._relay_host = relay_host
        self._inside = hosts
        self._listen = settings.listen
        self._listening: Listening | None = None
        self._mapped: Place | None = None
        self._accepted: dict[DirectLink, Cancellable] = {}  # those that have not greeted, and their time
        self._over = False

    async def open(self) -> None:
        """Listen, and have the port mapped where that is wanted."""
        settings = self._settings
        if not settings.listen and ":" in self._relay_host():
            self._listen = "::"
        try:
            listening = await self._network.listen(self._listen, settings.port, self._accept)
        except DialError as error:
            self._network.log("no direct link can come in: {why}", why=str(error))
            return
        if self._over:
            listening.close()
            return
        self._listening = listening
        if settings.mapping is not None:
            self._network.spawn(self._map(settings.mapping, listening.port))

    async def _map(self, ask: Callable[[int], Awaitable[Place | None]], port: int) -> None:
        self._mapped = await ask(port)

    def close(self) -> None:
        """Let nobody in any more."""
        self._over = True
        for link in list(self._accepted):
            self._refuse(link, "the client is closed")
        if self._listening is not None:
            self._listening.close()

    # -- places ------------------------------------------------------------------------------

    def candidates(self) -> list[direct.Candidate]:
        """Where we can be reached, for an offer, best first."""
        if self._listening is None:
            return []
        port, six = self._listening.port, ":" in self._listen
        outside = [place for place in (self._settings.public, self._mapped) if place is not None]
        found = [direct.Candidate(host, port) for host in self._hosts() if (":" in host) is six]
        found += [direct.Candidate(*place, "srflx") for place in dict.fromkeys(outside)]
        return list(_ranked(found))[: direct.MAX_CANDIDATES]

    def worth_dialling(self, offer: direct.Offer) -> list[Place]:
        """What a friend's offer makes us dial."""
        port = self._listening.port if self._listening is not None else 0
        hosts = set(self._hosts())
        ours = Surroundings({(host, port) for host in hosts}, hosts)
        return worth_dialling(offer.places(), ours, is_loopback(self._listen))

    def _hosts(self) -> list[str]:
        """Our own addresses, as far as they are known."""
        if self._listen not in WILDCARDS:
            return [self._listen]
        known = dict.fromkeys([self._relay_host(), *self._settings.hosts])
        return [one for one in known if one and not is_loopback(one)]

    # -- who comes in ------------------------------------------------------------------------

    def _accept(self, raw: Connection) -> Receiver:
        link = DirectLink(self._network, self._introduce, accepted=True)

        def agreed(sealed: Sealed) -> DirectLink | None:
            if link.attach(sealed) and self._inside.knows(link):
                return link
            self._greeted(link)
            return None

        sealed = Sealed(self._identity.serverConnectionForTLS(None), agreed)  # type: ignore[arg-type]
        sealed.on_failed = lambda why: self._greeted(link)
        sealed.begin(raw)
        if self._over or not self._inside.is_expecting():
            sealed.abort()
            return sealed
        if len(self._accepted) >= MAX_SESSIONS:  # the oldest makes way
            self._refuse(next(iter(self._accepted)), "too many at once")
        late = partial(self._refuse, link, "no greeting came in time")
        self._accepted[link] = self._network.call_later(LINK_WITHIN, late)
        link.on_closed = sealed.abort
        return sealed

    def _introduce(self, link: DirectLink, hello: direct.Hello) -> Listener | None:
        self._greeted(link)
        return self._inside.introduce(link, hello)

    def _refuse(self, link: DirectLink, why: str) -> None:
        self._greeted(link)
        link.close(why)

    def _greeted(self, link: DirectLink) -> None:
        timer = self._accepted.pop(link, None)
        if timer is not None:
            timer.cancel()


def _ranked(candidates: Iterable[direct.Candidate]) -> Iterable[direct.Candidate]:
    for at, one in enumerate(candidates):
        one.priority = TYPE_PREFERENCE[one.type] << 24 | (65535 - at) << 8 | 255
        yield one
