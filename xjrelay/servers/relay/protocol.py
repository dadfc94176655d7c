# SPDX-License-Identifier: MIT
"""Who dials a relay, and is let in: users and other relays, told apart by their first frame.

After the hello a link belongs to its *role*, a user's session or the end of a mesh link, which
gets every frame. This module has the door and no rule of what lies behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from xjrelay.domain.routing import User
from xjrelay.net.context import Context
from xjrelay.net.factory import LinkFactory
from xjrelay.net.proof import AdmittingLink
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Verifier
from xjrelay.servers.relay.identity import Identity
from xjrelay.servers.relay.mesh_end import MeshEnd
from xjrelay.servers.relay.peers import Peers
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.servers.relay.switch import Switch
from xjrelay.servers.relay.upstream import Upstream
from xjrelay.wire import address
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import ComponentHello, Kind, Stanza, UserHello, UserWelcome

_ALIVE = frozenset({Kind.PING, Kind.PONG})


@dataclass(frozen=True, slots=True)
class Door:
    """What the door asks: who we are, who may come in, and where to."""

    identity: Identity
    verifier: Verifier
    secret: ClusterSecret
    switch: Switch
    peers: Peers
    upstream: Upstream


class RelayProtocol(AdmittingLink):
    """A connection that somebody made to this relay (R5): a user's or another relay's, as its hello says."""

    __slots__ = ("_door", "_mesh_end")
    role: UserSession | MeshEnd | None
    label = "relay"
    may_be_mute = True

    def __init__(self, context: Context, door: Door) -> None:
        super().__init__(context)
        self.phase = Phase.RELAY_HELLO
        self._door = door
        self._mesh_end: MeshEnd | None = None

    def receive(self, kind: Kind, value: dict[str, Any], frame: bytes) -> Any:
        """After the hello everything but pings is the role's."""
        if self.role is None or kind in _ALIVE:
            return super().receive(kind, value, frame)
        if kind is Kind.IQ:
            return self._door.peers.envoy.heard(self.role, value)
        return self.role.receive(kind, value, frame)

    # -- users -------------------------------------------------------------------------------

    def on_user_hello(self, stanza: Stanza) -> Deferred[None] | None:
        """Open or resume a session (section 7).

        Raises:
            RemoteError: 401 and close, no token or a bad one; 404, nothing to resume; 409 and
                close, a newer session is open; 503, no manager known yet.
        """
        assert isinstance(stanza, UserHello)
        if stanza.resume is not None:
            self._resume(stanza, stanza.resume)
            return None
        if stanza.token is not None:
            self._enter_by_token(stanza, stanza.token)
            return None
        if not self._door.switch.settings.allow_legacy_clients:
            raise _unauthorized("no token")
        return Deferred.fromCoroutine(self._enter_by_address(stanza))

    def _enter_by_token(self, hello: UserHello, token: str) -> None:
        name = self._door.identity.require_name()
        self._refuse_while_draining()
        if hello.ack and not self._door.upstream.linked:
            raise RemoteError(Code.NOT_NOW, "the manager is away, try again")
        claims = self._door.verifier.user(token, name)
        if address.key(claims.sub) != address.key(hello.username):
            raise _unauthorized("token for another user")
        if hello.resource not in ("", claims.resource):
            raise _unauthorized("token for another resource")
        session = self._open(User(claims.sub, claims.resource, claims.session), hello.ack)
        self.send(UserWelcome(name, claims.session, session.resume_key or None))

    async def _enter_by_address(self, hello: UserHello) -> None:
        """The original's hello: believed of whoever is logged in from the same address. It gets
        no answer."""
        address.key(hello.username)
        self._door.identity.require_name()
        self._refuse_while_draining()
        answer = await self._door.upstream.who(hello.username, self.host)
        if not self.is_open:
            return
        if not answer.online:
            raise _unauthorized("not logged in from this address")
        self._open(User(answer.username or hello.username, "", answer.session), ack=False)

    def _refuse_while_draining(self) -> None:
        if self._door.switch.draining:
            raise RemoteError(Code.NOT_NOW, "this relay takes no more users, try another")

    def _open(self, user: User, ack: bool) -> UserSession:
        session = self._door.switch.open(self, user, ack)
        self._become(session)
        return session

    def _resume(self, hello: UserHello, key: str) -> None:
        session, again = self._door.switch.resume(self, hello.username, key, hello.h)
        self._become(session)
        assert session.owed is not None
        self.send(
            UserWelcome(
                self._door.identity.name,
                session.route.number,
                session.resume_key,
                resumed=True,
                h=session.owed.received,
            )
        )
        for frame in again:
            self.send_frame(frame)

    def _become(self, session: UserSession) -> None:
        self.role = session
        self.quick = self._door.peers.lane.said
        self.must_answer = session.owed is not None
        self.phase = Phase.RELAY_USER
        self.established()

    # -- relays ------------------------------------------------------------------------------

    def on_component_hello(self, stanza: Stanza) -> None:
        """Another relay; it has to prove that it belongs to the cluster.

        Raises:
            RemoteError: 400 and close, it is no relay or has no name; 503, we have none yet.
        """
        assert isinstance(stanza, ComponentHello)
        if stanza.type != "relay" or not stanza.relay_username:
            raise RemoteError(Code.BAD_REQUEST, "a relay takes users and named relays", CloseReason.PROTOCOL)
        self._door.identity.require_name()
        self._door.peers.refuse_gone(stanza.relay_username)  # before it proves itself, so that it backs off
        place = self.context.dialling.way_in(stanza.ip_local, stanza.port, stanza.endpoints)
        self._mesh_end = MeshEnd(self, self._door.peers, stanza.relay_username, dialled=False, place=place)
        self.phase = Phase.MESH_PROOF
        self.demand_proof(self._door.secret.server, stanza)

    def admitted(self) -> None:
        """It belongs to the cluster: say our list; theirs is coming (R17, R18)."""
        assert self._mesh_end is not None
        self.role = self._mesh_end
        self.quick = self._door.peers.lane.crossed
        self._mesh_end.welcome()

    def let_in(self) -> None:
        """The handshake is through. A relay answers pings, so its silence means something."""
        self.established()
        self.must_answer = True

    # -- the link ----------------------------------------------------------------------------

    def on_pong(self, pong: Stanza) -> None:
        """A sign of life, which may decide between two mesh links."""
        super().on_pong(pong)
        if isinstance(self.role, MeshEnd):
            self._door.peers.answered(self.role)

    def undelivered(self, frames: list[bytes]) -> None:
        """What a session with acknowledgement didn't get is kept by it anyhow."""
        if not isinstance(self.role, UserSession) or self.role.owed is None:
            super().undelivered(frames)

    def closed(self, reason: CloseReason) -> None:
        """Whoever it was is gone (R9, R12, R24)."""
        if isinstance(self.role, UserSession):
            self.role.lost(self, reason)
        elif self.role is not None:
            self.role.ended()


class RelayFactory(LinkFactory[RelayProtocol]):
    """Lets users and relays in."""

    def __init__(self, context: Context, door: Door) -> None:
        super().__init__(context, lambda: RelayProtocol(context, door))


def _unauthorized(msg: str) -> RemoteError:
    return RemoteError(Code.UNAUTHORIZED, msg, CloseReason.NOT_AUTHENTICATED)
