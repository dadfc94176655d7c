# SPDX-License-Identifier: MIT
"""What the session needs of a framework, and nothing more.

Futures come from txaio's API object. Dialling, timers and tasks come through :class:`Network`,
because txaio's Twisted side has one reactor a process and so can't be run on a fake clock; it is
written once for Twisted (``tx_network.py``), once for asyncio (``aio_network.py``) and once for the tests.
Imports neither framework.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from xjrelay.client.errors import ClientError

T = TypeVar("T")


class DialError(Exception):
    """A connection could not be made; the text is the network's short reason."""


class TLSError(DialError):
    """A connection was there, and TLS on it was not to be had."""


class Connection(Protocol):
    """An open stream."""

    def write(self, data: bytes) -> None:
        """Send, some time."""

    def close(self) -> None:
        """Send what was written, then close."""

    def abort(self) -> None:
        """Close at once."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def local(self) -> tuple[str, int]:
        """Our end's address and port."""

    def certificate(self) -> bytes | None:
        """What the other end showed and was believed, in DER; None without TLS."""


class Receiver(Protocol):
    """Who hears what a connection brings."""

    def received(self, data: bytes) -> None:
        """Bytes arrived."""

    def lost(self, why: str) -> None:
        """The connection is gone. Called once."""


class Listening(Protocol):
    """A port that others may connect to.

    Attributes:
        port: its number.
    """

    port: int

    def close(self) -> None:
        """Let nobody in any more; connections live on."""


class Cancellable(Protocol):
    """A timer or a task; cancelling one that is over does nothing."""

    def cancel(self) -> object:
        """Call it off."""


class Network(Protocol):
    """A framework, seen from the session.

    Attributes:
        txaio: txaio's API object for the framework.
        random: the source of jitter and of message ids.
    """

    txaio: Any
    random: random.Random

    def seconds(self) -> float:
        """The time; only differences matter."""

    def wall(self) -> float:
        """Seconds since 1970: what is kept in a file is dated by it."""

    def call_later(self, delay: float, call: Callable[[], object]) -> Cancellable:
        """Call after ``delay`` seconds."""

    def dial(
        self, host: str, port: int, receiver: Receiver, timeout: float, tls: bool = False
    ) -> Awaitable[Connection]:
        """Connect, within ``timeout`` seconds; with ``tls`` until that is agreed upon and the other
        end's certificate believed. Fails with :class:`DialError`."""

    def listen(
        self, host: str, port: int, accept: Callable[[Connection], Receiver]
    ) -> Awaitable[Listening]:
        """Let others connect.

        Args:
            host: the address to listen at; empty for all of IPv4, ``::`` for all.
            port: 0 for any.
            accept: given each connection, says who hears it.

        Fails with :class:`DialError` where the port can't be had.
        """

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Cancellable:
        """Run in the background. What it raises, except being cancelled, is logged."""

    def compute(self, work: Callable[[], T]) -> Awaitable[T]:
        """Run something slow off the loop's thread."""

    def log(self, text: str, **fields: object) -> None:
        """A line for whoever runs the application; ``text`` names the fields in braces."""


class Promise(Generic[T]):
    """A future of either framework, settled once with a value or an error, awaited once at most.

    An error travels as a value and is raised by :meth:`wait`, so that a promise nobody waits for
    any more makes no noise in either framework.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._future: Any = network.txaio.create_future()

    @property
    def settled(self) -> bool:
        """Whether it has its value, or its waiter was cancelled."""
        return bool(self._network.txaio.is_called(self._future))

    def settle(self, value: T | ClientError) -> None:
        """Give it its value or error; the first one counts."""
        if not self.settled:
            self._network.txaio.resolve(self._future, value)

    async def wait(self) -> T:
        """The value, or the error raised."""
        value = await self._future
        if isinstance(value, ClientError):
            raise value
        result: T = value
        return result

    async def wait_within(self, seconds: float, error: ClientError) -> T:
        """As :meth:`wait`, and ``error`` when nothing came in time."""
        timer = self._network.call_later(seconds, lambda: self.settle(error))
        try:
            return await self.wait()
        finally:
            timer.cancel()


async def sleep(network: Network, seconds: float) -> None:
    """Wait; ends early only by cancelling the task."""
    promise: Promise[None] = Promise(network)
    timer = network.call_later(seconds, lambda: promise.settle(None))
    try:
        await promise.wait()
    finally:
        timer.cancel()


class Backoff:
    """How long to wait before the next try: full jitter, also the first time.

    A random part of 0.25 s, then of 1.6 times as much each try, up to 30 s. What makes a restart hard on a
    server is everybody coming back at once; so the whole delay is random, not a part of it.
    """

    FIRST = 0.25
    FACTOR = 1.6
    CEILING = 30.0

    def __init__(self, network: Network) -> None:
        self._network = network
        self._delay = self.FIRST

    def next(self) -> float:
        """Seconds to wait now; the next will be longer."""
        delay = self._network.random.uniform(0, self._delay)
        self._delay = min(self._delay * self.FACTOR, self.CEILING)
        return delay

    def reset(self) -> None:
        """We were let in: the next loss starts from the bottom."""
        self._delay = self.FIRST

    async def wait(self) -> None:
        """Wait for :meth:`next`."""
        await sleep(self._network, self.next())
