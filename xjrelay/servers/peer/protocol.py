# SPDX-License-Identifier: MIT
"""A link between two peers: packets to calls, calls to packets (section 11).

Packets become calls of a :class:`House`; there are no rules here. A link is plain, as the
original's are, or TLS with a key shown at both ends; ``door`` tells which.
"""

from __future__ import annotations

from typing import Any
from typing import Protocol as Seam

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from xjrelay.domain.peers import Place, Refusal, is_keyed
from xjrelay.net.context import Context
from xjrelay.net.protocol import Link
from xjrelay.net.tls import is_tls, peer_certificate
from xjrelay.wire import codec
from xjrelay.wire.errors import CloseReason, RemoteError
from xjrelay.wire.framing import LF, Framer
from xjrelay.wire.peers import (
    AnyPacket,
    BadPacket,
    Broadcast,
    Join,
    Leave,
    Message,
    Packet,
    PeerPhase,
    Peers,
    Ping,
    Pong,
    Reason,
    Receipt,
    check,
    parse,
    shown_name,
)

TLS_PATIENCE = 3.0
"""Seconds until somebody dialled by TLS who says nothing is taken for a plain peer."""
PATIENCE = 5.0
"""Seconds a link has to show that it lives, when another wants its place."""


class House(Seam):
    """What a link asks of the peer it belongs to."""

    @property
    def own_id(self) -> str:
        """Its id."""

    def packet(self, kind: type[Packet], data: Any = None, target: str | None = None) -> bytes:
        """A packet of ours, as a frame."""

    def greeting(self, link: PeerLink) -> bytes:
        """The JOIN for a link."""

    def listing(self, link: PeerLink) -> bytes:
        """The PEERS for a link."""

    def meet(self, link: PeerLink, packet: Join | Peers) -> Deferred[None] | None:
        """Somebody says who it is."""

    def named(self, link: PeerLink, packet: Peers) -> None:
        """Somebody we know says whom it knows."""

    def heard(self, link: PeerLink, packet: Message | Broadcast) -> Deferred[None]:
        """Somebody says something; fires when it is on disk."""

    def receipts(self, link: PeerLink, message_ids: list[str]) -> Deferred[None]:
        """Somebody has what we said."""

    def ended(self, link: PeerLink, reason: CloseReason) -> None:
        """A link is gone."""


