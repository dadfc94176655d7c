# SPDX-License-Identifier: MIT
"""Our end of one link with another relay, whoever dialled it (protocol, section 10).

Both ends say their whole list of users first, then each change. Messages cross as they were
sent; what became of them comes back as an activity or a receipt, and what has not come back when
the link ends is ``failed``. A relay is believed only about users that it announced on its link.

A link that stands by while another with the same relay is in use keeps what it hears to itself
(:attr:`MeshEnd.view`), so that announcements of two links never mix.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from typing import Protocol as Seam

from twisted.logger import Logger

from xjrelay.domain.pairs import Gate
from xjrelay.domain.routing import User
from xjrelay.net.context import Context
from xjrelay.servers.relay.in_flight import InFlight
from xjrelay.servers.relay.outcomes import Origin, Outcomes, Run
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.servers.relay.switch import Switch
from xjrelay.wire import address, codec, fast
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.grammar import Phase
from xjrelay.wire.ids import Ids
from xjrelay.wire.stanzas import (
    Activity,
    Answer,
    EndUser,
    Kind,
    MeshUser,
    MeshWelcome,
    Message,
    NewUser,
    Ping,
    Receipt,
    Stanza,
    parse,
)

_log = Logger()

CROSSED: Final = "message from another relay"
"""What an outcome says it is about; the original's words."""

_LONGEST = 12
"""Bytes that one character may take in JSON: two escapes, for one outside the basic plane."""


class CarryingLink(Seam):
    """What the end of a mesh link asks of its connection."""

    name: str
    phase: Phase
    context: Context

    def send(self, value: Stanza) -> bool:
        """Write; False when it went nowhere."""

    def send_frame(self, frame: bytes) -> bool:
        """Write; False when it went nowhere."""

    def send_lines(self, lines: bytes, count: int) -> bool:
        """Write so many frames, each ended by LF; False when not all went anywhere."""

    def close(self, reason: CloseReason) -> None:
        """Close."""

    def let_in(self) -> None:
        """The handshake is through."""


class Neighbourhood(Seam):
    """What the end of a mesh link asks of the relay's mesh."""

    switch: Switch

    def own_welcome(self) -> tuple[str, str]:
        """Our own name and token."""

    def announce_to(self, end: MeshEnd) -> None:
        """From now on this link hears of our users."""

    def joined(self, end: MeshEnd, token: str) -> None:
        """The other side said its list.

        Raises:
            RemoteError: its token doesn't prove its name, or it is one too many.
        """

    def heard_new(self, relay: str, user: User) -> None:
        """The relay, over the link in use, has a new user."""

    def heard_end(self, relay: str, user: User) -> None:
        """It has one less."""

    def ended(self, end: MeshEnd) -> None:
        """The link is gone."""


