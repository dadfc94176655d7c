# SPDX-License-Identifier: MIT
"""The user's session at a relay: opened, resumed, opened elsewhere (protocol, sections 7 and 8; U5, U14).

A lost connection is first resumed at the same relay, which costs nothing and doubles nothing. Where that
fails, the manager gives a relay, and what has no outcome is sent again there with the same ids. A relay that
says "move" is left only when the session elsewhere is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from xjrelay.client.channel import Channel
from xjrelay.client.core import RelayCore
from xjrelay.client.errors import ClientError, NoRelay, Refused
from xjrelay.client.heard import (
    AckHeard,
    Answered,
    Assignment,
    CoreEvent,
    ErrorHeard,
    IqHeard,
    MessageHeard,
    MoveHeard,
    ReceiptHeard,
    SessionOpened,
    Strange,
)
from xjrelay.client.inbox import Arrival, Inbox, Taker
from xjrelay.client.model import LinkState, Message, Notice, Receipt
from xjrelay.client.network import Backoff, Cancellable, Network, Promise
from xjrelay.client.sending import Sending
from xjrelay.client.stream import Stream
from xjrelay.client.target import Place, way_in
from xjrelay.wire import direct
from xjrelay.wire.errors import Condition
from xjrelay.wire.stanzas import Iq

_ENDS = (409, 503)
"""Codes with which a relay ends a session that we open again: a newer one of ours is open, or it stops."""

_COUNTED = (MessageHeard, ErrorHeard, ReceiptHeard, Strange)

ACK_EVERY = 100
ACK_WITHIN = 0.2
"""An acknowledgement goes out after this many messages, or this many seconds."""


class Manager(Protocol):
    """What of the manager's side is needed here."""

    username: str
    place: Place | None

    async def assignment(self) -> Assignment:
        """The relay to use and a token for it."""


class Directs(Protocol):
    """What of the direct links is needed here."""

    def iq_heard(self, iq: Iq) -> None:
        """Another user says something about a link."""

    def iq_refused(self, request_id: str) -> bool:
        """The relay refused an iq; false where it wasn't one of ours."""

    def marker_heard(self, sender: str, sid: str) -> None:
        """A friend's last message by the relay came."""

    def talked(self, user: str) -> None:
        """A message came by the relay."""

    def room(self) -> None:
        """The application has caught up."""

    def relay_up(self) -> None:
        """A session is open."""


