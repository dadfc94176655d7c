# SPDX-License-Identifier: MIT
"""Twisted's network for the session: connections, ports, timers, tasks, threads.

What :mod:`xjrelay.client.tx` gives the session as its :class:`~xjrelay.client.network.Network`. An
application sees nothing of it but :class:`IClientReactor`. The reactor is an argument. Must not import
asyncio, or :mod:`xjrelay.client.aio` and its network.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

import txaio
import txaio.tx
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as OverdueError
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.internet.error import (
    CannotListenError,
    ConnectError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IListeningPort,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xjrelay.client.network import Cancellable, Connection, DialError, Listening, Receiver, TLSError
from xjrelay.net.tls import client_tls, failure_reason, is_tls, peer_certificate
from xjrelay.security.tls import ClientTLS

_log = Logger("xjrelay.client.tx")  # what the application imports

T = TypeVar("T")


class IClientReactor(IReactorTCP, IReactorTime):
    """What the client needs of a reactor: connections and time; threads are used where it has them."""


class TwistedNetwork:
    """Twisted, as :class:`xjrelay.client.network.Network` wants it.

    Args:
        reactor: connects and tells the time.
        rng: jitter and message ids.
        trust: whom to believe where TLS is spoken.
    """

    def __init__(self, reactor: IClientReactor, rng: random.Random, trust: ClientTLS) -> None:
        # Only futures are taken from it, and those need no loop.
        self.txaio: Any = txaio.tx.with_config()
        self.random = rng
        self._reactor = reactor
        self._trust = trust

    def seconds(self) -> float:
        """The reactor's time."""
        return self._reactor.seconds()

    def wall(self) -> float:
        """The same: Twisted's reactors go by the wall clock."""
        return self._reactor.seconds()

    def call_later(self, delay: float, call: Callable[[], object]) -> Cancellable:
        """A timer of the reactor."""
        return _Timer(self._reactor.callLater(max(0.0, delay), call))

    def dial(
        self, host: str, port: int, receiver: Receiver, timeout: float, tls: bool = False
    ) -> Awaitable[Connection]:
        """Connect; names are resolved by the reactor where it can."""
        return Deferred.fromCoroutine(self._dial(host, port, receiver, timeout, tls))

    def listen(
        self, host: str, port: int, accept: Callable[[Connection], Receiver]
    ) -> Awaitable[Listening]:
        """Let others connect."""
        factory: Any = _Quiet.forProtocol(lambda: _Accepted(accept))
        try:
            return succeed(_Port(self._reactor.listenTCP(port, factory, interface=host)))
        except CannotListenError as error:
            return fail(DialError(str(error)))

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Cancellable:
        """Run in the background."""
        deferred = Deferred.fromCoroutine(coroutine)
        deferred.addErrback(_unless_cancelled)
        return _Task(self._reactor, coroutine, deferred)

    def compute(self, work: Callable[[], T]) -> Awaitable[T]:
        """Run in the reactor's thread pool; at once where it has none, as a fake one."""
        if IReactorThreads.providedBy(self._reactor):
            threads = cast(IReactorThreads, self._reactor)
            return deferToThreadPool(threads, threads.getThreadPool(), work)
        try:
            return succeed(work())
        except Exception as error:
            failed: Deferred[T] = Deferred()
            failed.errback(error)
            return failed

    def log(self, text: str, **fields: object) -> None:
        """A line of Twisted's log."""
        _log.info(text, **fields)

    async def _dial(
        self, host: str, port: int, receiver: Receiver, timeout: float, tls: bool
    ) -> Connection:
        stream = _Stream(receiver)
        factory: IProtocolFactory = _Quiet.forProtocol(lambda: stream)
        if tls:
            factory = client_tls(self._trust.to(host), factory, self._reactor)
        try:
            await _cancellable(self._endpoint(host, port, timeout).connect(factory))
        except (ConnectError, OSError) as error:
            raise DialError(_reason(error)) from error
        if tls:
            await self._agreed(stream, timeout)
        return stream

    async def _agreed(self, stream: _Stream, timeout: float) -> None:
        try:
            await stream.agreed.addTimeout(timeout, self._reactor)
        except OverdueError as error:
            raise TLSError("no answer in time") from error
        finally:
            if stream.is_open and not stream.is_agreed:
                stream.abort()

    def _endpoint(self, host: str, port: int, timeout: float) -> IStreamClientEndpoint:
        if IReactorPluggableNameResolver.providedBy(self._reactor):
            return HostnameEndpoint(self._reactor, host, port, timeout)
        return TCP4ClientEndpoint(self._reactor, host, port, int(timeout))


