# SPDX-License-Identifier: MIT
"""One connection between two users: keys and nonces proved, then messages and receipts (section 13).

Says what it is told to and tells what it hears; which of several links is used, and what goes on it, is
:mod:`direct_session`'s. Nobody at the other end is trusted with our memory or time: what is read is
metered, and what is written waits for pongs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from xjrelay.client.channel import Channel
from xjrelay.client.core import DirectCore
from xjrelay.client.heard import CoreEvent, IqHeard, MessageHeard, Ponged, ReceiptHeard
from xjrelay.client.model import Message
from xjrelay.client.network import Cancellable, Network
from xjrelay.client.sealed import Sealed
from xjrelay.domain.limits import TokenBucket
from xjrelay.security.identity import id_of
from xjrelay.wire import direct
from xjrelay.wire.errors import RemoteError
from xjrelay.wire.stanzas import Receipt

PING: Final = 5.0
"""Seconds between looks: a link that was quiet since the last one is pinged, and given up at the next."""
STANZAS: Final = 2000.0
FRAME: Final = 4096
"""Frames a second that are read, and twice as many at once; so many bytes count as a further one."""
RECEIPT_WITHIN: Final = 0.02
RECEIPT_EVERY: Final = 100
"""A receipt goes out after so many seconds, or messages taken."""
PROBE_EVERY: Final = 256 * 1024
MAX_UNREAD: Final = 8 * 1024 * 1024
"""Bytes written after which a pong is asked for, and without one of which the link is given up."""


class Listener(Protocol):
    """Who is told of a link: its session.

    Attributes:
        friend: who is at the other end.
    """

    friend: str

    def accepts(self, link: DirectLink, hello: direct.Hello) -> bool:
        """Whether the other end's first words are right."""

    def heard(self, link: DirectLink, query: direct.AnyQuery) -> None:
        """Something about the link itself."""

    def message(self, link: DirectLink, message: Message) -> None:
        """A message."""

    def receipt(self, link: DirectLink, ids: list[str]) -> None:
        """The other end's application has these."""

    def lost(self, link: DirectLink, why: str) -> None:
        """The link is gone."""


Introduce = Callable[["DirectLink", direct.Hello], Listener | None]
"""Finds the session that a link's first words name."""


