# SPDX-License-Identifier: MIT
"""One live connection: a core that is fed, written out, and pinged while it is quiet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from xjrelay.client.core import LinkCore
from xjrelay.client.errors import ClientError, Disconnected, ProtocolError, Unreachable, Untrusted
from xjrelay.client.heard import Broken, CoreEvent, Strange
from xjrelay.client.network import Cancellable, Connection, DialError, Network, Promise, TLSError
from xjrelay.client.target import Place

CoreType = TypeVar("CoreType", bound=LinkCore)
T = TypeVar("T")

PING_INTERVAL = 15.0
"""Seconds between looks: a link that was quiet since the last one is pinged, and given up at the next. So
one that is half open is found within 30 s."""

DIAL_TIMEOUT = 5.0
ANSWER_TIMEOUT = 10.0
"""Seconds for a connection, and for the answer to a hello."""


class Channel(Generic[CoreType]):
    """A core with a connection under it.

    Args:
        network: the framework.
        program: who is at the other end, for errors.
        on_event: hears what the core makes of what arrives, in order.
        ping_interval: seconds.

    Attributes:
        core: set by :meth:`open`.
        why: None while open, then why it closed.
        gone: settled when it is; awaited by whoever keeps the link.
    """

    core: CoreType

    def __init__(
        self,
        network: Network,
        program: str,
        on_event: Callable[[CoreEvent], None],
        ping_interval: float = PING_INTERVAL,
    ) -> None:
        self.why: str | None = None
        self.gone: Promise[None] = Promise(network)
        self._network = network
        self._program = program
        self._on_event = on_event
        self._interval = ping_interval
        self._connection: Connection | None = None
        self._quiet = 0
        self._paused = False
        self._look_at = 0.0
        self._tick_timer: Cancellable | None = None
        self._waiting: list[Promise[Any]] = []

    async def open(self, place: Place, build: Callable[[tuple[str, int]], CoreType]) -> None:
        """Dial and speak first.

        Args:
            place: where.
            build: makes the core, given our own address and port.

        Raises:
            Unreachable: nobody answers there.
            Untrusted: TLS is to be spoken, and isn't.
        """
        try:
            connection = await self._network.dial(place.host, place.port, self, DIAL_TIMEOUT, place.tls)
        except TLSError as error:
            raise Untrusted(self._program, str(place), str(error)) from error
        except DialError as error:
            raise Unreachable(self._program, place.host, place.port, str(error)) from error
        if self.why is not None:
            connection.abort()
            raise Unreachable(self._program, place.host, place.port, self.why)
        self._connection = connection
        try:
            self.core = build(connection.local())
        except Exception:
            self.close("nothing to say")
            raise
        self._schedule_look()
        self.flush()

    def attach(self, connection: Connection, core: CoreType) -> None:
        """Take a connection that is there already, and whose bytes come to :meth:`received`."""
        self._connection, self.core = connection, core
        self._schedule_look()
        self.flush()

    @property
    def local(self) -> tuple[str, int]:
        """Our end's address and port; no address while there is no connection."""
        return self._connection.local() if self._connection is not None else ("", 0)

    @property
    def is_open(self) -> bool:
        """Whether anything can still be said."""
        return self._connection is not None and self.why is None

    @property
    def certificate(self) -> bytes | None:
        """What the other end showed, in DER; None without TLS."""
        return self._connection.certificate() if self._connection is not None else None

    def flush(self) -> None:
        """Write what the core has to send."""
        if self.is_open and self._connection is not None and (data := self.core.to_send()):
            self._connection.write(data)

    def pause(self) -> None:
        """Read nothing for now; silence then means nothing."""
        if self._connection is not None and not self._paused:
            self._paused = True
            self._connection.pause()

    def resume(self) -> None:
        """Read on."""
        if self._connection is not None and self._paused:
            self._paused = False
            self._quiet = 0
            self._connection.resume()

    def close(self, why: str) -> None:
        """Send what is queued and close."""
        if self.why is None:
            self.flush()
        connection = self._connection
        self._end(why)
        if connection is not None:
            connection.close()

    def expect(self, promise: Promise[Any]) -> None:
        """Fail a promise when the link goes before it is settled."""
        self._waiting = [one for one in self._waiting if not one.settled]
        self._waiting.append(promise)

    async def answer(self, promise: Promise[T], within: float = ANSWER_TIMEOUT) -> T:
        """Wait for what the other end says to a hello.

        Args:
            promise: of the answer.
            within: seconds.

        Raises:
            Disconnected: the link went first, or nothing came in time.
        """
        self.expect(promise)
        late = Disconnected(f"the {self._program} gave no answer in {within:.0f} s")
        try:
            return await promise.wait_within(within, late)
        except ClientError as error:
            self.close(str(error))
            raise

    # -- what the network calls --------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Bytes arrived."""
        if self.why is not None or self._connection is None:
            return  # nobody speaks before our hello
        self._quiet = 0
        for event in self.core.receive(data):
            if isinstance(event, Broken):
                self._fail(event.why)
                return
            if isinstance(event, Strange):
                self._note("the {program} said what we can't read: {why}", event.why)
            self._on_event(event)
            if self.why is not None:
                return
        self.flush()

    def lost(self, why: str) -> None:
        """The connection is gone."""
        self._end(why)

    # -- ends --------------------------------------------------------------------------------

    def _note(self, text: str, why: str) -> None:
        self._network.log(text, program=self._program, why=why)

    def _fail(self, why: str) -> None:
        self._note("the {program} broke the protocol: {why}", why)
        connection = self._connection
        self._end(why, ProtocolError(f"the {self._program} broke the protocol: {why}"))
        if connection is not None:
            connection.abort()

    def _end(self, why: str, error: ClientError | None = None) -> None:
        if self.why is not None:
            return
        self.why = why
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        for promise in self._waiting:
            promise.settle(error or Disconnected(f"the link to the {self._program} is lost: {why}"))
        self._waiting.clear()
        self.gone.settle(None)

    def _schedule_look(self) -> None:
        self._look_at = self._network.seconds() + self._interval
        self._tick_timer = self._network.call_later(self._interval, self._look)

    def _look(self) -> None:
        # Whoever kept the loop from running has kept us from reading what may have come.
        late = self._network.seconds() - self._look_at > self._interval / 2
        self._schedule_look()
        if self._paused or late:
            return
        self._quiet += 1
        if self._quiet == 1:
            self.core.ping()
            self.flush()
        else:
            connection = self._connection
            self._end(f"nothing heard for {self._quiet * self._interval:.0f} s")
            if connection is not None:
                connection.abort()
