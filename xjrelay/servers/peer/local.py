# SPDX-License-Identifier: MIT
"""The peer that runs here: what a window, a terminal or a test does with it.

:class:`LocalPeer` puts the parts together: whom we know (``domain.peers``), the links, the
diallers, the outbox. It runs on any reactor, a sandbox's too. All of it is to be called in the
reactor's thread. Names of others are one printable line already; their texts are whatever they
said, and are for the caller to show with care.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xjrelay.domain.peers import (
    RETURN_TIME,
    Introduction,
    Known,
    PeerBook,
    Place,
    Refusal,
    Status,
    fingerprint,
)
from xjrelay.net.context import Context
from xjrelay.net.tls import IDiallingReactor
from xjrelay.security.identity import Identity
from xjrelay.servers.listening import Place as Listened
from xjrelay.servers.peer.dialling import Diallers, Target
from xjrelay.servers.peer.door import PeerFactory
from xjrelay.servers.peer.events import (
    Changed,
    Events,
    Forgotten,
    Listener,
    Met,
    PeerView,
    Received,
    Settled,
    view,
)
from xjrelay.servers.peer.links import Links
from xjrelay.servers.peer.outbox import Outbox
from xjrelay.servers.peer.protocol import PeerLink
from xjrelay.servers.peer.reception import Reception
from xjrelay.servers.peer.whereabouts import Whereabouts
from xjrelay.storage.interfaces import MAX_HISTORY, PeerMessage, PeerStores
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.peers import (
    MAX_PACKET,
    Author,
    Broadcast,
    Discovery,
    Entry,
    Join,
    Listing,
    Message,
    Packet,
    Peers,
    Receipt,
    Receipts,
    Text,
    seconds_of,
    shown_name,
)

_log = Logger()

DISCOVER_EVERY: Final = 60.0
"""Seconds between two questions, each to one peer, whom it knows by now."""
CLOCKS_DIFFER: Final = 60.0
"""Seconds that a message may come from the future."""
MAX_OF_STRANGER: Final = 100
"""Texts kept of somebody we have never written to: strangers don't fill the disk."""


class NotConnected(Exception):
    """A place that a person named could not be connected to; the text says why, in words."""


class TooLong(Exception):
    """A text that doesn't fit into a packet, or is none."""


class UnknownPeer(Exception):
    """There is nobody of that id."""


