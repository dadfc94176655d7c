# SPDX-License-Identifier: MIT
"""The manager's links: users' and relays', told apart by their hello (protocol, sections 5 and 6).

A link turns stanzas into calls of its subject's module and knows no rule itself. It must not
touch a store.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.logger import Logger

from xjrelay.net.factory import LinkFactory
from xjrelay.net.proof import AdmittingLink
from xjrelay.servers.manager import account, presence, roster
from xjrelay.servers.manager.login import Login, grant
from xjrelay.servers.manager.relays import Seat
from xjrelay.servers.manager.state import Manager
from xjrelay.servers.manager.turns import Turns
from xjrelay.servers.manager.users import User
from xjrelay.storage.interfaces import StoreError
from xjrelay.wire import address, stanzas
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import (
    Answer,
    Auth,
    ComponentHello,
    Ecir,
    GetRelay,
    Iq,
    Kind,
    Ncir,
    Stanza,
    Taken,
    Who,
    WhoAnswer,
)

_log = Logger()

TURN_TIMEOUT = 600.0
"""Seconds that a login may wait for its turn."""

Work = Coroutine[Any, Any, None]


class ManagerProtocol(AdmittingLink):
    """One connection to a manager.

    A user's link may be the original's client, which answers no ping, so its silence alone
    doesn't close it: TCP_USER_TIMEOUT finds out. A relay's must answer.

    Args:
        manager: whose.
    """

    label = "manager"
    may_be_mute = True

    def __init__(self, manager: Manager) -> None:
        super().__init__(manager.context)
        self.phase = Phase.MANAGER_HELLO
        self._manager = manager
        self._hello: ComponentHello | None = None
        self._login: Login | None = None
        self._user: User | None = None
        self._seat: Seat | None = None

    def closed(self, reason: CloseReason) -> None:
        """Whoever it was is gone."""
        if self._login is not None:
            self._manager.turns.forget(self)
            self._manager.slow_turns.forget(self)
        if self._user is not None:
            presence.gone(self._manager, self._user)
        seat, manager = self._seat, self._manager
        if seat is not None and manager.relays.leave(seat) and not manager.stopping:
            manager.sessions.lost(seat)

    # -- before anybody is anybody -----------------------------------------------------------

    def on_component_hello(self, hello: Stanza) -> None:
        """Who connects; a user gets no answer, a relay has to prove itself."""
        assert isinstance(hello, ComponentHello)
        if hello.type == "client":
            self.phase = Phase.MANAGER_LOGIN
            self._login = Login(self._manager, self)
            self.expect_within(self._manager.policy.login_timeout, CloseReason.HELLO_TIMEOUT)
        elif hello.type == "relay":
            self.phase = Phase.MANAGER_PROOF
            self.must_answer = True
            self._hello = hello
            self.demand_proof(self._manager.secret.server, hello)
        else:
            msg = "a manager doesn't take managers"
            raise RemoteError(Code.BAD_REQUEST, msg, CloseReason.PROTOCOL)

    def on_auth(self, auth: Stanza) -> Work | None:
        """A relay's proof, or a user's login."""
        assert isinstance(auth, Auth)
        if self._login is not None:
            return self._answering(self._log_in(self._login, auth), auth.id)
        work: Work | None = super().on_auth(auth)
        return work

    def admitted(self) -> Work:
        """The relay holds the cluster's secret."""
        return self._take_seat()

    async def _log_in(self, login: Login, auth: Auth) -> None:
        turns = self._manager.turns if login.is_quick(auth) else self._manager.slow_turns
        if not await self._turn(turns, login.has_begun):
            return
        try:
            user = await login.step(auth)
        finally:
            turns.leave()
        if user is not None:
            self._user = user
            self.phase = Phase.MANAGER_USER
            self.established()
            _log.info(
                "{link} is user {username}",
                event="user-logged-in",
                link=self.name,
                username=user.username,
            )

    async def _turn(self, turns: Turns, begun: bool) -> bool:
        """Wait for it, unless the link goes; a user's time for its login is not spent by others' logins."""
        turn = turns.take(self, begun=begun)
        if turn is None:
            return True
        self.expect_within(TURN_TIMEOUT, CloseReason.HELLO_TIMEOUT)
        if not await turn:
            return False
        self.expect_within(self._manager.policy.login_timeout, CloseReason.HELLO_TIMEOUT)
        return True

    async def _take_seat(self) -> None:
        assert self._hello is not None
        try:
            self._seat = await self._manager.relays.join(self, self._hello)
        except StoreError as error:
            _log.error("{link}: the store failed: {why}", link=self.name, why=error)
            raise RemoteError(Code.NOT_NOW, "not now, try again", CloseReason.INTERNAL) from error
        if self._seat is not None:
            self._manager.sessions.joined(self._seat)
        self.phase = Phase.MANAGER_RELAY
        self.established()

    # -- relays ------------------------------------------------------------------------------

    def on_ncir(self, report: Stanza) -> None:
        """A user connected to the relay."""
        assert isinstance(report, Ncir) and self._seat is not None
        self._manager.relays.connected(self._seat, report)
        self._manager.sessions.report(self._seat, report)
        self._manager.standing.reported(self, report)

    def on_ecir(self, report: Stanza) -> None:
        """A user left the relay."""
        assert isinstance(report, Ecir) and self._seat is not None
        self._manager.relays.ended(self._seat, report)
        self._manager.sessions.ended(self._seat, report)

    def on_reported(self, reported: Stanza) -> None:
        """The relay has said each session it has."""
        assert self._seat is not None
        self._manager.sessions.reported(self._seat)

    def on_taken(self, taken: Stanza) -> None:
        """A user has acknowledged mail."""
        assert isinstance(taken, Taken) and self._seat is not None
        self._manager.post.take(self._seat, taken)

    def on_drain(self, drain: Stanza) -> None:
        """The relay takes no more users."""
        assert self._seat is not None
        self._manager.relays.drains(self._seat)

    def receive(self, kind: Kind, value: dict[str, Any], frame: bytes) -> Any:
        """A message is to be stored, as it came."""
        if kind is Kind.MESSAGE:
            assert self._seat is not None
            self._manager.post.store_message(self._seat, value, frame)
            return None
        return super().receive(kind, value, frame)

    def on_who(self, who: Stanza) -> Work:
        """Is somebody logged in from an address? For a hello without a token."""
        assert isinstance(who, Who)
        return self._answering(self._who(who), who.id)

    async def _who(self, who: Who) -> None:
        devices = self._manager.users.devices(address.key(who.username))
        user = next((device for device in devices if _same_host(device.link.host, who.ip)), None)
        if user is None:
            self.send(WhoAnswer(online=False, id=who.id))
            return
        session = await self._manager.stores.accounts.next_session(user.key)
        if not self._manager.users.is_live(user):  # it left meanwhile, and its sessions were ended
            self.send(WhoAnswer(online=False, id=who.id))
            return
        user.session = max(user.session, session)
        self.send(WhoAnswer(online=True, id=who.id, username=user.username, session=session))

    # -- users -------------------------------------------------------------------------------

    def on_get_relay(self, request: Stanza) -> Work:
        """The user's relay was lost: another, and a token for it."""
        assert isinstance(request, GetRelay)
        return self._answering(self._get_relay(request), request.id)

    async def _get_relay(self, request: GetRelay) -> None:
        assert self._user is not None
        component, token = await grant(self._manager, self._user)
        answer = Answer(
            error=False,
            code=Code.OK,
            msg="Relay Less Connection",
            id=request.id,
            component=component,
            token=token,
        )
        self.send([answer] if self.original else answer)

    def on_iq(self, iq: Stanza) -> Work:
        """A question about the roster, or a change of the account."""
        assert isinstance(iq, Iq) and self._user is not None
        if iq.namespace == "account":
            return account.answer(self._manager, self._user, iq)
        return roster.answer(self._manager, self._user, iq)

    def on_presence(self, stanza: Stanza) -> Work:
        """Presence, a bio, a directed presence, or a log-out."""
        assert isinstance(stanza, stanzas.Presence) and self._user is not None
        return self._answering(presence.take(self._manager, self._user, stanza), stanza.id)

    # -- answers -----------------------------------------------------------------------------

    async def _answering(self, work: Work, request_id: str | None) -> None:
        """Work whose refusal is answered with the request's id."""
        try:
            await work
        except RemoteError as error:
            self.refuse(error, request_id)
        except StoreError as error:
            _log.error("{link}: the store failed: {why}", link=self.name, why=error)
            self.refuse(RemoteError(Code.NOT_NOW, "not now, try again"), request_id)


class ManagerFactory(LinkFactory[ManagerProtocol]):
    """Accepts users and relays.

    Args:
        manager: whose.
    """

    def __init__(self, manager: Manager) -> None:
        super().__init__(manager.context, lambda: ManagerProtocol(manager))
        manager.sessions.reached = lambda key, resource: presence.reached(manager, key, resource)


def _same_host(one: str, other: str) -> bool:
    """Whether two texts are one IP address; a dual-stack socket shows IPv4 as ``::ffff:…``."""
    return bool(one) and one.removeprefix("::ffff:") == other.removeprefix("::ffff:")
