# SPDX-License-Identifier: MIT
"""Direct links of one user: offered, taken, kept apart from the relay's session (protocol, section 13).

Beside :mod:`relay_side`, which carries the offers and, whenever there is no link, the messages. Here it is
decided whom a link is offered, whose offer is taken, and what may be dialled; a
:class:`~xjrelay.client.direct_session.DirectSession` does the rest.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from xjrelay.client.direct_door import Door
from xjrelay.client.direct_link import DirectLink
from xjrelay.client.direct_session import DirectSession, Terms
from xjrelay.client.errors import BadAddress, ClientError, Disconnected, TimedOut
from xjrelay.client.model import Direct, Message, RoadChange, user_key
from xjrelay.client.network import Cancellable, Network, Promise
from xjrelay.client.sending import Sending
from xjrelay.domain.direct import LINK_WITHIN, MAX_SESSIONS, Tries, own_offer_counts
from xjrelay.security.identity import Identity, make_key
from xjrelay.security.private import PrivateFileError
from xjrelay.wire import direct
from xjrelay.wire.errors import Condition, RemoteError, StanzaError
from xjrelay.wire.stanzas import Iq

CHECK_AFTER: Final = 10.0
"""Seconds that friends have to come back to their relays, when ours was lost, before they are asked."""


class House(Protocol):
    """What is asked of the rest of the client.

    Attributes:
        username: the user, in the registered spelling.
        sending: what is under way.
    """

    @property
    def username(self) -> str:
        """The user."""

    @property
    def sending(self) -> Sending:
        """What is under way."""

    def say_iq(self, iq: Iq) -> bool:
        """Say it at the relay; false where there is none at the moment."""

    def relay_host(self) -> str:
        """Our own address, as the way to the relay shows it; empty where there is none."""

    def is_mutual(self, user: str) -> bool:
        """Whether each is the other's contact."""

    def deliver(self, message: Message, link: DirectLink) -> bool:
        """A message for the application; false when it has enough to take."""

    def tell(self, event: RoadChange) -> None:
        """For the application."""


