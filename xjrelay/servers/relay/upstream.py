# SPDX-License-Identifier: MIT
"""The link with the manager: our name, the keys, who opened a session here (protocol, section 5).

There is one manager; which address it has is what the trackers say. The link is dialled for
ever. Each time it is there, the manager hears the whole list of our sessions, so that its count
can't drift. Sessions go on while it is away; only users without a token can't be let in then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from xjrelay.net.context import Context
from xjrelay.net.proof import ProvingLink
from xjrelay.net.reconnect import Dialler
from xjrelay.net.tls import Dialling, IDiallingReactor
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Verifier
from xjrelay.servers.relay.identity import Identity
from xjrelay.servers.relay.post import Post
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.servers.relay.switch import Switch
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import (
    Drain,
    Ecir,
    Gone,
    Keys,
    Kind,
    Mail,
    ManagerWelcome,
    Ncir,
    Receipt,
    Reported,
    Revoke,
    Stanza,
    Who,
    WhoAnswer,
)

_log = Logger()

class ManagerLink(ProvingLink):
    """One connection to the manager."""

    label = "to-manager"

    def __init__(
        self, context: Context, identity: Identity, secret: ClusterSecret, upstream: Upstream
    ) -> None:
        super().__init__(context, identity.to_manager, secret.client)
        self.phase = Phase.AT_MANAGER_PROOF
        self._upstream = upstream

    def proved(self) -> None:
        """The welcome is coming."""
        self.phase = Phase.AT_MANAGER_WELCOME

    def on_manager_welcome(self, welcome: Stanza) -> None:
        """We are the manager's."""
        assert isinstance(welcome, ManagerWelcome) and isinstance(self.factory, Dialler)
        self._upstream.welcomed(self, welcome)
        self.phase = Phase.AT_MANAGER_RELAY
        self.established()
        self.factory.authenticated()

    def on_keys(self, keys: Stanza) -> None:
        """New keys, and our own name's new token."""
        assert isinstance(keys, Keys)
        self._upstream.renewed(keys.keys, keys.token)

    def on_revoke(self, revoke: Stanza) -> None:
        """Sessions end."""
        assert isinstance(revoke, Revoke)
        self._upstream.revoked(revoke)

    def receive(self, kind: Kind, value: dict[str, Any], frame: bytes) -> Any:
        """A message is mail, and forwarded as it came."""
        if kind is Kind.MESSAGE:
            self._upstream.post.message(value, frame)
            return None
        return super().receive(kind, value, frame)

    def on_mail(self, mail: Stanza) -> None:
        """Mail follows for one of our sessions."""
        assert isinstance(mail, Mail)
        self._upstream.post.mail(mail)

    def on_receipt(self, receipt: Stanza) -> None:
        """What became of messages that were to be stored."""
        assert isinstance(receipt, Receipt)
        self._upstream.post.receipt(receipt)

    def on_given_up(self, gone: Stanza) -> None:
        """The relays that the manager has given up."""
        assert isinstance(gone, Gone)
        self._upstream.on_given_up(gone.relays)

    def on_drain(self, drain: Stanza) -> None:
        """Users are to be sent elsewhere."""
        assert isinstance(drain, Drain)
        self._upstream.on_drain(drain.within / 1000, drain.users)

    def on_who_answer(self, answer: Stanza) -> None:
        """Who somebody is."""
        assert isinstance(answer, WhoAnswer)
        self._upstream.told_who(answer)

    def closed(self, reason: CloseReason) -> None:
        """The manager is away."""
        self._upstream.lost(self)


