# SPDX-License-Identifier: MIT
"""Carries iqs between two users, who look for a direct link with one another (protocol, section 13).

An iq is no message: it is written to whoever is there at this moment or comes back as an error, it is
neither counted nor kept, and nobody's order depends on it. What it asks is the two users' affair; what
the relay vouches for is who says it. So that nobody can bury another under them, each session may send
and be sent so many a second.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.logger import Logger

from xjrelay.domain.limits import TokenBucket
from xjrelay.net.context import Context
from xjrelay.servers.relay.mesh_end import MeshEnd
from xjrelay.servers.relay.outcomes import Origin
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.servers.relay.switch import Switch
from xjrelay.wire import address, codec
from xjrelay.wire.direct import NAMESPACE
from xjrelay.wire.errors import Code, Condition, RemoteError, StanzaError
from xjrelay.wire.stanzas import MAX_ID, Iq, Kind, parse

_log = Logger()

PER_SECOND: Final = 12
"""A second fills up so many parts of what a session may send at once, and of what it may be sent."""

_ASKS = frozenset({"set", "get"})
_ANSWERS = frozenset({"result", "error"})


class Envoy:
    """Knows who is where, and takes iqs there.

    Args:
        context: the time.
        switch: who is where.
    """

    def __init__(self, context: Context, switch: Switch) -> None:
        self._clock = context.clock
        self._switch = switch
        self._buckets: dict[UserSession, tuple[TokenBucket, TokenBucket]] = {}
        switch.announcing.append(self)

    def heard(self, role: UserSession | MeshEnd, value: dict[str, Any]) -> None:
        """An iq came, from a user or from another relay.

        Raises:
            RemoteError: as for :meth:`said` and :meth:`crossed`.
        """
        if isinstance(role, UserSession):
            self.said(role, value)
        else:
            self.crossed(role, value)

    # -- from a user -------------------------------------------------------------------------

    def said(self, session: UserSession, value: dict[str, Any]) -> None:
        """A user says an iq to another; what can't be carried is answered in an iq.

        Raises:
            RemoteError: 400, it is for nobody, or not of this kind; 429, too many of them.
        """
        asked = _iq(value)
        if self._spend(session, 0):
            raise RemoteError(Code.SLOW_DOWN, "too many iqs")
        said = Iq(
            namespace=NAMESPACE,
            from_=session.full,
            to=asked.to,
            type=asked.type,
            query=asked.query,
            error=asked.error,
            id=asked.id,
        )
        condition = self._carry(said)
        if condition is not None and said.type in _ASKS:
            _write_to(session, _error(said, condition))

    def _carry(self, said: Iq) -> Condition | None:
        found = self._switch.table.find(said.to)
        if found is None:
            return Condition.ITEM_NOT_FOUND
        if found.handle is not None:
            return self._write(found.handle, said)
        way = self._switch.way_to(found.relay)
        if way is None:
            return Condition.ITEM_NOT_FOUND
        way.forward(codec.encode(said), Origin(_Unheard(), str(said.from_), said.to, None))
        return None

    # -- from another relay ------------------------------------------------------------------

    def crossed(self, end: MeshEnd, value: dict[str, Any]) -> None:
        """Another relay carries an iq of one of its users here.

        Raises:
            RemoteError: 400, it is none; 403, it is not one of its users'.
        """
        said = _iq(value)
        if not isinstance(said.from_, str) or not self._switch.table.speaks_for(end.relay, said.from_):
            raise RemoteError(Code.FORBIDDEN, "a relay speaks only for its own users")
        found = self._switch.table.find_local(said.to)
        condition = Condition.ITEM_NOT_FOUND
        if found is not None and found.handle is not None:
            refused = self._write(found.handle, said)
            if refused is None:
                return
            condition = refused
        if said.type in _ASKS:
            end.forward(codec.encode(_error(said, condition)), Origin(_Unheard(), said.to, said.from_, None))

    # -- both --------------------------------------------------------------------------------

    def _write(self, session: UserSession, said: Iq) -> Condition | None:
        """To a session here; why not, where it can't be. One without acknowledgement knows no iqs."""
        if session.owed is None or session.link is None:
            return Condition.ITEM_NOT_FOUND
        if self._spend(session, 1):
            return Condition.RESOURCE_CONSTRAINT
        _write_to(session, said)
        return None

    def _spend(self, session: UserSession, way: int) -> bool:
        """One more that it sends (0) or is sent (1); whether that is too many."""
        buckets = self._buckets.get(session)
        if buckets is None:
            burst = float(self._switch.settings.max_iqs)
            rate = burst / PER_SECOND
            buckets = self._buckets[session] = (TokenBucket(rate, burst), TokenBucket(rate, burst))
        return not buckets[way].spend(self._clock.seconds())

    # -- for the switch ----------------------------------------------------------------------

    def user_opened(self, session: UserSession) -> None:
        """Nothing: most sessions never say an iq."""

    def user_closed(self, session: UserSession) -> None:
        """Forget it."""
        self._buckets.pop(session, None)

    def user_changed(self, session: UserSession) -> None:
        """Nothing."""


class _Unheard:
    """The sender of what nobody is told the outcome of: who asked an iq waits for its answer only so long."""

    def written(self, origin: Origin) -> None:
        """Never asked for."""

    def settled(self, origin: Origin, status: str, code: int | None = None) -> None:
        """It went nowhere."""
        _log.info("an iq from {from_} to {to} was not carried", from_=origin.from_, to=origin.to)

    def unreachable(self, origin: Origin) -> None:
        """Likewise."""
        self.settled(origin, "failed")

    def handed_over(self, origin: Origin) -> None:
        """Never kept."""


def _iq(value: dict[str, Any]) -> Iq:
    said = parse(Kind.IQ, value)
    assert isinstance(said, Iq)
    if said.namespace != NAMESPACE or said.type not in _ASKS | _ANSWERS:
        raise RemoteError(Code.BAD_REQUEST, "iq: users say only those of namespace jingle to each other")
    if not isinstance(said.to, str):
        raise RemoteError(Code.BAD_REQUEST, "iq: Object missing required field `to`")
    if said.id is not None and (not isinstance(said.id, str) or len(said.id) > MAX_ID):
        raise RemoteError(Code.BAD_REQUEST, "iq: `id` is no id")
    address.parse(said.to)
    return said


def _write_to(session: UserSession, said: Iq) -> None:
    if session.link is not None:
        session.link.send_frame(codec.encode(said))


def _error(said: Iq, condition: Condition) -> Iq:
    error = StanzaError(condition).payload()
    return Iq(namespace=NAMESPACE, from_=said.to, to=said.from_, type="error", error=error, id=said.id)