class LocalPeer:
    """One peer.

    Args:
        reactor: dials and tells the time.
        context: what its links share.
        identity: its key.
        name: what it calls itself.
        stores: its memory.
        whereabouts: where it is.

    Attributes:
        factory: lets others in; whoever makes the peer listens with it.
        book: whom it knows.
        links: who is there.
        texts_heard: how many texts came.
    """

    def __init__(
        self,
        reactor: IDiallingReactor,
        context: Context,
        identity: Identity,
        name: str,
        stores: PeerStores,
        whereabouts: Whereabouts | None = None,
    ) -> None:
        self.context = context
        self.identity = identity
        self.whereabouts = whereabouts or Whereabouts()
        self.book = PeerBook(identity.peer_id)
        self.links = Links(identity.peer_id, context.clock, self._link_changed)
        self.factory = PeerFactory(context, self, identity)
        self._store = stores.peers
        self._author = Author(identity.peer_id, shown_name(name), context.clock.seconds)
        self._outbox = Outbox(self._store, self._author, self._settled)
        linked = self.links.__contains__
        self._diallers = Diallers(reactor, context, identity, self._dial, linked, self._not_joined)
        self._events = Events()
        self._reception = Reception(context.clock, self.book, self.links, self._events, self._welcome)
        self._asked: dict[Place, str] = {}  # and who was met there
        self._waiters: dict[Place, list[Deferred[str]]] = {}
        self._returning: dict[str, IDelayedCall] = {}
        self._discovery: IDelayedCall | None = None
        self._running = False
        self.texts_heard = 0

    # -- for whoever shows it ----------------------------------------------------------------

    @property
    def own_id(self) -> str:
        """Our id."""
        return self.identity.peer_id

    @property
    def under_way(self) -> int:
        """Messages under way to the peer that has most of them."""
        return self._outbox.under_way

    @property
    def name(self) -> str:
        """What we call ourselves."""
        return self._author.name

    @property
    def fingerprint(self) -> str:
        """What others compare with what they are shown."""
        return fingerprint(self.own_id)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Be told of every event from now on; call the result to be told no more."""
        return self._events.subscribe(listener)

    def peers(self) -> list[PeerView]:
        """Everybody we know, by name."""
        return sorted((self._view(peer) for peer in self.book), key=lambda peer: peer.shown.casefold())

    def peer(self, peer_id: str) -> PeerView | None:
        """Somebody we know."""
        known = self.book.get(peer_id)
        return None if known is None else self._view(known)

    def status(self, peer_id: str) -> Status:
        """Whether somebody is there."""
        if peer_id in self.links:
            return Status.HERE
        return Status.RETURNING if peer_id in self._returning else Status.GONE

    async def start(self, places: list[Listened]) -> None:
        """Remember, and dial those we know.

        Args:
            places: where we listen already.
        """
        self.whereabouts.listening(places)
        self.book.remember(await self._store.peers())
        self._running = True
        self._reception.open()
        self._discovery = self.context.clock.callLater(DISCOVER_EVERY, self._discover)
        self._redial()

    async def stop(self) -> None:
        """Say good-bye, and close every link; returns when all are gone."""
        self._running = False
        for call in (self._discovery, *self._returning.values()):
            if call is not None and call.active():
                call.cancel()
        self._returning.clear()
        dialled = [link for link in self.links.all() if link.dialled is not None]
        for link in self.links.all():
            link.farewell("going", CloseReason.SHUTDOWN)
        gone = [link.gone for link in dialled]
        await gatherResults([self._diallers.stop(), self.factory.close_all(), *gone])

    def ask(self, host: str, port: int) -> None:
        """Dial a place from now on, until somebody is there, and again whenever it is lost."""
        self._asked.setdefault(_normal(host, port), "")
        self._redial()

    def connect(self, host: str, port: int) -> Deferred[str]:
        """Dial a place now.

        Returns:
            Fires with the id of whoever is there, or fails with :class:`NotConnected` after the
            first try; then it is not tried again.
        """
        place = _normal(host, port)
        if place in self.whereabouts.ours().places:
            return fail(NotConnected(Refusal.ITSELF.value))
        there = self.book.at(place)
        met = self._asked.get(place) or (there.peer_id if there else "")
        if met in self.links:
            return succeed(met)
        waiter: Deferred[str] = Deferred()
        self._waiters.setdefault(place, []).append(waiter)
        self._asked.setdefault(place, "")
        self._redial()
        self._diallers.now(place)
        return waiter

    async def send(self, peer_id: str, text: str) -> PeerMessage:
        """Say something to one peer, there or not: it goes once it can.

        Returns:
            The message, on disk; its state comes later, by :class:`Settled`.

        Raises:
            UnknownPeer: nobody we have met.
            TooLong: it is empty, or too long for a packet.
            StoreError: the disk is full, or too many wait for that peer.
        """
        known = self.book.get(peer_id)
        if known is None:
            raise UnknownPeer(peer_id)
        if not known.kept:
            known.kept = True
            self._keep(known)
        message = self._message(peer_id, text, broadcast=False)
        self._noted("accepted" if peer_id in self.links else "waits", message, peer_id)
        return await self._outbox.say(message)

    async def broadcast(self, text: str) -> list[PeerMessage]:
        """Say something to everybody who is there now; see :meth:`send`."""
        first = self._message(self.own_id, text, broadcast=True)
        messages = [replace(first, peer_id=peer_id) for peer_id in sorted(self.links.ids)]
        return [await self._outbox.say(message) for message in messages]

    def history(
        self, peer_id: str, before: int | None = None, most: int = 100
    ) -> Deferred[list[PeerMessage]]:
        """What was said with somebody, oldest first: the last, or the last before a message's number."""
        return self._store.history(peer_id, before, most)

    def last(self) -> Deferred[dict[str, PeerMessage]]:
        """The last message with each."""
        return self._store.last()

    def rename(self, peer_id: str, label: str) -> None:
        """Call somebody something else here; the empty string for its own name.

        Raises:
            UnknownPeer: nobody we have met.
        """
        known = self.book.get(peer_id)
        if known is None:
            raise UnknownPeer(peer_id)
        known.label = shown_name(label) if label else ""
        self._keep(known)
        self._events.tell(Changed(self._view(known)))

    async def forget(self, peer_id: str) -> None:
        """Know somebody no more, nor what was said; the next meeting is the first."""
        self.book.forget(peer_id)
        link = self.links.get(peer_id)
        if link is not None:
            link.farewell("forgotten", CloseReason.DONE)
        self._asked = {place: "" if met == peer_id else met for place, met in self._asked.items()}
        await self._store.forget(peer_id)
        self._events.tell(Forgotten(peer_id))
        self._redial()

    def found(self, place: Place, peer_id: str) -> None:
        """Somebody announces itself on this network."""
        entry = Entry(peer_id, "", *place)
        self._try(peer_id, "127.0.0.1", [entry])

    # -- for its links -----------------------------------------------------------------------

    def packet(self, kind: type[Packet], data: Any = None, target: str | None = None) -> bytes:
        """A packet of ours, as a frame."""
        return self._author.write(kind, data, target)

    def greeting(self, link: PeerLink) -> bytes:
        """JOIN: who we are and where that link finds us."""
        return self.packet(Join, self.whereabouts.seen_from(link))

    def listing(self, link: PeerLink) -> bytes:
        """PEERS: who else is there, and who we are."""
        others = [peer for peer in self.book if peer.peer_id in self.links and peer.peer_id != link.peer_id]
        place = self.whereabouts.seen_from(link)
        ours = Entry(self.own_id, self.name, place.host, place.port)
        return self.packet(Peers, Listing(self.whereabouts.told_to(link, others), ours))

    def meet(self, link: PeerLink, packet: Join | Peers) -> Deferred[None] | None:
        """Somebody says who it is: let it in, or refuse."""
        self.whereabouts.saw(link)
        return self._reception.meet(link, packet)

    def named(self, link: PeerLink, packet: Peers) -> None:
        """Somebody says whom it knows: those we don't are tried."""
        self._try(link.peer_id, link.host, packet.data.entries())

    def heard(self, link: PeerLink, packet: Message | Broadcast) -> Deferred[None]:
        """Somebody says something; fires when it is on disk."""
        return Deferred.fromCoroutine(self._heard(link, packet))

    def receipts(self, link: PeerLink, message_ids: list[str]) -> Deferred[None]:
        """Somebody has what we said."""
        return Deferred.fromCoroutine(self._outbox.receipts(link, message_ids))

    def ended(self, link: PeerLink, reason: CloseReason) -> None:
        """A link is gone."""
        if link.peer_id:
            self.links.down(link)

    # -- meeting ----------------------------------------------------------------------------

    def _welcome(self, link: PeerLink, packet: Join | Peers, introduction: Introduction) -> None:
        """Somebody is let in."""
        if isinstance(packet, Join):
            link.send_frame(self.listing(link))  # before anything that waits for it
        self._let_in(link, introduction)
        if isinstance(packet, Peers):
            self.named(link, packet)

    def _let_in(self, link: PeerLink, introduction: Introduction) -> None:
        peer = introduction.peer
        for dropped in introduction.dropped:
            self._log_failure(self._store.forget(dropped), "a stranger was not forgotten")
            self._events.tell(Forgotten(dropped))
        self._keep(peer)
        if link.dialled is not None and link.dialled in self._asked:
            self._asked[link.dialled] = peer.peer_id
        self._diallers.joined(link)
        self.links.up(link)
        if introduction.first:
            shown = fingerprint(peer.peer_id) or "plain"
            _log.info("met {name}, {fingerprint}", name=peer.name, fingerprint=shown)
            self._events.tell(Met(self._view(peer), introduction.namesake))
        for waiter in self._waiters.pop(link.dialled or ("", 0), []):
            waiter.callback(peer.peer_id)

    async def _heard(self, link: PeerLink, packet: Message | Broadcast) -> None:
        text = packet.data
        known, known_id = self.book.get(link.peer_id), None if link.plain else text.id
        stored = await self._store.hear(
            PeerMessage(
                link.peer_id,
                known_id or self._new_id(),
                text.text,
                self._time_of(packet),
                incoming=True,
                broadcast=isinstance(packet, Broadcast),
                state="received",
            ),
            MAX_HISTORY if known is not None and known.kept else MAX_OF_STRANGER,
        )
        if stored is not None:
            self.texts_heard += 1
            self._noted("arrived", stored, link.peer_id)
            self._events.tell(Received(stored))
        if known_id is not None:
            link.say(Receipt, Receipts([known_id]))

    # -- coming and going --------------------------------------------------------------------

    def _link_changed(self, peer_id: str, link: PeerLink | None, lost: PeerLink | None) -> None:
        known = self.book.get(peer_id)
        timer = self._returning.pop(peer_id, None)
        if timer is not None and timer.active():
            timer.cancel()
        if link is not None:
            self._outbox.opened(link)
            why = ""
        else:
            assert lost is not None
            self._outbox.closed(peer_id)
            self._diallers.lasted(peer_id, self.context.clock.seconds() - lost.opened_at)
            why = self._gone(known, lost) if known is not None and self._running else ""
        if known is not None:
            self._events.tell(Changed(self._view(known), why))
        self._redial()

    def _gone(self, known: Known, lost: PeerLink) -> str:
        """Somebody is not there any more; why, in its own words or ours."""
        known.seen_at = self._now_ms()
        self._keep(known)
        if lost.left:
            return lost.why or "left"
        self._returning[known.peer_id] = self.context.clock.callLater(
            RETURN_TIME, self._given_up, known.peer_id
        )
        return "connection lost"

    def _given_up(self, peer_id: str) -> None:
        self._returning.pop(peer_id, None)
        known = self.book.get(peer_id)
        if known is not None:
            self._events.tell(Changed(self._view(known), "nothing heard"))

    def _redial(self) -> None:
        if self._running:
            asked = [place for place, met in self._asked.items() if met not in self.links]
            self._diallers.want(self.book.to_dial(self.links.ids, asked), asked)

    def _dial(self, target: Target) -> PeerLink:
        return PeerLink(self.context, self, target.place, target.expected, target.asked)

    def _not_joined(self, place: Place, why: str) -> None:
        """A place that a person named: whoever waits for it is told, and it isn't tried again."""
        waiters = self._waiters.pop(place, [])
        if waiters or why == Refusal.ITSELF.value:
            self._asked.pop(place, None)
            self.context.clock.callLater(0, self._redial)
        for waiter in waiters:
            waiter.errback(NotConnected(why))

    def _try(self, teller: str, host: str, entries: list[Entry]) -> None:
        unknown = [one for one in entries if one.peer_id != self.own_id and one.peer_id not in self.links]
        now = self.context.clock.seconds()
        self._diallers.hearsay.offer(teller, host, unknown, self.whereabouts.ours(), now)
        self._diallers.try_others()

    def _discover(self) -> None:
        """Ask one peer of ours whom it knows by now: so a mesh that was torn grows together."""
        rng = self.context.random
        self._discovery = self.context.clock.callLater(DISCOVER_EVERY * rng.uniform(0.8, 1.2), self._discover)
        links = [link for link in self.links.all() if not link.plain]
        if links:
            rng.choice(links).say(Discovery)

    # -- small things ------------------------------------------------------------------------

    def _message(self, peer_id: str, text: str, broadcast: bool) -> PeerMessage:
        message = PeerMessage(peer_id, self._new_id(), text, self._now_ms(), broadcast=broadcast)
        frame = self.packet(Message, Text(text, message.message_id), peer_id) if text else b""
        if not 0 < len(frame) <= MAX_PACKET:
            raise TooLong("a message has at least one character and fits into 60 KiB")
        return message

    def _noted(self, event: str, message: PeerMessage, other: str) -> None:
        trace = self.context.trace
        if trace is not None:
            ends = (other, self.own_id) if message.incoming else (self.own_id, other)
            trace.note(event, *ends, [message.message_id], "")

    def _new_id(self) -> str:
        return self.context.random.randbytes(8).hex()

    def _time_of(self, packet: Packet) -> int:
        said, now = seconds_of(packet.timestamp), self.context.clock.seconds()
        return int(1000 * (now if said is None or not 0 <= said <= now + CLOCKS_DIFFER else said))

    def _now_ms(self) -> int:
        return int(self.context.clock.seconds() * 1000)

    def _view(self, peer: Known) -> PeerView:
        return view(peer, self.status(peer.peer_id))

    def _settled(self, peer_id: str, message_ids: list[str], state: str) -> None:
        self.context.counters.outcomes[state, None] += len(message_ids)
        if self.context.trace is not None:
            self.context.trace.note(state, self.own_id, peer_id, message_ids, "")
        self._events.tell(Settled(peer_id, tuple(message_ids), state))

    def _keep(self, peer: Known) -> None:
        self._log_failure(self._store.keep(peer), "a peer was not remembered")

    def _log_failure(self, work: Deferred[None], what: str) -> None:
        work.addErrback(lambda failure: _log.failure("{what}", failure, what=what))


def _normal(host: str, port: int) -> Place:
    return ("127.0.0.1" if host == "localhost" else host), port