class _Task:
    """A coroutine in the background, which may be what is calling when it is cancelled."""

    def __init__(
        self, reactor: IClientReactor, coroutine: Coroutine[Any, Any, None], deferred: Deferred[None]
    ) -> None:
        self._reactor = reactor
        self._coroutine = coroutine
        self._deferred = deferred

    def cancel(self) -> None:
        """End it where it waits; where it runs, as soon as it waits."""
        if inspect.getcoroutinestate(self._coroutine) == inspect.CORO_RUNNING:
            self._reactor.callLater(0, self._deferred.cancel)
        else:
            self._deferred.cancel()


class _Timer:
    """A delayed call that may be cancelled at any time."""

    def __init__(self, call: IDelayedCall) -> None:
        self._call = call

    def cancel(self) -> None:
        """Call it off, unless it has been called."""
        if self._call.active():
            self._call.cancel()


class _Quiet(Factory):
    """No line of the log for each connection."""

    noisy = False


@implementer(IHandshakeListener)
class _Stream(Protocol):
    """A TCP connection, perhaps with TLS on it, as the session's connection.

    Attributes:
        agreed: with TLS, fires when it is agreed upon; fails with :class:`TLSError`.
        is_agreed: whether it has.
        is_open: whether the connection is there.
    """

    transport: Any

    def __init__(self, receiver: Receiver) -> None:
        self.agreed: Deferred[None] = Deferred()
        self.is_agreed = False
        self.is_open = False
        self._receiver = receiver

    def connectionMade(self) -> None:
        """Without NODELAY two small writes and an answer take 40 ms longer."""
        self.is_open = True
        self.is_agreed = not is_tls(self.transport)
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)

    def handshakeCompleted(self) -> None:
        """TLS is agreed upon."""
        self.is_agreed = True
        self.agreed.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """Bytes arrived."""
        self._receiver.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.is_open = False
        if not self.is_agreed:
            if not self.agreed.called:
                self.agreed.errback(TLSError(failure_reason(reason)))
            return
        self._receiver.lost(reason.getErrorMessage().rstrip("."))

    def write(self, data: bytes) -> None:
        """Send."""
        self.transport.write(data)

    def close(self) -> None:
        """Send what was written, then close."""
        self.transport.loseConnection()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abortConnection()

    def pause(self) -> None:
        """Read no more for now."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        self.transport.resumeProducing()

    def local(self) -> tuple[str, int]:
        """Our end."""
        host = self.transport.getHost()
        return str(getattr(host, "host", "")), int(getattr(host, "port", 0))

    def certificate(self) -> bytes | None:
        """The other end's."""
        return peer_certificate(self.transport)


class _Accepted(_Stream):
    """A connection that somebody else made.

    Args:
        accept: says who hears it.
    """

    def __init__(self, accept: Callable[[Connection], Receiver]) -> None:
        super().__init__(_Nobody())
        self._accept = accept

    def connectionMade(self) -> None:
        """Ask who hears it."""
        super().connectionMade()
        self._receiver = self._accept(self)


class _Nobody:
    """Hears a connection that nobody hears yet."""

    def received(self, data: bytes) -> None:
        """Nothing comes before somebody hears."""

    def lost(self, why: str) -> None:
        """Nobody misses it."""


class _Port:
    """A listening port as the session's."""

    def __init__(self, port: IListeningPort) -> None:
        self._port = port
        host: Any = port.getHost()
        self.port: int = host.port

    def close(self) -> None:
        """Let nobody in any more."""
        closed = self._port.stopListening()
        if closed is not None:
            closed.addErrback(lambda failure: _log.failure("a port was not closed", failure))


def _reason(error: Exception) -> str:
    """A few words; none where somebody refused, which the sentence around says already."""
    if isinstance(error, ConnectionRefusedError):
        return ""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, DNSLookupError):
        return "no such host"
    return str(error).rstrip(".").lower()


def _cancellable(connecting: Deferred[T]) -> Deferred[T]:
    """The same, which ends as cancelled where it is.

    An endpoint that is cancelled while it looks up a name says that there is no such name, which is a
    reason to try again, for ever, for a client that was closed.
    """

    def cancel(outcome: Deferred[T]) -> None:
        outcome.errback(CancelledError())
        connecting.cancel()

    outcome: Deferred[T] = Deferred(cancel)
    connecting.addBoth(lambda result: None if outcome.called else outcome.callback(result))
    return outcome


def _unless_cancelled(failure: Failure) -> None:
    if not failure.check(CancelledError, ConnectingCancelledError):
        _log.failure("a task of the client broke", failure)
