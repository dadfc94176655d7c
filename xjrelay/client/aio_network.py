# SPDX-License-Identifier: MIT
"""asyncio's network for the session: connections, ports, timers, tasks, threads.

What :mod:`xjrelay.client.aio` gives the session as its :class:`~xjrelay.client.network.Network`. Must not
import Twisted's reactor, or :mod:`xjrelay.client.tx` and its network.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

import txaio.aio

from xjrelay.client.authority import Authority, tls_reason
from xjrelay.client.network import Cancellable, Connection, DialError, Listening, Receiver, TLSError

_log = logging.getLogger("xjrelay.client.aio")  # what the application imports

T = TypeVar("T")


class AsyncioNetwork:
    """asyncio, as :class:`xjrelay.client.network.Network` wants it.

    Args:
        loop: the running loop.
        rng: jitter and message ids.
        authority: whom to believe where TLS is spoken, as :func:`xjrelay.client.aio.connect` takes it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        rng: random.Random,
        authority: str | os.PathLike[str] | None = None,
    ) -> None:
        self.txaio: Any = txaio.aio.with_config(loop=loop)
        self.random = rng
        self._loop = loop
        self._authority = Authority(authority)
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps weak references only

    def seconds(self) -> float:
        """The loop's time."""
        return self._loop.time()

    def wall(self) -> float:
        """The system's clock: a loop's time begins anywhere."""
        return time.time()

    def call_later(self, delay: float, call: Callable[[], object]) -> Cancellable:
        """A timer of the loop."""
        return self._loop.call_later(max(0.0, delay), call)

    def dial(
        self, host: str, port: int, receiver: Receiver, timeout: float, tls: bool = False
    ) -> Awaitable[Connection]:
        """Connect."""
        return self._dial(host, port, receiver, timeout, tls)

    def listen(
        self, host: str, port: int, accept: Callable[[Connection], Receiver]
    ) -> Awaitable[Listening]:
        """Let others connect."""
        return self._listen(host, port, accept)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Cancellable:
        """Run in the background."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def compute(self, work: Callable[[], T]) -> Awaitable[T]:
        """Run in the loop's thread pool."""
        return self._loop.run_in_executor(None, work)

    def log(self, text: str, **fields: object) -> None:
        """A line of the log ``xjrelay.client.aio``."""
        _log.info("%s", text.format(**fields))

    async def _dial(
        self, host: str, port: int, receiver: Receiver, timeout: float, tls: bool
    ) -> Connection:
        try:
            async with asyncio.timeout(timeout):
                context = await self._authority.context(host, port, timeout, self.compute) if tls else None
                _, stream = await self._loop.create_connection(
                    lambda: _Stream(receiver), host, port, ssl=context
                )
        except TimeoutError:
            raise DialError(f"no answer in {timeout:.0f} s") from None
        except ssl.SSLError as error:
            raise TLSError(tls_reason(error)) from error
        except OSError as error:
            raise DialError("" if isinstance(error, ConnectionRefusedError) else _reason(error)) from error
        return stream

    async def _listen(
        self, host: str, port: int, accept: Callable[[Connection], Receiver]
    ) -> Listening:
        where = host or "0.0.0.0"
        try:
            server = await self._loop.create_server(lambda: _Accepted(accept), where, port)
        except OSError as error:
            raise DialError(_reason(error)) from error
        return _Port(server)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the client broke", exc_info=error)


class _Stream(asyncio.Protocol):
    """A TCP connection as the session's connection."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio has set NODELAY already."""
        self._transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        self._receiver.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._receiver.lost(str(exc) if exc is not None else "closed by the other end")

    def write(self, data: bytes) -> None:
        """Send. On a connection that has just failed asyncio would log each attempt."""
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send what was written, then close."""
        assert self._transport is not None
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        assert self._transport is not None
        self._transport.abort()

    def pause(self) -> None:
        """Read no more for now."""
        assert self._transport is not None
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        assert self._transport is not None
        self._transport.resume_reading()

    def local(self) -> tuple[str, int]:
        """Our end."""
        assert self._transport is not None
        name = self._transport.get_extra_info("sockname")
        return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)

    def certificate(self) -> bytes | None:
        """The other end's."""
        assert self._transport is not None
        tls = self._transport.get_extra_info("ssl_object")
        return None if tls is None else cast(bytes | None, tls.getpeercert(binary_form=True))


class _Accepted(_Stream):
    """A connection that somebody else made.

    Args:
        accept: says who hears it.
    """

    def __init__(self, accept: Callable[[Connection], Receiver]) -> None:
        self._accept = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask who hears it."""
        super().connection_made(transport)
        self._receiver = self._accept(self)


class _Port:
    """A listening port as the session's."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Let nobody in any more."""
        self._server.close()


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
