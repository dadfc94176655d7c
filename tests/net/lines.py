# SPDX-License-Identifier: MIT
"""A transport that remembers and a link that does as it is told, for the tests of this folder."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, eventAsText, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from xjrelay.net.context import Context, Limits
from xjrelay.net.protocol import Link
from xjrelay.wire import codec
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.framing import LF
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import Message, Stanza


class Line(StringTransport):
    """A TCP transport in memory: each write apart, each kind of end apart."""

    def __init__(self) -> None:
        super().__init__(lenient=True)
        self.writes: list[bytes] = []
        self.half_closed = False
        self.aborted = False
        self.no_delay = False
        self.keep_alive = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def frames(self, delimiter: bytes = LF) -> list[Any]:
        """The values written since the last call."""
        written, self.writes = b"".join(self.writes), []
        *frames, rest = written.split(delimiter)
        assert rest == b"", rest
        return [codec.decode_value(frame) for frame in frames]

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.keep_alive = enabled

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True


class Chatty(Link):
    """A relay's link to a user whose messages do what their body says.

    ``later``: the handler takes until :meth:`finish`; ``refuse``: it answers 403;
    ``refuse later``: it does so after that; ``break`` and ``break later``: it raises;
    ``close``: it closes; anything else is repeated to the sender.
    """

    phase = Phase.RELAY_USER

    def __init__(self, context: Context, max_frame: int | None = None) -> None:
        super().__init__(context, max_frame)
        self.heard: list[str] = []
        self.started: list[str] = []
        self.reasons: list[CloseReason] = []
        self.unread: list[bytes] = []
        self.gate: Deferred[None] | None = None
        self.friend: Link | None = None

    def closed(self, reason: CloseReason) -> None:
        self.reasons.append(reason)

    def undelivered(self, frames: list[bytes]) -> None:
        self.unread += frames

    def on_message(self, message: Stanza) -> Any:
        assert isinstance(message, Message) and message.body is not None
        self.started.append(message.body)
        if message.body.endswith("later"):
            return self.take_time(message.body)
        return self.act(message.body)

    async def take_time(self, body: str) -> None:
        self.gate = Deferred()
        await self.gate
        self.act(body.removesuffix("later").strip())
        self.heard.append(body)

    def act(self, body: str) -> None:
        if body == "refuse":
            raise FORBIDDEN
        if body == "break":
            raise Broken("rahasia")
        if body == "close":
            self.close(CloseReason.DONE)
        (self.friend or self).send({"body": body})

    def finish(self) -> None:
        """Let the handler that takes time go on."""
        gate, self.gate = self.gate, None
        assert gate is not None
        gate.callback(None)


class Broken(Exception):
    """A bug in a handler."""


FORBIDDEN = RemoteError(Code.FORBIDDEN, "not your name")


def message(body: str, **more: Any) -> bytes:
    """One line."""
    return codec.encode({"stanza": "message", "to": "fajar", "body": body, **more}) + LF


def context(clock: Clock, **limits: Any) -> Context:
    """A program's context on a fake clock."""
    return Context(clock, random.Random(1), Limits(**limits))


def opened(link: Link) -> Line:
    """Connects a link to a line."""
    line = Line()
    link.makeConnection(line)
    return line


def lose(link: Link) -> None:
    """The connection ends."""
    link.connectionLost(Failure(ConnectionDone()))


@implementer(ILogObserver)
class LogLines:
    """What is logged during one test, as text."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self)
        case.addCleanup(globalLogPublisher.removeObserver, self)

    def __call__(self, event: LogEvent) -> None:
        self.lines.append(eventAsText(event, includeTimestamp=False, includeSystem=False))