class DirectLink:
    """Our end of one link.

    Args:
        network: the framework.
        introduce: finds its session when the other end has said its first words.
        accepted: the other end dialled.

    Attributes:
        accepted: as given.
        key: the id of the other end's key, once that is proved.
        proved: whether the other end's first words were right.
        on_closed: ends the connection where it is closed before keys are proved.
    """

    def __init__(self, network: Network, introduce: Introduce, accepted: bool = False) -> None:
        self.accepted = accepted
        self.key: str | None = None
        self.proved = False
        self.on_closed: Callable[[], None] = lambda: None
        self._network = network
        self._introduce = introduce
        self._listener: Listener | None = None
        self._channel: Channel[DirectCore] = Channel(network, "friend", self._heard, PING)
        self._over = False
        self._meter = TokenBucket(STANZAS, 2 * STANZAS)
        self._metered = 0
        self._stopped: set[str] = set()  # why nothing is read at the moment
        self._timer: Cancellable | None = None
        self._taken: list[str] = []
        self._receipt_timer: Cancellable | None = None
        self._unread = 0
        self._probed: int | None = None  # bytes written when a pong was asked for

    @property
    def is_open(self) -> bool:
        """Whether anything can still be said."""
        return self._channel.is_open

    def attach(self, sealed: Sealed) -> bool:
        """The keys are proved: what follows comes to :meth:`received`; false where there is no key."""
        shown = sealed.peer
        self.key = None if shown is None else id_of(shown)
        if self.key is None or self._over:
            return False
        self._channel.attach(sealed, DirectCore())
        self._network.spawn(self._watch())
        return True

    async def _watch(self) -> None:
        await self._channel.gone.wait()
        self._end(self._channel.why or "")

    # -- saying ------------------------------------------------------------------------------

    def say(self, query: direct.AnyQuery) -> None:
        """Something about the link."""
        if self._channel.is_open:
            self._channel.core.say(direct.iq(query))
            self._flush()

    def write(self, frames: list[bytes]) -> None:
        """Messages."""
        for frame in frames:
            self._channel.core.say_frame(frame)
            self._unread += len(frame)
        self._flush()

    def taken(self, message_id: str) -> None:
        """The application has a message that came by this link."""
        if self._over:
            return  # it is sent again by the relay, and known by its id
        self._taken.append(message_id)
        if len(self._taken) >= RECEIPT_EVERY:
            self._say_taken()
        elif self._receipt_timer is None:
            self._receipt_timer = self._network.call_later(RECEIPT_WITHIN, self._say_taken)

    def _say_taken(self) -> None:
        if self._receipt_timer is not None:
            self._receipt_timer.cancel()
            self._receipt_timer = None
        ids, self._taken = self._taken, []
        if ids and self._channel.is_open:
            to = self._listener.friend if self._listener is not None else ""
            self._channel.core.say(Receipt(to, ids, "delivered"))
            self._unread += 40 * len(ids)
            self._flush()

    def _flush(self) -> None:
        self._channel.flush()
        self._ask_whether_it_reads()

    def _ask_whether_it_reads(self) -> None:
        if self._unread > MAX_UNREAD:
            self.close("it reads too slowly")
        elif self._unread > PROBE_EVERY and self._probed is None and self._channel.is_open:
            self._probed = self._unread
            self._channel.core.ping("read")
            self._channel.flush()

    # -- hearing -----------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Bytes were decrypted."""
        self._channel.received(data)
        if not self._over:
            self._count(len(data))

    def lost(self, why: str) -> None:
        """The connection is gone."""
        self._channel.lost(why)

    def _heard(self, event: CoreEvent) -> None:
        if isinstance(event, Ponged):
            if event.id == "read" and self._probed is not None:
                self._unread, self._probed = self._unread - self._probed, None
        elif isinstance(event, IqHeard):
            self._query(event)
        elif not self.proved or self._listener is None:
            self.close("its first words were no greeting")
        elif isinstance(event, MessageHeard):
            self._listener.message(self, event.message)
        elif isinstance(event, ReceiptHeard):
            self._listener.receipt(self, event.receipt.ids)

    def _query(self, event: IqHeard) -> None:
        try:
            query = direct.read(event.iq)
        except RemoteError as error:
            self.close(error.msg)
            return
        if self.proved and self._listener is not None:
            self._listener.heard(self, query)
        elif isinstance(query, direct.Hello):
            self._greeted(query)
        else:
            self.close("its first words were no greeting")

    def _greeted(self, hello: direct.Hello) -> None:
        listener = self._introduce(self, hello)
        if listener is None or not listener.accepts(self, hello):
            self.close("its greeting was not the one expected")
            return
        self._listener, self.proved = listener, True
        listener.heard(self, hello)

    # -- reading no faster than so -----------------------------------------------------------

    def stop_reading(self, why: str) -> None:
        """Read nothing until :meth:`read_on` for the same reason."""
        if not self._stopped:
            self._channel.pause()
        self._stopped.add(why)

    def read_on(self, why: str) -> None:
        """That reason is gone."""
        if why in self._stopped:
            self._stopped.discard(why)
            if not self._stopped and self._channel.is_open:
                self._channel.resume()

    def _count(self, size: int) -> None:
        frames, self._metered = self._channel.core.frames - self._metered, self._channel.core.frames
        self._unread += 20 * frames  # a pong for each, at most
        self._ask_whether_it_reads()
        wait = self._meter.take(self._network.seconds(), frames + size / FRAME)
        if wait > 0 and "rate" not in self._stopped:
            self.stop_reading("rate")
            self._timer = self._network.call_later(wait, lambda: self.read_on("rate"))

    # -- the end -----------------------------------------------------------------------------

    def close(self, why: str) -> None:
        """Say what is queued, and close."""
        self._say_taken()
        opened = self._channel.is_open
        self._channel.close(why)
        if not opened:
            self.on_closed()
        self._end(why)

    def _end(self, why: str) -> None:
        if self._over:
            return
        self._over = True
        for timer in (self._timer, self._receipt_timer):
            if timer is not None:
                timer.cancel()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.lost(self, why)