class RelaySide:
    """Keeps one session alive, and what is under way in it.

    Args:
        network: the framework.
        manager: gives relays.
        resource: the device.
        stream: where messages go.
        outbox: the file of what is under way; None keeps it in memory.

    Attributes:
        relay: the name of the relay we are at, once we are.
        sending: what is under way.
        direct: the direct links, where they are wanted.
    """

    def __init__(
        self, network: Network, manager: Manager, resource: str, stream: Stream, outbox: str | None = None
    ) -> None:
        self.relay = ""
        self.direct: Directs | None = None
        self.sending = Sending(network, stream, self._write, lambda: self.is_up, outbox)
        self.inbox = Inbox(self.sending.seen, self.sending.given)
        self._network = network
        self._manager = manager
        self._resource = resource
        self._stream = stream
        self._channel: Channel[RelayCore] | None = None  # the session's, once it had its welcome
        self._coming: Channel[RelayCore] | None = None  # one whose hello is under way
        self._welcome: Promise[SessionOpened] = Promise(network)
        self._welcomed = False  # the latest hello was answered with a welcome
        self._told_up = False
        self._move_timer: Cancellable | None = None
        self._place: Place | None = None
        self._resume_key: str | None = None
        self._acked = 0
        self._ack_timer: Cancellable | None = None
        self._backoff = Backoff(network)

    @property
    def is_up(self) -> bool:
        """Whether a session is open at this moment."""
        return self._channel is not None and self._channel.is_open

    # -- the session -------------------------------------------------------------------------

    async def open(self) -> None:
        """One try: resume where we were, else a session at the relay the manager gives.

        Raises:
            NoRelay: none is up, or it doesn't answer.
            ClientError: the manager gave none, or the relay refused.
        """
        if not await self._resume():
            await self._open_new()
        self._backoff.reset()
        self._told_up = True
        self._stream.put(LinkState("relay", True, self.relay))
        if self.direct is not None:
            self.direct.relay_up()

    async def keep(self) -> None:
        """Open again whenever the connection is lost, until the task is cancelled."""
        while True:
            if self._channel is not None and self._told_up:
                await self._channel.gone.wait()
                if await self._moved(self._channel):
                    continue
                self._told_up = False
                self._stream.put(LinkState("relay", False, self._channel.why or ""))
            await self._backoff.wait()
            try:
                await self.open()
            except ClientError as error:
                self._network.log("no relay yet: {why}", why=str(error))

    async def _moved(self, old: Channel[RelayCore]) -> bool:
        """Where we were told to move: open a session elsewhere while the old one lives."""
        while old.is_open:
            try:
                await self._open_new()
                self._backoff.reset()
                return True
            except ClientError as error:
                self._network.log("not moved yet: {why}", why=str(error))
            await self._backoff.wait()
        return False

    async def _resume(self) -> bool:
        key, self._resume_key = self._resume_key, None
        if key is None or self._place is None:
            return False

        def hello(core: RelayCore) -> None:
            core.resume(self._manager.username, key, self.inbox.resuming())

        try:
            await self._hello(self._place, hello)
        except Refused:
            return False
        except ClientError as error:
            if not self._welcomed:
                self._resume_key = key  # not spent: the relay may be back in a moment
            self._network.log("not resumed: {why}", why=str(error))
            return False
        return True

    async def _open_new(self) -> None:
        assigned = await self._manager.assignment()
        if not assigned.host:
            raise NoRelay("no relay is up: is one running?")
        tls = self._manager.place is not None and self._manager.place.tls
        place = way_in("relay", assigned.host, assigned.port, assigned.endpoints, tls)

        def hello(core: RelayCore) -> None:
            core.open(self._manager.username, assigned.token, self._resource)

        try:
            await self._hello(place, hello)
        except Refused:
            raise
        except ClientError as error:
            raise NoRelay(str(error)) from error

    async def _hello(self, place: Place, hello: Callable[[RelayCore], None]) -> None:
        def build(local: tuple[str, int]) -> RelayCore:
            core = RelayCore()
            hello(core)
            return core

        def heard(event: CoreEvent) -> None:
            if channel is self._coming:
                self._answer_to_hello(channel, place, event)
            elif channel is self._channel:
                self._heard(event)

        self._welcomed = False
        self._welcome = Promise(self._network)
        channel: Channel[RelayCore] = Channel(self._network, "relay", heard)
        self._coming = channel
        try:
            await channel.open(place, build)
            await channel.answer(self._welcome)
        finally:
            self._coming = None
        self.sending.pump()
        self._owe_ack()

    def _answer_to_hello(self, channel: Channel[RelayCore], place: Place, event: CoreEvent) -> None:
        if isinstance(event, SessionOpened):
            self._leave()
            self._coming, self._channel, self._place = None, channel, place
            self._opened(event)
        elif isinstance(event, Answered):
            self._welcome.settle(Refused(event.code, event.msg))

    def _leave(self) -> None:
        """The connection there was until now, if it still is: its relay hands over what it owes."""
        self._acknowledge()
        self._stop_timers()
        if self._channel is not None:
            self._channel.close("moved")

    def _opened(self, welcome: SessionOpened) -> None:
        """At once, not when the waiting coroutine runs: messages may follow in the same read."""
        self._welcomed = True
        self.relay = welcome.relay
        self._resume_key = welcome.resume_key
        now = self._network.seconds()
        if not welcome.resumed:
            self.inbox.opened()
            self.sending.outbox.opened(now)
            self._acked = 0
        else:
            self._acked = self.inbox.resumed()
            if not self.sending.outbox.resumed(welcome.h, now):
                self._give_up_session("the relay says it has had what we never sent")
                return
        self._welcome.settle(welcome)

    def _move(self, within: float) -> None:
        """Wake :meth:`keep`, some time within that: the others here were told the same."""
        channel = self._channel
        if channel is not None and self._move_timer is None:
            delay = self._network.random.uniform(0, within / 2)
            self._move_timer = self._network.call_later(delay, lambda: channel.gone.settle(None))

    def _give_up_session(self, why: str) -> None:
        self._resume_key = None
        if self._channel is not None:
            self._channel.close(why)

    def close(self) -> None:
        """Acknowledge what was taken, and leave; what has no outcome is told so."""
        self._acknowledge()
        self._stop_timers()
        for channel in (self._channel, self._coming):
            if channel is not None:
                channel.close("closed")

    def _stop_timers(self) -> None:
        for timer in (self._ack_timer, self._move_timer):
            if timer is not None:
                timer.cancel()
        self._ack_timer = self._move_timer = None

    # -- sending -----------------------------------------------------------------------------

    async def load(self, user: str) -> None:
        """Take up what the outbox's file has. Raises OutboxBroken."""
        await self.sending.load(user)

    async def send(self, value: dict[str, Any], frame: bytes, pair: str, timeout: float) -> Receipt:
        """A message, until its outcome; see :meth:`Sending.send`."""
        return await self.sending.send(value, frame, pair, timeout)

    def abandon(self, error: ClientError) -> None:
        """The client is over: whoever waits for an outcome is told ``error``."""
        self.sending.abandon(error)

    def forget(self) -> None:
        """The application takes nothing any more."""
        self.sending.close()

    def say_iq(self, iq: Iq) -> bool:
        """Say something to another user; false where we are at no relay at the moment."""
        if not self.is_up or self._channel is None:
            return False
        self._channel.core.say(iq)
        self._channel.flush()
        return True

    @property
    def local_host(self) -> str:
        """Our own address on the way to the relay."""
        return self._channel.local[0] if self._channel is not None else ""

    def _write(self, frames: list[bytes]) -> None:
        assert self._channel is not None
        for frame in frames:
            self._channel.core.say_frame(frame)
        self._channel.flush()

    # -- hearing -----------------------------------------------------------------------------

    def _heard(self, event: CoreEvent) -> None:
        if isinstance(event, Answered):
            self._answered(event)
        elif isinstance(event, AckHeard):
            if not self.sending.outbox.acknowledged(event.h):
                self._give_up_session("the relay acknowledged what we never sent")
        elif isinstance(event, MoveHeard):
            self._move(event.within)
        elif isinstance(event, IqHeard):
            self._asked(event.iq)
        else:
            self._counted(event)

    def _counted(self, event: CoreEvent) -> None:
        if isinstance(event, Strange) and not event.counted:
            return
        if not isinstance(event, _COUNTED) or not self.inbox.count():
            return
        if isinstance(event, MessageHeard):
            self._message(event.message)
        elif isinstance(event, ErrorHeard):
            self.sending.settle([event.id or ""], "failed", event.code, event.text)
        elif isinstance(event, ReceiptHeard):
            self.sending.settle(event.receipt.ids, event.receipt.status, event.receipt.code, "")
        self._owe_ack()

    def _asked(self, iq: Iq) -> None:
        """Another user says something about a direct link."""
        if self.direct is not None:
            self.direct.iq_heard(iq)
        elif iq.type in ("set", "get"):
            self.say_iq(direct.refusal(iq, Condition.ITEM_NOT_FOUND))

    def _message(self, message: Message) -> None:
        arrival = self.inbox.arrive(message)
        if arrival is None:
            return
        sid = direct.marked(message.body, message.extra)
        if sid is not None:  # no application's business
            self.inbox.taken(arrival)
            if self.direct is not None:
                self.direct.marker_heard(message.from_, sid)
            return
        self._put(arrival)
        if self._stream.full and self._channel is not None:
            self._channel.pause()
        if self.direct is not None:
            self.direct.talked(message.from_)

    def _put(self, arrival: Arrival) -> None:
        def taken() -> None:
            self.inbox.taken(arrival)
            self._owe_ack()

        self._stream.put_message(arrival.message, taken)

    def deliver(self, message: Message, link: Taker) -> bool:
        """A message that came by a direct link; false when the application has enough to take."""
        arrival = self.inbox.arrive_directly(message, link)
        if arrival is not None:
            self._put(arrival)
        return not self._stream.full

    def room(self) -> None:
        """The application has caught up."""
        if self._channel is not None:
            self._channel.resume()
        if self.direct is not None:
            self.direct.room()

    def _answered(self, answer: Answered) -> None:
        now = self._network.seconds()
        if answer.id is None and answer.code == 413:
            self.sending.outbox.too_large(now)
        elif answer.id is None and answer.code in _ENDS:
            self._network.log("the relay ends the session: {why}", why=answer.msg)
        elif answer.id is not None and self.direct is not None and self.direct.iq_refused(answer.id):
            return
        elif answer.id is None or not self.sending.outbox.refused(answer.id, answer.code, now):
            self._stream.put(Notice("relay", answer.code, answer.msg))
        self.sending.pump()

    # -- acknowledging -----------------------------------------------------------------------

    def _owe_ack(self) -> None:
        if self.inbox.h - self._acked >= ACK_EVERY:
            self._acknowledge()
        elif self._ack_timer is None and self.inbox.h > self._acked:
            self._ack_timer = self._network.call_later(ACK_WITHIN, self._acknowledge)

    def _acknowledge(self) -> None:
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        h = self.inbox.h
        if self.is_up and self._channel is not None and h > self._acked:
            self._acked = h
            self._channel.core.acknowledge(h)
            self._channel.flush()