class PeerLink(Link):
    """One connection between peers, either end.

    Args:
        context: what the peer's links share.
        house: the peer.
        dialled: where we dialled, None for the end that was dialled.
        expected: whom we meant, where we know.
        asked: whether a person told us to dial there.

    Attributes:
        peer_id: who it is, once that is settled, else empty.
        opened_at: when it was let in, seconds.
        greeted: whether anything could be said at all: TLS is agreed upon, or there is none.
        why: the other side's last word, or ours, on why it ended; empty where nobody said any.
        left: whether the other side said LEAVE.
        gone: fires at its very end.
    """

    label = "peer"
    heartbeat = True
    patience = 2
    metered = True
    phase: Any

    def __init__(
        self,
        context: Context,
        house: House,
        dialled: Place | None = None,
        expected: str | None = None,
        asked: bool = False,
    ) -> None:
        super().__init__(context)
        self._framer = Framer(self._max_frame, LF)  # peers know no other
        self._house = house
        self.dialled = dialled
        self.expected = expected
        self.asked = asked
        self.phase = PeerPhase.JOINING if dialled is None else PeerPhase.JOINED_ASKED
        self.peer_id = ""
        self.opened_at = 0.0
        self.greeted = False
        self.why = ""
        self.left = False
        self.gone: Deferred[None] = Deferred()
        self._watchers: list[Deferred[bool]] = []
        self._drained: list[Deferred[None]] = []

    # -- for the peer ------------------------------------------------------------------------

    @property
    def plain(self) -> bool:
        """Whether it is of the original form."""
        return not is_tls(self.transport)

    @property
    def certificate(self) -> bytes | None:
        """What the other end showed and proved, in DER."""
        return peer_certificate(self.transport)

    @property
    def own_host(self) -> str:
        """This machine's address as this link has it."""
        return str(getattr(self.transport.getHost(), "host", ""))

    def let_in(self, peer_id: str) -> None:
        """We know who it is."""
        self.peer_id = peer_id
        self.opened_at = self.context.clock.seconds()
        self.phase = PeerPhase.OPEN
        self.established()

    def say(self, kind: type[Packet], data: Any = None) -> bool:
        """A packet, to whoever is there."""
        return self.send_frame(self._house.packet(kind, data))

    def farewell(self, why: str, reason: CloseReason) -> None:
        """Say why, and close."""
        self.why = self.why or why
        if self.greeted:
            self.say(Leave, Reason(why))
        self.close(reason)

    def lives(self) -> Deferred[bool]:
        """Ping; fires with whether anything is heard within :data:`PATIENCE`."""
        if not self.is_open:
            return succeed(False)
        watcher: Deferred[bool] = Deferred()
        self._watchers.append(watcher)
        call = self.context.clock.callLater(PATIENCE, self._no_answer, watcher)
        watcher.addBoth(_cancelling(call))
        self.ping()
        return watcher

    def drained(self) -> Deferred[None]:
        """Fires when the transport takes more, or the link is gone."""
        if not self._full or not self.is_open:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._drained.append(waiter)
        return waiter

    # -- the link ----------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Somebody dialled by TLS that turns out to know none is not waited for long."""
        super().connectionMade()
        if self.dialled is not None and not self.greeted and not is_keyed(self.expected or ""):
            self.expect_within(TLS_PATIENCE, CloseReason.TLS_FAILED)

    def opened(self) -> None:
        """Who dials speaks first."""
        self.greeted = True
        self.expect_within(self.context.limits.hello_timeout, CloseReason.HELLO_TIMEOUT)
        if self.dialled is not None:
            self.send_frame(self._house.greeting(self))

    def dataReceived(self, data: bytes) -> None:
        """Bytes arrived: whoever it is, it lives."""
        super().dataReceived(data)
        self._tell_watchers(True)

    def resumeProducing(self) -> None:
        """The transport takes more."""
        super().resumeProducing()
        self._tell_drained()

    def closed(self, reason: CloseReason) -> None:
        """Gone."""
        self._tell_watchers(False)
        self._tell_drained()
        try:
            self._house.ended(self, reason)
        finally:
            self.gone.callback(None)

    def ping(self) -> None:
        """Are you there?"""
        self.say(Ping)

    def refuse(self, error: RemoteError, request_id: str | None = None) -> None:
        """Peers have no word for an error; where it ends the link, LEAVE says why."""
        if error.close is not None:
            self.farewell(error.msg, error.close)

    # -- packets -----------------------------------------------------------------------------

    def _take(self, frame: bytes) -> bool:
        """One packet: as the base's, in the peers' own vocabulary."""
        try:
            packet = parse(codec.decode(frame))
            check(self.phase, packet, self.plain)
            self._bad_frames = 0
            result = self._receive(packet)
            if result is not None:
                return self._hold(result, packet)
        except codec.BadFrame as error:
            self._bad_frame(error)
        except Exception:
            self._fail(Failure())
        return False

    def _receive(self, packet: AnyPacket) -> Deferred[None] | None:
        """On an open link the sender must be who it is."""
        if self.peer_id and packet.sender_id != self.peer_id:
            self.farewell(Refusal.LIAR.value, CloseReason.PROTOCOL)
            return None
        handler = getattr(self, f"on_{type(packet).__name__.lower()}")
        result: Deferred[None] | None = handler(packet)
        return result

    def on_join(self, packet: Join) -> Deferred[None] | None:
        """Who it is; said again, it gets the list again."""
        if self.phase is PeerPhase.OPEN:
            self.send_frame(self._house.listing(self))
            return None
        return self._house.meet(self, packet)

    def on_peers(self, packet: Peers) -> Deferred[None] | None:
        """Whom it knows, and on a link that we dialled, who it is."""
        if self.phase is PeerPhase.OPEN:
            self._house.named(self, packet)
            return None
        return self._house.meet(self, packet)

    def on_discovery(self, packet: Packet) -> None:
        """It wants the list."""
        self.send_frame(self._house.listing(self))

    def on_message(self, packet: Message | Broadcast) -> Deferred[None]:
        """It says something, to us or to all."""
        if isinstance(packet, Message) and not self._is_for_us(packet):
            raise BadPacket("this MESSAGE is for another")
        return self._house.heard(self, packet)

    on_broadcast = on_message

    def on_receipt(self, packet: Receipt) -> Deferred[None]:
        """It has what we said."""
        return self._house.receipts(self, packet.data.ids)

    def on_leave(self, packet: Leave) -> None:
        """It goes."""
        self.why = shown_name(packet.data.reason)
        self.left = True
        self.close(CloseReason.DONE)

    def on_ping(self, packet: Any) -> None:
        """Yes."""
        self.say(Pong)

    def on_pong(self, packet: Any) -> None:
        """It is there."""

    def _is_for_us(self, packet: Message) -> bool:
        return packet.target_id in (None, "", self._house.own_id)

    def _no_answer(self, watcher: Deferred[bool]) -> None:
        self._watchers.remove(watcher)
        watcher.callback(False)

    def _tell_watchers(self, lives: bool) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.callback(lives)

    def _tell_drained(self) -> None:
        waiting, self._drained = self._drained, []
        for waiter in waiting:
            waiter.callback(None)


def _cancelling(call: IDelayedCall) -> Any:
    """A callback that lets a value through and a timer go."""

    def through(value: bool) -> bool:
        if call.active():
            call.cancel()
        return value

    return through
