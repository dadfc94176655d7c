# SPDX-License-Identifier: MIT
"""Everything that happens, as one stream for the application: bounded, in order.

Messages are never left out: the one who fills the stream stops reading from the relay when
:attr:`Stream.full`. Of the other events only the latest thousand are kept, because what they tell is in
the roster and the presences anyway; the application is told how many it missed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

from xjrelay.client.errors import ClientError, Disconnected
from xjrelay.client.model import Event, Message, Missed
from xjrelay.client.network import Network, Promise

MAX_MESSAGES = 2000
"""Messages that may wait for the application before nothing more is read. More than a relay sends
without acknowledgement by default."""

MAX_EVENTS = 1000
"""Other events that may wait."""


class Stream:
    """The queue between the links and the application.

    Args:
        network: makes what a reader waits on.
        on_room: called when the stream is no longer :attr:`full`.
    """

    def __init__(
        self,
        network: Network,
        on_room: Callable[[], None] = lambda: None,
        max_messages: int = MAX_MESSAGES,
        max_events: int = MAX_EVENTS,
    ) -> None:
        self._network = network
        self._on_room = on_room
        self._max_messages = max_messages
        self._max_events = max_events
        self._serial = 0
        self._messages: deque[tuple[int, Message, Callable[[], None]]] = deque()
        self._events: deque[tuple[int, Event]] = deque()
        self._missed = 0
        self._waiters: deque[Promise[None]] = deque()
        self._ended = False
        self._error: ClientError | None = None

    @property
    def full(self) -> bool:
        """Whether nothing more should be read."""
        return len(self._messages) >= self._max_messages

    def put_message(self, message: Message, taken: Callable[[], None]) -> None:
        """A message; ``taken`` is called when the application has it."""
        self._serial += 1
        self._messages.append((self._serial, message, taken))
        self._wake()

    def put(self, event: Event) -> None:
        """Anything else."""
        self._serial += 1
        self._events.append((self._serial, event))
        if len(self._events) > self._max_events:
            self._events.popleft()
            self._missed += 1
        self._wake()

    def end(self, error: ClientError | None = None) -> None:
        """Nothing more comes. Without an error what waits is let go: the client was closed."""
        if self._ended:
            return
        self._ended, self._error = True, error
        if error is None:
            self._messages.clear()
            self._events.clear()
        while self._waiters:
            self._waiters.popleft().settle(None)

    async def next(self, messages_only: bool = False) -> Event:
        """The next event; with ``messages_only`` the others are passed over.

        Raises:
            Disconnected: the stream has ended, with the error it ended for where there was one.
        """
        while True:
            event = self._pop_message() if messages_only else self._pop()
            if event is not None:
                return event
            if self._ended:
                raise self._error or Disconnected("the client is closed")
            waiter: Promise[None] = Promise(self._network)
            self._waiters.append(waiter)
            await waiter.wait()

    async def iterate(self) -> AsyncIterator[Event]:
        """Every event until the client is closed; raises what ended it otherwise."""
        while True:
            try:
                event = await self.next()
            except Disconnected:
                if self._error is not None:
                    raise
                return
            yield event

    async def iterate_messages(self) -> AsyncIterator[Message]:
        """Every message, likewise."""
        while True:
            try:
                message = await self.next(messages_only=True)
            except Disconnected:
                if self._error is not None:
                    raise
                return
            assert isinstance(message, Message)
            yield message

    def _pop(self) -> Event | None:
        if self._missed:
            missed, self._missed = self._missed, 0
            return Missed(missed)
        if self._events and (not self._messages or self._events[0][0] < self._messages[0][0]):
            return self._events.popleft()[1]
        return self._pop_message(keep_events=True)

    def _pop_message(self, keep_events: bool = False) -> Message | None:
        if not keep_events:
            self._events.clear()
            self._missed = 0
        if not self._messages:
            return None
        was_full = self.full
        _, message, taken = self._messages.popleft()
        taken()
        if was_full:
            self._on_room()
        return message

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.settled:
                waiter.settle(None)
                return
