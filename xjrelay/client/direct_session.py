# SPDX-License-Identifier: MIT
"""One direct session: the links that are tried, the one chosen, what both ends say on it (section 13).

Made when the two users have each other's offers. It dials, is dialled, chooses (or is told) one link,
moves the conversation there and ends; whatever ends it, its pair goes by the relay again. It knows
nothing of the relay's side but the :class:`Roads` it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from xjrelay.client.direct_link import DirectLink
from xjrelay.client.model import Message, user_key
from xjrelay.client.network import Cancellable, DialError, Network, sleep
from xjrelay.client.sealed import Sealed
from xjrelay.domain.direct import (
    ANSWER_FIRST,
    CROSS_WITHIN,
    DIAL_EVERY,
    IDLE,
    LINK_WITHIN,
    ROUND_EVERY,
    ROUNDS,
)
from xjrelay.domain.peers import Place
from xjrelay.security.identity import Identity
from xjrelay.wire import direct


class Roads(Protocol):
    """What a session asks of the user's side of things: which way the messages go."""

    def leave(self, session: DirectSession, write: Callable[[list[bytes]], None]) -> None:
        """There is a link: say the marker, and write there when everything before it has its outcome."""

    def go(self, session: DirectSession) -> None:
        """The marker has come to the other end."""

    def arrived(self, session: DirectSession, ids: list[str]) -> None:
        """The other end's application has these."""

    def message(self, session: DirectSession, link: DirectLink, message: Message) -> None:
        """A message for the application."""

    def ended(self, session: DirectSession, why: str) -> None:
        """It is over: its messages go by the relay."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the two users have told each other.

    Attributes:
        sid: the session's.
        friend: the other user, as the relay spells it.
        address: the session at the relay that made or took the offer.
        initiator: whether we made it.
        own_nonce: what the other end has to say first.
        nonce: what we have to.
        key: the id of the key that it has to show.
        places: where it may be, best first.
    """

    sid: str
    friend: str
    address: str
    initiator: bool
    own_nonce: str = field(repr=False)
    nonce: str = field(repr=False)
    key: str
    places: Sequence[Place]


