# SPDX-License-Identifier: MIT
"""The other relays: which there are, which link leads to each, and who is behind it.

Joins the three that know nothing of one another: the links' ends (``mesh_end``), the choice
among links (``net.mesh``) and the routing table (``switch``). Protocol, section 10.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred

from xjrelay.domain.routing import User
from xjrelay.net.context import Context
from xjrelay.net.mesh import Mesh
from xjrelay.net.proof import ProvingLink
from xjrelay.net.reconnect import Dialler
from xjrelay.net.tls import IDiallingReactor
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Verifier
from xjrelay.servers.relay.envoy import Envoy
from xjrelay.servers.relay.identity import Identity
from xjrelay.servers.relay.lane import Lane
from xjrelay.servers.relay.mesh_end import MeshEnd
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.servers.relay.switch import Switch
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import Kind, Stanza

_ALIVE = frozenset({Kind.PING, Kind.PONG})


class PeerLink(ProvingLink):
    """A link with another relay that we dialled: its end, once both sides have proved themselves."""

    label = "to-relay"
    role: MeshEnd | None

    def __init__(self, context: Context, identity: Identity, secret: ClusterSecret, peers: Peers, relay: str):
        super().__init__(context, identity.to_relay, secret.client)
        self.phase = Phase.AT_MESH_PROOF
        self._peers = peers
        self._relay = relay

    def proved(self) -> None:
        """Say our list; theirs is coming."""
        assert isinstance(self.factory, Dialler)
        self.role = MeshEnd(self, self._peers, self._relay, dialled=True, place=self.factory.address)
        self.quick = self._peers.lane.crossed
        self.role.welcome()

    def receive(self, kind: Kind, value: dict[str, Any], frame: bytes) -> Any:
        """After the proof everything but pings is the end's."""
        if self.role is None or kind in _ALIVE:
            return super().receive(kind, value, frame)
        if kind is Kind.IQ:
            return self._peers.envoy.heard(self.role, value)
        return self.role.receive(kind, value, frame)

    def let_in(self) -> None:
        """The handshake is through, and the dialler need not hold back next time."""
        assert isinstance(self.factory, Dialler)
        self.established()
        self.factory.authenticated()

    def on_pong(self, pong: Stanza) -> None:
        """A sign of life, which may decide between two links."""
        super().on_pong(pong)
        if self.role is not None:
            self._peers.answered(self.role)

    def closed(self, reason: CloseReason) -> None:
        """The link is gone."""
        if self.role is not None:
            self.role.ended()


GRACE = 10.0
"""Seconds for which a relay that is up and not linked makes us unsure who is online."""


