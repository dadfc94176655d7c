# SPDX-License-Identifier: MIT
"""What all links of one program share: clock, limits, counters, the batch of a read.

Imports no server and no store; a test builds it with a ``task.Clock``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol as Seam

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from xjrelay.domain.histogram import Histogram
from xjrelay.domain.limits import Rates
from xjrelay.net.tls import Dialling, Vouch
from xjrelay.net.trace import Trace
from xjrelay.net.wheel import Wheel
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.framing import DEFAULT_MAX_FRAME

TRUSTED_MAX_FRAME = 16 * 1024 * 1024
"""What a dialler accepts from a server it chose: a roster of 10,000 is one frame."""


_log = Logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one link may cost; seconds and bytes."""

    max_frame: int = DEFAULT_MAX_FRAME
    """Longest frame accepted."""
    hello_timeout: float = 10.0
    """From the connection to the end of its handshake."""
    ping_interval: float = 15.0
    """A link unheard for this long is pinged, for twice as long closed (if it ever ponged)."""
    user_timeout: float = 20.0
    """TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged by the other machine."""
    max_bad_frames: int = 10
    """Bad frames in a row that close a link."""
    max_outgoing: int = 1024 * 1024
    """Bytes held for a reader that doesn't read, beyond the transport's own 64 KiB."""
    close_timeout: float = 2.0
    """How long a closing link may take before it is cut."""
    max_links: int = 20000
    """Connections one listener holds at a time."""
    max_links_address: int = 256
    """Of these, from one address."""
    max_handshakes: int = 15000
    """Of these, whose hello or login isn't through; above it the oldest makes way."""
    limit_loopback: bool = False
    """Whether the limits by address hold for this machine's own connections too."""
    idle_timeout: float = 86400.0
    """Who is let in and then says nothing for this long, not even a pong, is closed."""
    max_stanzas: int = 10_000
    """Stanzas a second from a user (or a stranger); above it we stop reading."""
    max_bytes: int = 8 * 1024 * 1024
    """Bytes a second, likewise."""
    rate_burst: float = 2.0
    """Seconds' worth of both that may come at once."""


@dataclass(slots=True)
class Counters:
    """Plain integers that the hot path can afford; read when somebody asks."""

    links_open: int = 0
    links_opened: int = 0
    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    bad_frames: int = 0
    closed: Counter[CloseReason] = field(default_factory=Counter)
    limited: Counter[str] = field(default_factory=Counter)
    """How often each limit was reached, by its option's name."""
    refused: Counter[int] = field(default_factory=Counter)
    """Answers that were errors, by code."""
    outcomes: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    """What became of messages that their senders were told of: status, and code of a failure."""
    handshakes: Histogram = field(default_factory=Histogram)
    """From a connection to the end of its handshake."""
    requests: Histogram = field(default_factory=Histogram)
    """Requests that took more than their read: they waited for a store, a thread, or another program."""


class Flushable(Seam):
    """A link with something to write."""

    def flush(self) -> None:
        """Write it."""


class Batch:
    """Gathers what is written while one read is worked through, or all reads of a turn (``net.reactor``).

    All frames that go to one destination meanwhile become one write: a system call costs more
    than a message. Outside a read a link writes at once.

    Attributes:
        open: whether a read is being worked through.
        add: called with whatever has something to write when that is done.
    """

    __slots__ = ("_waiting", "add", "open")

    def __init__(self) -> None:
        self._waiting: list[Flushable] = []
        self.add: Callable[[Flushable], None] = self._waiting.append
        self.open = False

    def begin(self) -> bool:
        """Start to gather; false if somebody further up the stack already does."""
        if self.open:
            return False
        self.open = True
        return True

    def end(self) -> None:
        """Write everything gathered."""
        self.open = False
        links = self._waiting[:]
        self._waiting.clear()
        for link in links:
            try:
                link.flush()
            except Exception:  # the others' must not stay where it is
                _log.failure("what was gathered could not be written")


@dataclass(slots=True)
class Context:
    """One program's clock, randomness, limits and counters, handed to each of its links."""

    clock: IReactorTime
    random: random.Random
    limits: Limits = field(default_factory=Limits)
    counters: Counters = field(default_factory=Counters)
    batch: Batch = field(default_factory=Batch)
    dialling: Dialling = field(default_factory=Dialling)
    vouch: Vouch | None = None
    trace: Trace | None = None
    prefix: str = ""
    """Before the name of each link, where several programs share a process: ``relay1:``."""
    serial: int = 0
    wheels: dict[float, Wheel] = field(default_factory=dict)
    _rates: tuple[Limits, Rates] | None = None

    @property
    def rates(self) -> Rates:
        """What the limits of now allow a user; one object for all links."""
        limits = self.limits
        if self._rates is None or self._rates[0] is not limits:
            self._rates = limits, Rates(limits.max_stanzas, limits.max_bytes, limits.rate_burst)
        return self._rates[1]

    def wheel(self, interval: float) -> Wheel:
        """What makes links beat that have this interval, in seconds."""
        found = self.wheels.get(interval)
        if found is None:
            found = self.wheels[interval] = Wheel(self.clock, interval)
        return found

    def link_name(self, label: str) -> str:
        """What a new link is called in the log."""
        return f"{self.prefix}{label}#{self.next_serial()}"

    def next_serial(self) -> int:
        """A number for a new link, for the log."""
        self.serial += 1
        return self.serial