class DirectSession:
    """Two users, from their offers to the end of their link.

    Args:
        network: the framework.
        identity: our key.
        terms: what was agreed.
        roads: which way messages go.

    Attributes:
        terms: as given.
        friend: the other user.
        pair: its key.
        is_linked: whether a link is chosen.
    """

    def __init__(self, network: Network, identity: Identity, terms: Terms, roads: Roads) -> None:
        self.terms = terms
        self.friend = terms.friend
        self.pair = user_key(terms.friend)
        self.is_linked = False
        self._network = network
        self._identity = identity
        self._roads = roads
        self._links: list[DirectLink] = []  # tried, or chosen
        self._chosen: DirectLink | None = None
        self._marked = False  # the other side's marker has come
        self._over = False
        self._heard_at = network.seconds()
        self._tasks: list[Cancellable] = []
        self._timer: Cancellable | None = None

    @property
    def is_beginning(self) -> bool:
        """Whether it is ours, and there is no link yet."""
        return self.terms.initiator and self._chosen is None

    def start(self) -> None:
        """Dial what was offered; :meth:`end` follows, at the latest, when nothing comes of it."""
        self._timer = self._network.call_later(LINK_WITHIN, lambda: self.end("no link came about"))
        self._tasks.append(self._network.spawn(self._dial_all()))

    # -- links -------------------------------------------------------------------------------

    async def _dial_all(self) -> None:
        if not self.terms.initiator:
            await sleep(self._network, ANSWER_FIRST)
        for _ in range(ROUNDS):
            for place in self.terms.places:
                if self._chosen is not None or self._over:
                    return
                self._tasks.append(self._network.spawn(self._dial(place)))
                await sleep(self._network, DIAL_EVERY)
            await sleep(self._network, ROUND_EVERY)

    async def _dial(self, place: Place) -> None:
        link = DirectLink(self._network, lambda link, hello: self)
        tls = self._identity.clientConnectionForTLS(None)  # type: ignore[arg-type]  # it is for no transport
        sealed = Sealed(tls, lambda sealed: self._agreed(link, sealed))
        try:
            raw = await self._network.dial(*place, sealed, LINK_WITHIN)
        except DialError:
            return  # most of what is offered isn't there for us
        if self._over or self._chosen is not None:
            raw.abort()
            return
        self._links.append(link)
        sealed.on_failed = lambda why: self._drop(link)
        sealed.begin(raw)

    def _stop_dialling(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()

    def _agreed(self, link: DirectLink, sealed: Sealed) -> DirectLink | None:
        """Keys are proved on a link that we dialled: is it the friend's?"""
        if self._over or not link.attach(sealed):
            return None
        if link.key != self.terms.key:
            self._network.log("a direct link to {friend} showed another key", friend=self.friend)
            self._drop(link)
            return None
        link.say(direct.Hello(sid=self.terms.sid, nonce=self.terms.nonce))
        return link

    def admit(self, link: DirectLink) -> bool:
        """A link that the other side dialled has named this session; whether it may."""
        if self._over or self._chosen is not None or link.key != self.terms.key:
            return False
        self._links.append(link)
        return True

    def accepts(self, link: DirectLink, hello: direct.Hello) -> bool:
        """Whether the other end has said what only it was told."""
        return hello.sid == self.terms.sid and hello.nonce == self.terms.own_nonce and not self._over

    def _drop(self, link: DirectLink) -> None:
        if link in self._links:
            self._links.remove(link)
        link.close("not needed")

    # -- what a link tells -------------------------------------------------------------------

    def heard(self, link: DirectLink, query: direct.AnyQuery) -> None:
        """About the link."""
        if isinstance(query, direct.Hello):
            if link.accepted:
                link.say(direct.Hello(sid=self.terms.sid, nonce=self.terms.nonce))
            if self.terms.initiator and self._chosen is None:
                link.say(direct.Use(sid=self.terms.sid))
                self._choose(link)
        elif isinstance(query, direct.Use) and not self.terms.initiator and self._chosen is None:
            self._choose(link)
        elif isinstance(query, direct.Go) and link is self._chosen:
            self._roads.go(self)

    def _choose(self, link: DirectLink) -> None:
        self._chosen, self.is_linked = link, True
        for other in list(self._links):
            if other is not link:
                self._drop(other)
        self._stop_dialling()
        self._again(CROSS_WITHIN, lambda: self.end("the move took too long"))
        if self._marked:
            link.say(direct.Go(sid=self.terms.sid))
        self._roads.leave(self, self._write)

    def message(self, link: DirectLink, message: Message) -> None:
        """A message from the friend."""
        if link is not self._chosen:
            link.close("it says messages before it is chosen")
            return
        self._heard_at = self._network.seconds()
        self._roads.message(self, link, message)

    def receipt(self, link: DirectLink, ids: list[str]) -> None:
        """The friend's application has these."""
        if link is self._chosen:
            self._roads.arrived(self, ids)

    def lost(self, link: DirectLink, why: str) -> None:
        """A link is gone."""
        if link in self._links:
            self._links.remove(link)
        if link is self._chosen:
            self.end(why)

    # -- what the user's side tells ----------------------------------------------------------

    def marker_came(self) -> None:
        """All that the friend sent by the relay before is here."""
        self._marked = True
        if self._chosen is not None:
            self._chosen.say(direct.Go(sid=self.terms.sid))

    def crossed(self) -> None:
        """Our messages go by the link from now on."""
        self._again(IDLE, self._look)

    def stop_reading(self) -> None:
        """The application has enough to take."""
        if self._chosen is not None:
            self._chosen.stop_reading("application")

    def read_on(self) -> None:
        """It has caught up."""
        if self._chosen is not None:
            self._chosen.read_on("application")

    def end(self, why: str) -> None:
        """Close every link; the conversation is at the relay."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._stop_dialling()
        self._chosen = None
        for link in list(self._links):
            self._drop(link)
        self._roads.ended(self, why)

    def _write(self, frames: list[bytes]) -> None:
        self._heard_at = self._network.seconds()
        if self._chosen is not None:
            self._chosen.write(frames)

    def _look(self) -> None:
        left = self._heard_at + IDLE - self._network.seconds()
        if left > 0:
            self._again(left, self._look)
        else:
            self.end("nothing was said for long")

    def _again(self, seconds: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._network.call_later(seconds, call)