class DirectSide:
    """Every direct session of a user.

    Args:
        network: the framework.
        settings: the application's.
        house: the rest of the client.

    Attributes:
        door: where friends come in.

    Raises:
        BadAddress: the key can't be used.
    """

    def __init__(self, network: Network, settings: Direct, house: House) -> None:
        self._network = network
        self._house = house
        try:
            self._identity = Identity(settings.key or make_key(), "the key for direct links")
        except PrivateFileError as error:
            raise BadAddress(str(error)) from error
        self._sessions: dict[str, DirectSession] = {}
        self._offers: dict[str, str] = {}  # sids of our own that have no answer yet, by friend
        self._asked: dict[str, tuple[str, Promise[Iq]]] = {}
        self._on_road: set[str] = set()
        self._tries = Tries()
        self._serial = 0
        self._check_timer: Cancellable | None = None
        self._over = False
        self.door = Door(network, settings, self._identity, house.relay_host, self)
        house.sending.on_crossed = self._crossed

    async def start(self) -> None:
        """Let friends come in."""
        await self.door.open()

    def close(self) -> None:
        """No direct link any more."""
        self._over = True
        if self._check_timer is not None:
            self._check_timer.cancel()
        for session in list(self._sessions.values()):
            session.end("the client is closed")
        for _, promise in list(self._asked.values()):
            promise.settle(TimedOut("the client is closed"))
        self.door.close()

    def on_link(self, user: str) -> bool:
        """Whether messages to a user go by a direct link now."""
        return user_key(user) in self._on_road

    # -- offering ----------------------------------------------------------------------------

    def about_to_send(self, to: str) -> None:
        """A message to an address is about to be sent: it decides about a link, if there is one."""
        pair = user_key(to)
        session = self._sessions.get(pair)
        if session is None:
            self.talked(to)
        elif "/" in to and to != session.terms.address:
            session.end("a message to another device")

    def talked(self, user: str) -> None:
        """There is a conversation: have a link for it, where there may be one."""
        friend, pair, now = user.partition("/")[0], user_key(user), self._network.seconds()
        there_is_one = pair in self._sessions or pair in self._offers
        if self._over or there_is_one or len(self._sessions) >= MAX_SESSIONS:
            return
        if pair == user_key(self._house.username) or not self._house.is_mutual(friend):
            return
        if self._tries.may_offer(pair, now):
            self._network.spawn(self._offer(friend, pair))

    async def _offer(self, friend: str, pair: str) -> None:
        sid, nonce = secrets.token_hex(16), secrets.token_hex(16)
        self._offers[pair] = sid
        key, candidates = self._identity.peer_id, self.door.candidates()
        offer = direct.Initiate(sid=sid, key=key, nonce=nonce, candidates=candidates)
        try:
            answer = await self._ask(friend, offer)
            accept = direct.read(answer) if answer.type == "result" else None
        except (ClientError, RemoteError) as error:
            self._network.log("no direct link to {friend}: {why}", friend=friend, why=str(error))
            answer, accept = Iq(), None
        if self._offers.get(pair) != sid:
            return  # theirs counts
        del self._offers[pair]
        if not isinstance(accept, direct.Accept) or accept.sid != sid or self._over:
            self._failed(pair)
            return
        places = self.door.worth_dialling(accept)
        self._begin(Terms(sid, friend, str(answer.from_), True, nonce, accept.nonce, accept.key, places))

    def _failed(self, pair: str) -> None:
        self._tries.ended(pair, self._network.seconds(), self._network.random.random())

    async def _ask(self, friend: str, query: direct.AnyQuery, type: str = "set") -> Iq:
        """An answer to an iq, result or error.

        Raises:
            Disconnected: it can't be asked now.
            TimedOut: none came.
        """
        self._serial += 1
        request_id = f"direct-{self._serial}"
        promise: Promise[Iq] = Promise(self._network)
        self._asked[request_id] = user_key(friend), promise
        late = TimedOut("no answer")
        if not self._house.say_iq(direct.iq(query, type, to=friend, id=request_id)):
            promise.settle(Disconnected("there is no relay at the moment"))
        try:
            return await promise.wait_within(LINK_WITHIN, late)
        finally:
            del self._asked[request_id]

    # -- what comes by the relay -------------------------------------------------------------

    def iq_heard(self, iq: Iq) -> None:
        """An iq from a user."""
        user = iq.from_ if isinstance(iq.from_, str) else ""
        if iq.type in ("result", "error"):
            friend, promise = self._asked.get(iq.id, (None, None)) if isinstance(iq.id, str) else (None, None)
            if promise is not None and user_key(user) == friend:
                promise.settle(iq)
            return
        try:
            answer = self._answer(user, direct.read(iq))
        except RemoteError:
            self._house.say_iq(direct.refusal(iq, Condition.BAD_REQUEST))
        except StanzaError as error:
            self._house.say_iq(direct.refusal(iq, error.condition))
        else:
            query = None if answer is None else direct.iq(answer).query
            self._house.say_iq(Iq(namespace=direct.NAMESPACE, to=user, type="result", query=query, id=iq.id))

    def iq_refused(self, request_id: str) -> bool:
        """The relay carries no iqs, or not that one; false where it isn't ours."""
        friend, promise = self._asked.get(request_id, ("", None))
        if promise is None:
            return False
        self._tries.ended(friend, self._network.seconds(), for_long=True)
        promise.settle(TimedOut("the relay doesn't carry offers"))
        return True

    def _answer(self, user: str, query: direct.AnyQuery) -> direct.Accept | None:
        """What a friend is answered.

        Raises:
            StanzaError: it gets nothing.
        """
        friend, pair = user.partition("/")[0], user_key(user)
        if self._over or not self._house.is_mutual(friend):
            raise StanzaError(Condition.ITEM_NOT_FOUND)
        session = self._sessions.get(pair)
        if isinstance(query, direct.Info) and session is not None and session.terms.sid == query.sid:
            return None
        if not isinstance(query, direct.Initiate):
            raise StanzaError(Condition.ITEM_NOT_FOUND)
        self._refuse(pair)
        if session is not None:
            session.end("it begins anew")
        nonce = secrets.token_hex(16)
        self._begin(
            Terms(
                query.sid, friend, user, False, nonce, query.nonce, query.key, self.door.worth_dialling(query)
            )
        )
        return direct.Accept(
            sid=query.sid, key=self._identity.peer_id, nonce=nonce, candidates=self.door.candidates()
        )

    def _refuse(self, pair: str) -> None:
        """Nothing, if a friend's offer is taken.

        Raises:
            StanzaError: it isn't.
        """
        if not self._tries.hears(pair, self._network.seconds()):
            raise StanzaError(Condition.RESOURCE_CONSTRAINT)
        session = self._sessions.get(pair)
        ours = pair in self._offers or (session is not None and session.is_beginning)
        if ours and own_offer_counts(user_key(self._house.username), pair):
            raise StanzaError(Condition.CONFLICT)
        if session is None and len(self._sessions) >= MAX_SESSIONS:
            raise StanzaError(Condition.RESOURCE_CONSTRAINT)
        self._offers.pop(pair, None)

    def marker_heard(self, sender: str, sid: str) -> None:
        """A friend's marker came by the relay."""
        session = self._sessions.get(user_key(sender))
        if session is not None and session.terms.sid == sid:
            session.marker_came()

    def presence_heard(self, user: str) -> None:
        """A friend is there, perhaps with another device: does the link still lead to the one in use?"""
        pair = user_key(user)
        self._tries.came(pair)
        session = self._sessions.get(pair)
        if session is not None and pair in self._on_road:
            self._network.spawn(self._check(session))

    async def _check(self, session: DirectSession) -> None:
        answer = None
        try:
            answer = await self._ask(session.friend, direct.Info(sid=session.terms.sid), "get")
        except Disconnected:
            return  # asked again when the relay is back
        except TimedOut:
            pass
        if answer is None or answer.type != "result" or answer.from_ != session.terms.address:
            session.end("the friend is at another device")

    def relay_up(self) -> None:
        """We are at a relay again: what friends did meanwhile may not have been asked. Their turn first."""
        if self._check_timer is not None:
            self._check_timer.cancel()
        if self._on_road:
            self._check_timer = self._network.call_later(CHECK_AFTER, self._check_all)

    def _check_all(self) -> None:
        for pair in sorted(self._on_road):
            self._network.spawn(self._check(self._sessions[pair]))

    def contact_changed(self, user: str) -> None:
        """The roster is another: whoever is no longer a contact has no link."""
        session = self._sessions.get(user_key(user))
        if session is not None and not self._house.is_mutual(session.friend):
            session.end("no longer a contact")

    # -- for the door ------------------------------------------------------------------------

    def is_expecting(self) -> bool:
        """Whether any friend may be about to come."""
        return bool(self._sessions or self._offers)

    def knows(self, link: DirectLink) -> bool:
        """Whether the key at the other end of a link is that of a friend who was told to come."""
        return any(session.terms.key == link.key for session in self._sessions.values())

    def introduce(self, link: DirectLink, hello: direct.Hello) -> DirectSession | None:
        """The session that a link is for, by its first words; None for none."""
        for session in self._sessions.values():
            if session.terms.sid == hello.sid and session.admit(link):
                return session
        return None

    # -- for the sessions --------------------------------------------------------------------

    def _begin(self, terms: Terms) -> None:
        session = DirectSession(self._network, self._identity, terms, self)
        self._sessions[session.pair] = session
        session.start()

    def leave(self, session: DirectSession, write: Callable[[list[bytes]], None]) -> None:
        """There is a link: say the marker by the relay."""
        terms = session.terms
        message_id = f"direct-{secrets.token_hex(8)}"
        marker = direct.marker(self._house.username, terms.address, message_id, terms.sid)
        try:
            self._house.sending.leave(
                session.pair, marker, write, lambda: session.end("no marker came there")
            )
        except ClientError as error:
            session.end(str(error))

    def go(self, session: DirectSession) -> None:
        """The marker has come to the friend."""
        self._house.sending.go(session.pair)

    def _crossed(self, pair: str) -> None:
        session = self._sessions.get(pair)
        if session is not None:
            self._on_road.add(pair)
            self._tries.linked(pair, self._network.seconds())
            session.crossed()
            self._house.tell(RoadChange(session.friend, True, session.terms.key))

    def arrived(self, session: DirectSession, ids: list[str]) -> None:
        """The friend's application has these."""
        self._house.sending.arrived(session.pair, ids)

    def message(self, session: DirectSession, link: DirectLink, message: Message) -> None:
        """A message from the friend; from nobody else, and to nobody else."""
        own = user_key(self._house.username)
        if user_key(message.from_) != session.pair or user_key(message.to) != own or not message.id:
            session.end("it says what is not its to say")
        elif not self._house.deliver(replace(message, from_=session.friend), link):
            for one in self._sessions.values():
                one.stop_reading()

    def room(self) -> None:
        """The application has caught up."""
        for session in self._sessions.values():
            session.read_on()

    def ended(self, session: DirectSession, why: str) -> None:
        """There is no link: what has no outcome goes by the relay."""
        pair = session.pair
        if self._sessions.get(pair) is not session:
            return
        del self._sessions[pair]
        self._network.log("no direct link to {friend} any more: {why}", friend=session.friend, why=why)
        self._house.sending.back(pair)
        self._failed(pair)
        if pair in self._on_road:
            self._on_road.discard(pair)
            self._house.tell(RoadChange(session.friend, False, why))
