# SPDX-License-Identifier: MIT
"""A process of its own for the quick reactor: what happened in it is printed, as JSON.

Run by :mod:`tests.system.test_reactor`: a process has one reactor, and the tests' own is Twisted's.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import provider

from xjrelay.net.reactor import MOST_HELD, install

SIZE = 3_000_000
READ = 64 * 1024
"""Bytes that one read takes at most."""
ROOM = 2**20
"""Bytes that the kernel keeps of one connection, so that all is there before anything is read."""


class Echo(Protocol):
    """Says again what it hears; fails at "fail", closes at "close"."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        if data == b"fail":
            raise ValueError("as asked")
        if data == b"close":
            self.transport.loseConnection()
        else:
            self.transport.write(data)


class Asker(Protocol):
    """Says something once, and takes so many bytes."""

    transport: Any

    def __init__(self, says: bytes, takes: int) -> None:
        self.heard = 0
        self.ended: Deferred[str] = Deferred()
        self._says = says
        self._takes = takes

    def connectionMade(self) -> None:
        self.transport.write(self._says)

    def dataReceived(self, data: bytes) -> None:
        self.heard += len(data)
        if self.heard == self._takes:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(type(reason.value).__name__)


class Together(Protocol):
    """Is read in one turn with others of its kind; at "end" the others are ended, at "lose" closed.

    Attributes:
        all: those there are, in the order they came.
        heard: what each was told, and ``written`` where what they gathered was written.
    """

    transport: Any
    all: list[Together] = []
    heard: list[str] = []

    def connectionMade(self) -> None:
        self.all.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(f"{self.all.index(self)} {data.decode()}")
        self.transport.reactor.batch.add(self)
        for other in self.all:
            if data == b"end" and other is not self:
                other.transport.abortConnection()
            elif data == b"lose" and other is not self:
                other.transport.loseConnection()

    def flush(self) -> None:
        self.heard.append("written")


def _soon(reactor: Any) -> Deferred[None]:
    done: Deferred[None] = Deferred()
    reactor.callLater(0.02, done.callback, None)
    return done


async def together(reactor: Any, *said: bytes) -> list[str]:
    """What is told of what several say before one turn."""
    Together.all.clear()
    Together.heard.clear()
    port = reactor.listenTCP(0, Factory.forProtocol(Together), interface="127.0.0.1")
    place = ("127.0.0.1", port.getHost().port)
    port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    ends = [socket.create_connection(place) for _ in said]
    while len(Together.all) < len(said):
        await _soon(reactor)
    for end, what in zip(ends, said, strict=True):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        end.sendall(what)
    while not Together.heard or Together.heard[-1] != "written":
        await _soon(reactor)
    await _soon(reactor)
    for end in ends:
        end.close()
    await port.stopListening()
    return [*Together.heard]


async def all_together(reactor: Any) -> dict[str, list[str]]:
    """Every case of it."""
    much = await together(reactor, b"a" * MOST_HELD, b"b")
    more = await together(reactor, b"a" * 3 * READ, b"b")
    return {
        "together": await together(reactor, b"a", b"b"),
        "ended": await together(reactor, b"end", b"b", b"c"),
        "closed": await together(reactor, b"lose", b"b"),
        "much": [one[:3] for one in much],
        "more": [one[:3] for one in more],
    }


async def timers(reactor: Any) -> list[int]:
    """In which order calls come, of which one breaks, one is put off and many are cancelled."""
    order: list[int] = []
    done: Deferred[None] = Deferred()
    moved = reactor.callLater(0.001, order.append, 3)
    reactor.callLater(0.02, order.append, 2)
    reactor.callLater(0.01, order.append, 1)
    reactor.callLater(0.06, done.callback, None)
    reactor.callLater(0.005, order.append, 9).cancel()
    reactor.callLater(0.0, _broken)
    moved.reset(0.03)
    for _ in range(200):
        reactor.callLater(100.0, order.append, 9).cancel()
    await done
    return order


def main() -> None:
    """Run all of it."""
    told: dict[str, Any] = {"installed": install(), "again": install()}
    from twisted.internet import reactor as made
    from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
    from twisted.internet.threads import deferToThread

    reactor: Any = made
    told["reactor"] = type(reactor).__name__
    errors: list[str] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            errors.append(event["log_failure"].type.__name__)

    globalLogPublisher.addObserver(observe)

    port: Any = None

    async def ask(says: bytes, takes: int = 0) -> Any:
        asker = Asker(says, takes)
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), asker)
        return [await asker.ended, asker.heard]

    async def all_of_it() -> None:
        nonlocal port
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Factory.forProtocol(Echo))
        told["echo"] = await ask(b"x" * SIZE, SIZE)
        told["close"] = await ask(b"close")
        told["fail"] = await ask(b"fail")
        told.update(await all_together(reactor))
        told["thread"] = await deferToThread(lambda: "back")
        told["timers"] = await timers(reactor)
        await port.stopListening()

    finished: list[Failure] = []

    def start() -> None:
        running = Deferred.fromCoroutine(all_of_it())
        running.addErrback(finished.append)
        running.addBoth(lambda _: reactor.stop())

    reactor.addSystemEventTrigger("during", "shutdown", told.setdefault, "shutdown", True)
    reactor.callWhenRunning(start)
    reactor.run()
    told["errors"] = errors
    told["finished"] = [failure.getErrorMessage() for failure in finished]
    print(json.dumps(told))


def _broken() -> None:
    raise KeyError("as asked, too")


if __name__ == "__main__":
    main()