class Upstream:
    """The manager, as this relay knows it.

    Args:
        reactor: dials and tells the time.
        context: what the program's links share.
        identity: who we are; the manager gives it its name and token.
        switch: our sessions.
        verifier: gets the manager's keys.
        secret: the cluster's.
        welcomed: called with the other relays, name and place, each time the manager is there.

    Attributes:
        post: the way to the mailbox.
        on_given_up: called with the names of the relays that the manager has given up.
        on_drain: called when users are to be sent elsewhere, with seconds, and how many or None for all.
        on_lost: called when the manager is away.
    """

    def __init__(
        self,
        reactor: IDiallingReactor,
        context: Context,
        identity: Identity,
        switch: Switch,
        verifier: Verifier,
        secret: ClusterSecret,
        welcomed: Callable[[list[tuple[str, Address]]], None],
    ) -> None:
        self._reactor = reactor
        self._context = context
        self._identity = identity
        self._switch = switch
        self._verifier = verifier
        self._secret = secret
        self._tell = welcomed
        self._dialler: Dialler[ManagerLink] | None = None
        self._link: ManagerLink | None = None
        self._places: Sequence[Address] = ()
        self._asked: dict[str, Deferred[WhoAnswer]] = {}
        self._questions = 0
        self.post = Post(context, switch)
        self.on_given_up: Callable[[list[str]], None] = _nothing
        self.on_drain: Callable[[float, int | None], None] = _nothing
        self.on_lost: Callable[[], None] = _nothing
        switch.announcing.append(self)

    @property
    def linked(self) -> bool:
        """Whether the manager has welcomed us and is still there."""
        return self._link is not None

    def managers(self, places: Sequence[Address]) -> None:
        """The trackers say where the manager is.

        Where several places are named (one of them by a tracker that is behind), they are tried in
        turn for as long as none welcomes us.
        """
        before, self._places = self._places, places
        if self.linked or not places:
            return
        if self._dialler is None:
            dialling = self._context.dialling
            self._dialler = Dialler(self._reactor, self._context.random, places[0], self._build, dialling)
            self._dialler.start()
            return
        known = self._dialler.address
        if known in places and known not in before:  # it is back: it need not wait for our next try
            self._dialler.again()
            return
        place = places[(places.index(known) + 1) % len(places)] if known in places else places[0]
        if place != known:
            self._dialler.address = place
            self._dialler.again()

    def who(self, username: str, ip: str) -> Deferred[WhoAnswer]:
        """Whether a user is logged in from an address.

        Returns:
            The manager's answer; fails with RemoteError 503 when it gives none.
        """
        if self._link is None:
            return fail(_not_now())
        self._questions += 1
        question = str(self._questions)
        answer: Deferred[WhoAnswer] = Deferred()
        self._asked[question] = answer
        self._link.send(Who(username, ip, question))
        answer.addTimeout(self._switch.settings.who_timeout, self._reactor)

        def failed(failure: Failure) -> Failure:
            self._asked.pop(question, None)
            return Failure(_not_now()) if failure.check(TimeoutError) else failure

        return answer.addErrback(failed)

    def stop(self) -> Deferred[None]:
        """Leave the manager."""
        return self._dialler.stop() if self._dialler is not None else succeed(None)

    # -- for the switch ----------------------------------------------------------------------

    def user_opened(self, session: UserSession) -> None:
        """R7."""
        if self._link is not None:
            name, user = self._identity.name, session.route.user
            self._link.send(Ncir(name, *user, waits=session.waits, resuming=session.absent))

    def user_closed(self, session: UserSession) -> None:
        """R10."""
        if self._link is not None:
            self._link.send(Ecir(self._identity.name, *session.route.user))

    def user_changed(self, session: UserSession) -> None:
        """Said as it is now, so that presence is the truth."""
        self.user_opened(session)

    def drains(self) -> None:
        """Tell the manager that nobody is let in any more."""
        if self._link is not None:
            self._link.send(Drain())

    # -- for the link ------------------------------------------------------------------------

    def welcomed(self, link: ManagerLink, welcome: ManagerWelcome) -> None:
        """The manager gave us a name, keys and the other relays; it gets our sessions.

        Raises:
            RemoteError: its keys are none.
        """
        self.renewed(welcome.keys, welcome.token)
        self._identity.name = welcome.username
        self._link = link
        _log.info(
            "{link} welcomed us as {name}",
            event="manager-joined",
            link=link.name,
            name=welcome.username,
        )
        self.post.linked(link)
        self.on_given_up(welcome.gone)
        if welcome.fresh:
            _log.warn("the manager had given us up: every session ends")
            self._switch.end_all(CloseReason.LOST)
        # However many they are, this is one write: frames of one read are gathered.
        for route in self._switch.table.local():
            assert route.handle is not None
            self.user_opened(route.handle)
        link.send(Reported())
        self.post.reported()
        if self._switch.draining:
            self.drains()
        self._tell(_relays(welcome.components, self._context.dialling))

    def renewed(self, keys: list[dict[str, Any]], token: str) -> None:
        """The manager's keys as they now are, and our own token.

        Raises:
            RemoteError: 400, they are no keys; nothing has changed then.
        """
        self._verifier.set_keys(keys)
        self._identity.token = token

    def revoked(self, revoke: Revoke) -> None:
        """The manager ends sessions."""
        self._switch.revoke(revoke.username, revoke.session, revoke.resource, revoke.reason)

    def told_who(self, answer: WhoAnswer) -> None:
        """One of our questions is answered."""
        asked = self._asked.pop(answer.id, None)
        if asked is not None:
            asked.callback(answer)

    def lost(self, link: ManagerLink) -> None:
        """The manager is away: whoever waits for an answer gets none."""
        if self._link is not link:
            return
        self._link = None
        self.post.lost()
        self.on_lost()
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            answer.errback(_not_now())

    def _build(self) -> ManagerLink:
        return ManagerLink(self._context, self._identity, self._secret, self)


def _nothing(*args: object) -> None:
    """Nobody wants to know."""


def _not_now() -> RemoteError:
    return RemoteError(Code.NOT_NOW, "the manager can't be asked, try again")


def _relays(components: list[dict[str, Any]], dialling: Dialling) -> list[tuple[str, Address]]:
    """Name and place of each relay that the manager lists."""
    found = []
    for component in components:
        name, host, port = (component.get(key) for key in ("username", "ip_local", "port"))
        if isinstance(name, str) and isinstance(host, str) and isinstance(port, int):
            offered = component.get("endpoints")
            ways = [way for way in offered if isinstance(way, str)] if isinstance(offered, list) else None
            found.append((name, dialling.way_in(host, port, ways)))
    return found