class MeshEnd:
    """Our end of one link with another relay.

    Args:
        link: the connection.
        mesh: our side's view of all relays.
        relay: the other's name; by its hello, or by whom we dialled.
        dialled: whether we did.
        place: where the other listens.

    Attributes:
        view: the users it announced, while the link stands by; None once it is the one in use,
            when the routing table has them.
        reached: what becomes of a message that goes over it, as ``net.trace`` says it.
    """

    reached: Final = "accepted"

    def __init__(
        self, link: CarryingLink, mesh: Neighbourhood, relay: str, dialled: bool, place: Address
    ) -> None:
        self.relay = self.full = relay
        self.dialled = dialled
        self.place = place
        self.view: dict[tuple[str, str], User] | None = {}
        self._link = link
        self._mesh = mesh
        switch = mesh.switch
        self._in_flight = InFlight(
            switch.settings.max_in_flight, switch.timings.mesh, link.context.clock.seconds
        )
        self._gate = Gate()
        self._outcomes: Outcomes[str] = Outcomes(
            link.context, lambda sender: sender, lambda _, frame: link.send_frame(frame)
        )

    @property
    def is_in_use(self) -> bool:
        """Whether it is open, and the one of its pair that messages go over."""
        return self.view is None and self._link.phase is Phase.MESH_OPEN

    @property
    def in_flight(self) -> int:
        """How many messages of ours are on their way over it."""
        return len(self._in_flight)

    # -- the handshake's end -----------------------------------------------------------------

    def welcome(self) -> None:
        """Both secrets are proved: say who we are and whom we have, all in one write (R18)."""
        self._link.phase = Phase.MESH_WELCOME
        name, token = self._mesh.own_welcome()
        users = [route.user for route in self._mesh.switch.table.local()]
        first = list(_fitting(users, self._link.context.limits.max_frame // 2))
        self._link.send(
            MeshWelcome(name, [user.username for user in first], [MeshUser(*user) for user in first], token)
        )
        for user in users[len(first) :]:
            self._link.send(NewUser(user.username, name, user.resource, user.session))
        self._mesh.announce_to(self)

    def _welcomed(self, stanza: Stanza) -> None:
        """The other side's list (R4, R17)."""
        assert isinstance(stanza, MeshWelcome)
        if stanza.relay_username != self.relay:
            raise RemoteError(Code.CONFLICT, "not the relay that was expected", CloseReason.CONFLICT)
        for user in stanza.users:
            self._view_new(User(user.username, user.resource, user.session))
        self._mesh.joined(self, stanza.token)
        self._link.phase = Phase.MESH_OPEN
        self._link.let_in()

    # -- what is heard -----------------------------------------------------------------------

    def receive(self, kind: Kind, value: dict[str, Any], frame: bytes) -> None:
        """A frame from the other relay.

        Raises:
            RemoteError: it can't be accepted.
        """
        if kind is Kind.MESSAGE:
            self._message(value, frame)
        else:
            _HEARD[kind](self, parse(kind, value))

    def _message(self, value: dict[str, Any], frame: bytes) -> None:
        message = _routed(value)
        frame = codec.forwardable(frame, value)
        self.carried(message.from_ or "", message.to, message.id, message.again is True, frame)

    def carried(self, from_: str, to: str, message_id: str | None, again: bool, frame: bytes) -> None:
        """A message that is fit to go on as it is, from whoever the other relay says.

        Raises:
            InvalidAddress: an address is none.
        """
        origin = Origin(self, from_, to, message_id)
        if message_id is not None and (trace := self._link.context.trace) is not None:
            trace.note_one("arrived", from_, to, message_id, self.relay)
        if self._gate and message_id and not self._gate.passes(from_, to, again):
            self._outcomes.add(from_, Ids.of([message_id]), "failed", Code.NOT_NOW)
            return
        if not self._announced(from_):
            _log.warn("{link} speaks for {user}, whom it never announced", link=self._link.name, user=from_)
            self.unreachable(origin)
            return
        self._mesh.switch.deliver(origin, frame)

    def carried_run(self, said: fast.Run, there: UserSession) -> bool:
        """Messages with ids of a user that the other relay has announced, to a session here; False where
        they are to be carried one by one."""
        if there.owed is None:  # an activity each
            return False
        if self._gate and not self._gate.passes(said.from_, said.to, False):
            return False
        if not there.take_run(said, Run(self, said.from_, said.to, None)):
            return False
        if (trace := self._link.context.trace) is not None:
            trace.note("arrived", said.from_, said.to, said.ids, self.relay)
        return True

    def _announced(self, from_: str) -> bool:
        if self._mesh.switch.table.speaks_for(self.relay, from_):
            return True
        given = address.parse(from_)
        return any(key == given.key and given.resource in ("", resource) for key, resource in self.view or ())

    def _new_user(self, stanza: Stanza) -> None:
        assert isinstance(stanza, NewUser)
        self._check_relay(stanza.relay_username)
        user = User(stanza.username_user, stanza.resource, stanza.session)
        if self.view is None:
            self._mesh.heard_new(self.relay, user)
        else:
            self._view_new(user)

    def _end_user(self, stanza: Stanza) -> None:
        assert isinstance(stanza, EndUser)
        self._check_relay(stanza.relay_username)
        user = User(stanza.username_user, stanza.resource, stanza.session)
        self._gate.forget(user.username)
        if self.view is None:
            self._mesh.heard_end(self.relay, user)
            return
        place = (address.key(user.username), user.resource)
        known = self.view.get(place)
        if known is not None and known.session <= user.session:
            del self.view[place]

    def _view_new(self, user: User) -> None:
        assert self.view is not None
        place = (address.key(user.username), user.resource)
        known = self.view.get(place)
        if known is None or known.session <= user.session:
            self.view[place] = user

    def _check_relay(self, name: str) -> None:
        if name != self.relay:
            raise RemoteError(Code.FORBIDDEN, "a relay speaks only for its own users")

    def _activity(self, stanza: Stanza) -> None:
        """What became of a message of ours (R23)."""
        assert isinstance(stanza, Activity)
        if stanza.id is None:
            sender = self._mesh.switch.sender_of(stanza.from_) if stanza.error else None
            if sender is not None:
                sender.unreachable(Origin(sender, stanza.from_, stanza.to, None))
            return
        origin = self._in_flight.pop(stanza.from_, stanza.id)
        if origin is None:
            return
        if stanza.error:
            origin.sender.unreachable(origin)
        else:
            origin.sender.written(origin)

    def _receipt(self, stanza: Stanza) -> None:
        assert isinstance(stanza, Receipt)
        self._in_flight.settle(stanza.to, stanza.ids, stanza.status, stanza.code)

    def _refused(self, stanza: Stanza) -> None:
        """The other side didn't understand something: for a person to see, never answered."""
        assert isinstance(stanza, Answer)
        _log.warn("{link} was refused: {code} {msg}", link=self._link.name, code=stanza.code, msg=stanza.msg)

    # -- what is said ------------------------------------------------------------------------

    def forward(self, frame: bytes, origin: Origin) -> None:
        """A message of ours for a user there. Its sender is told what becomes of it."""
        if origin.id is None:
            if not self._link.send_frame(frame):
                origin.sender.settled(origin, "failed", Code.NOT_NOW)
            return
        self._in_flight.send(origin, frame, self._link.send_frame)

    def pass_on(self, said: fast.Run) -> bool:
        """Messages of ours; False where they have ids, by which outcomes come, or the link is closed."""
        return not said.ids and self._link.send_lines(said.lines, said.count)

    def take_run(self, said: fast.Run, run: Run) -> bool:
        """Messages of ours for a user there, as :class:`~xjrelay.servers.relay.sessions.Taking` says."""
        return self._in_flight.send_run(run, said, self._link.send_lines)

    def user_opened(self, name: str, user: User) -> None:
        """We have a new user (R8)."""
        self._link.send(NewUser(user.username, name, user.resource, user.session))

    def user_closed(self, name: str, user: User) -> None:
        """We have one less (R11)."""
        self._link.send(EndUser(user.username, name, user.resource, user.session))

    # -- as the sender of a message that crossed ---------------------------------------------

    def written(self, origin: Origin) -> None:
        """Told where the message has an id to be known by."""
        if origin.id is not None:
            self._noted("delivered", origin, "")
            self._link.send(Activity(origin.from_, origin.to, CROSSED, success=1, id=origin.id))

    def settled(self, origin: Origin, status: str, code: int | None = None) -> None:
        """Told in a receipt; a failure without an id as R20's error."""
        if origin.id is not None:
            self.run_settled(origin, Ids.of([origin.id]), status, code)
        elif status == "failed":
            self.unreachable(origin)

    def run_settled(self, run: Run | Origin, ids: Ids, status: str, code: int | None = None) -> None:
        """Likewise, of several messages of a pair."""
        self._outcomes.add(run.from_, ids, status, code)
        if code == Code.NOT_NOW:
            self._go_back(run)

    def unreachable(self, origin: Origin) -> None:
        """R20: the recipient has just gone."""
        if origin.id is not None:
            self._noted("failed", origin, "nobody here has its recipient")
            self._go_back(origin)
        self._link.send(Activity(origin.from_, origin.to, CROSSED, error=1, id=origin.id))

    def _noted(self, event: str, origin: Origin, where: str) -> None:
        trace = self._link.context.trace
        if trace is not None and origin.id is not None:
            trace.note_one(event, origin.from_, origin.to, origin.id, where)

    def handed_over(self, origin: Origin) -> None:
        """Until it is stored, or failed, a newer session would be a second route for its pair."""
        if origin.id is not None:
            self._go_back(origin)

    def _go_back(self, origin: Origin | Run) -> None:
        """What follows of this pair may be under way already: it is refused until begun again."""
        self._gate.close(origin.from_, origin.to)
        if self._gate.is_full:
            self._link.close(CloseReason.PROTOCOL)

    # -- as one of a pair's links ------------------------------------------------------------

    def probe(self) -> None:
        """Ask for a sign of life."""
        self._link.send(Ping())

    def close(self, reason: CloseReason) -> None:
        """Close the connection."""
        self._link.close(reason)

    def ended(self) -> None:
        """The connection is gone: what was on its way has failed (R24)."""
        self._mesh.ended(self)
        self._in_flight.fail(self._link.context.batch)


_HEARD = {
    Kind.MESH_WELCOME: MeshEnd._welcomed,
    Kind.NEW_USER: MeshEnd._new_user,
    Kind.END_USER: MeshEnd._end_user,
    Kind.ACTIVITY: MeshEnd._activity,
    Kind.RECEIPT: MeshEnd._receipt,
    Kind.ANSWER: MeshEnd._refused,
}


def _routed(value: dict[str, Any]) -> Message:
    message = parse(Kind.MESSAGE, value)
    assert isinstance(message, Message)
    if message.from_ is None:
        raise RemoteError(Code.BAD_REQUEST, "a message from another relay names its sender")
    return message


def _fitting(users: list[User], room: int) -> Iterator[User]:
    """As many users as surely fit in a frame, their names standing twice in it."""
    for user in users:
        room -= _LONGEST * (2 * len(user.username) + len(user.resource)) + 64
        if room < 0:
            return
        yield user