class Peers:
    """Every other relay.

    Args:
        reactor: dials and tells the time.
        context: what the program's links share.
        identity: who we are.
        switch: whom our users' messages and other relays' users concern.
        verifier: checks the tokens by which relays show their names.
        secret: the cluster's.
    """

    def __init__(
        self,
        reactor: IDiallingReactor,
        context: Context,
        identity: Identity,
        switch: Switch,
        verifier: Verifier,
        secret: ClusterSecret,
    ) -> None:
        self.switch = switch
        self.lane = Lane(switch)
        self.envoy = Envoy(context, switch)
        self._clock = context.clock
        self._dialling = context.dialling
        self._identity = identity
        self._verifier = verifier
        self._told: list[MeshEnd] = []
        self._mesh: Mesh[MeshEnd] = Mesh(
            reactor,
            context,
            lambda name: PeerLink(context, identity, secret, self, name),
            self._changed,
            switch.settings.mesh_patience,
            switch.settings.mesh_links,
        )
        self._gone: frozenset[str] = frozenset()  # those the manager has given up
        self._up: dict[Address, float] = {}  # relays that are up, and since when for us
        switch.way_to = self._mesh.active
        switch.is_whole = self._is_whole
        switch.announcing.append(self)

    @property
    def linked(self) -> list[str]:
        """The relays there is a link with, by name."""
        return self._mesh.linked()

    def named(self, name: str) -> None:
        """The manager said what we are called; under another name we begin anew."""
        if self._mesh.name and self._mesh.name != name:
            self._mesh.drop_all(CloseReason.CONFLICT)
        self._mesh.name = name

    def keep(self, relay: str, place: Address) -> None:
        """There is a relay: have a link with it from now on (R4)."""
        if relay not in self._gone:
            self._mesh.keep(relay, place)

    def given_up(self, relays: Iterable[str]) -> None:
        """The manager has given these relays up: nothing is exchanged with them until it has them back.

        What it had thought lost with them may be in the mailbox by now, and would be overtaken.
        """
        before, self._gone = self._gone, frozenset(relays)
        for relay in self._gone - before:
            self._mesh.suspend(relay)
        for relay in before - self._gone:
            self._mesh.restore(relay)

    def refuse_gone(self, relay: str) -> None:
        """Nothing, unless the manager has given that relay up.

        Raises:
            RemoteError: 503 and close, it has.
        """
        if relay in self._gone:
            raise RemoteError(Code.NOT_NOW, "the manager has given this relay up", CloseReason.CONFLICT)

    @property
    def missing(self) -> list[Address]:
        """Where relays are up that there is no link with."""
        linked = self._mesh.places()
        return [place for place in self._up if place not in linked]

    @property
    def in_flight(self) -> int:
        """How many messages are on their way over the fullest link."""
        ends = [self._mesh.active(name) for name in self._mesh.linked()]
        return max((end.in_flight for end in ends if end is not None), default=0)

    @property
    def others(self) -> list[tuple[str, Address]]:
        """Name and place of each relay there is a link with."""
        return self._mesh.active_places()

    def listed(self, places: Iterable[Address]) -> None:
        """The trackers say that relays are up at these places, ours among them."""
        now = self._clock.seconds()
        place = self._identity.place
        ours = self._dialling.way_in(place.host, place.port, place.endpoints)
        self._up = {place: self._up.get(place, now) for place in places if place != ours}

    def _is_whole(self) -> bool:
        """Whether every relay that is up has told us its users, or has had its time to."""
        since = self._clock.seconds() - GRACE
        return not any(then > since for place, then in self._up.items() if place not in self._mesh.places())

    def answered(self, end: MeshEnd) -> None:
        """A link answered a ping."""
        self._mesh.answered(end.relay, end)

    def stop(self) -> Deferred[None]:
        """Leave the mesh."""
        return self._mesh.stop()

    # -- for the ends ------------------------------------------------------------------------

    def own_welcome(self) -> tuple[str, str]:
        """Our own name and token."""
        return self._identity.require_name(), self._identity.token

    def announce_to(self, end: MeshEnd) -> None:
        """This link has our list, and hears of each change from now on."""
        self._told.append(end)

    def joined(self, end: MeshEnd, token: str) -> None:
        """A relay has said its name and its users (R17).

        Raises:
            RemoteError: the token doesn't prove the name, or there are too many links with it.
        """
        self._verifier.relay(token, end.relay)
        if end.relay == self._identity.name:
            raise RemoteError(Code.CONFLICT, "this is that relay", CloseReason.CONFLICT)
        self.refuse_gone(end.relay)
        if not self._mesh.up(end.relay, end, end.dialled, end.place):
            raise RemoteError(Code.CONFLICT, "too many links", CloseReason.DUPLICATE)

    def heard_new(self, relay: str, user: User) -> None:
        """A user elsewhere (R21); an older session of the same device here ends."""
        replaced = self.switch.table.learn_user(relay, user)
        if replaced is not None and replaced.handle is not None:
            self.switch.end(replaced.handle, CloseReason.REPLACED)

    def heard_end(self, relay: str, user: User) -> None:
        """A user elsewhere no more (R22)."""
        self.switch.table.end_user(relay, user)

    def ended(self, end: MeshEnd) -> None:
        """A link is gone (R24)."""
        if end in self._told:
            self._told.remove(end)
        self._mesh.down(end.relay, end)

    # -- for the switch ----------------------------------------------------------------------

    def user_opened(self, session: UserSession) -> None:
        """Tell every relay (R8)."""
        for end in self._told:
            end.user_opened(self._identity.name, session.route.user)

    def user_closed(self, session: UserSession) -> None:
        """Tell every relay (R11, R12)."""
        for end in self._told:
            end.user_closed(self._identity.name, session.route.user)

    def user_changed(self, session: UserSession) -> None:
        """Nothing: messages for a session that misses its user go there all the same."""

    def _changed(self, relay: str, end: MeshEnd | None) -> None:
        """Another link leads to a relay now, or none does (R25)."""
        if end is None:
            self.switch.table.forget(relay)
            for place in self._up.keys() - self._mesh.places():
                self._up[place] = max(self._up[place], self._clock.seconds())
        elif end.view is not None:
            users, end.view = end.view, None
            for replaced in self.switch.table.learn(relay, users.values()):
                assert replaced.handle is not None
                self.switch.end(replaced.handle, CloseReason.REPLACED)
