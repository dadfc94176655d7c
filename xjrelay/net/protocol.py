# SPDX-License-Identifier: MIT
"""One link: the life of a connection, from its first byte to its end, and its limits.

:class:`Link` is the base of every Protocol in the suite, on both ends. It knows framing,
grammar, the life of a connection and its limits, and no rule of any program: a subclass sets
``phase`` and has a method ``on_<kind>`` for each kind of stanza it may hear.

How it is read is in :mod:`xjrelay.net.incoming`, how it is written in :mod:`xjrelay.net.outgoing`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xjrelay import __version__
from xjrelay.domain.limits import Meter
from xjrelay.net.context import Context
from xjrelay.net.direct import is_plain
from xjrelay.net.incoming import Incoming
from xjrelay.net.socket import tune
from xjrelay.net.tls import failure_reason, is_tls
from xjrelay.wire import codec
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.stanzas import Ping, Pong, Stanza

_log = Logger()

LINGER = frozenset(
    {
        CloseReason.FRAME_TOO_LONG,
        CloseReason.BAD_FRAMES,
        CloseReason.NOT_AUTHENTICATED,
        CloseReason.CONFLICT,
        CloseReason.PROTOCOL,
        CloseReason.INTERNAL,
        CloseReason.PASSWORD_CHANGED,
        CloseReason.ACCOUNT_REMOVED,
    }
)
"""Closings that must read on for a moment: closing a socket with unread bytes resets it, and
the reset can overtake the answer that says why."""

_PONG = codec.encode(Pong())
_PING = codec.encode(Ping())


@implementer(IHandshakeListener)
class Link(Incoming):
    """One connection of any program, either end.

    Args:
        context: what the program's links share.
        max_frame: overrides the context's limit (for a server we chose to dial).

    Attributes:
        must_answer: whether silence alone closes the link. At first False where :attr:`may_be_mute`.
        may_be_mute: whether the other end may be the original's client, which answers no ping: its
            silence counts only once it has answered one.
        patience: looks at the link that its silence may last, after each of which it is pinged.
        heartbeat: whether a ping goes at every interval, not only after a quiet one.
        interval: seconds between looks at the link; the context's ``ping_interval``.
        on_established: called with the link when its handshake is through; the factory's.
        on_gone: called with the link at its very end; the factory's.
    """

    __slots__ = (
        *("_agreed", "_answers_pings", "_cut_call", "_deadline", "_opened_at", "_spoke", "factory"),
        *("interval", "must_answer", "on_established", "on_gone"),
    )
    label: ClassVar[str] = "link"
    may_be_mute: ClassVar[bool] = False
    patience: ClassVar[int] = 1
    heartbeat: ClassVar[bool] = False

    def __init__(self, context: Context, max_frame: int | None = None) -> None:
        super().__init__(context, context.link_name(self.label), max_frame or context.limits.max_frame)
        self.on_established: Callable[[Link], None] | None = None
        self.on_gone: Callable[[Link], None] | None = None
        self.interval = context.limits.ping_interval
        self.must_answer = not self.may_be_mute
        self._answers_pings = False
        self._agreed = True  # False from the connection until TLS is
        self._deadline: IDelayedCall | None = None
        self._opened_at = 0.0
        self._cut_call: IDelayedCall | None = None
        self._spoke: int | None = None  # of the wheel that makes us beat

    # -- for subclasses ----------------------------------------------------------------------

    def opened(self) -> None:
        """The connection is there. Subclasses say their hello here."""

    def closed(self, reason: CloseReason) -> None:
        """The connection is gone, for this reason. Called once."""

    def on_ping(self, ping: Stanza) -> None:
        """Answer a ping; whoever knows what it is answers ours, too."""
        assert isinstance(ping, Ping)
        self._answers_pings = True
        if ping.about:
            self.send(Pong(ping.id, __version__, int(self.context.clock.seconds() * 1000)))
        else:
            self.send_frame(_PONG if ping.id is None else codec.encode(Pong(ping.id)))

    def on_pong(self, pong: Stanza) -> None:
        """The other end answers pings, so from now on its silence means something."""
        self._answers_pings = True

    def ping(self) -> None:
        """Ask for a sign of life."""
        self.send_frame(_PING)

    @property
    def is_open(self) -> bool:
        """Whether anything can still be said."""
        return self.close_reason is None

    @property
    def original(self) -> bool:
        """Whether the other end chose the original framing."""
        return self._framer.original

    @property
    def host(self) -> str:
        """The other end's IP address, or the empty string where there is none."""
        return str(getattr(self.transport.getPeer(), "host", ""))

    # -- closing -----------------------------------------------------------------------------

    def close(self, reason: CloseReason) -> None:
        """Write what is queued and close; cut after ``close_timeout``."""
        if self.close_reason is not None:
            return
        self._full = False
        self.flush()
        self.close_reason = reason
        self._waiting = None
        self._cancel_timers()
        transport = self.transport
        transport.unregisterProducer()
        if is_tls(transport):  # closed once both have said so, for which it has to read
            transport.loseConnection()
            transport.resumeProducing()
        elif reason in LINGER:
            transport.loseWriteConnection()
            transport.resumeProducing()
        else:
            transport.loseConnection()
        limit = self.context.limits.close_timeout
        self._cut_call = self.context.clock.callLater(limit, transport.abortConnection)

    def abort(self, reason: CloseReason) -> None:
        """Cut at once; what is queued is offered to :meth:`undelivered`."""
        if self.close_reason is not None:
            return
        self.close_reason = reason
        self._waiting = None
        self._cancel_timers()
        self._give_up()
        self.transport.abortConnection()

    # -- time --------------------------------------------------------------------------------

    def expect_within(self, seconds: float, reason: CloseReason) -> None:
        """Close for ``reason`` unless :meth:`established` (or another call of this) comes."""
        self._cancel_deadline()
        self._deadline = self.context.clock.callLater(seconds, self.close, reason)

    def established(self) -> None:
        """The handshake is through: its deadline no longer holds."""
        self._cancel_deadline()
        self.context.counters.handshakes.observe(self.context.clock.seconds() - self._opened_at)
        if self.on_established is not None:
            self.on_established(self)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def beat(self) -> None:
        """Every ``interval``: ping the quiet, close the silent, the idle and the unfinished."""
        reads = not self._busy and self._slowed is None  # else silence is of our own making
        answers = self.must_answer or self._answers_pings
        self._quiet += 1
        waits_for_more = self._framer.pending and reads
        self._unfinished = self._unfinished + 1 if waits_for_more else 0
        if self._unfinished > 2:
            self.close(CloseReason.UNFINISHED)
        elif self._quiet > self.patience and answers and reads:
            self.abort(CloseReason.SILENT)
        elif self._quiet * self.interval > self.context.limits.idle_timeout and reads:
            self.context.counters.limited["idle-timeout"] += 1
            self.close(CloseReason.IDLE)
        elif self._quiet > 1 or answers or self.heartbeat:
            self.ping()

    def _cancel_timers(self) -> None:
        self._cancel_deadline()
        if self._slowed is not None and self._slowed.active():
            self._slowed.cancel()
        self._slowed = None
        if self._spoke is not None:
            self.context.wheel(self.interval).remove(self, self._spoke)
            self._spoke = None

    # -- Twisted's side ----------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Tune the socket, start the clocks, and let the subclass speak; with TLS once that is
        agreed upon."""
        limits = self.context.limits
        now = self._opened_at = self.context.clock.seconds()
        if self.metered:
            self._meter = Meter(self.context.rates, now)
        self.context.counters.links_open += 1
        self.context.counters.links_opened += 1
        tune(self.transport, limits.user_timeout)
        self.transport.registerProducer(self, True)
        self._plain = is_plain(self.transport)
        self._spoke = self.context.wheel(self.interval).add(self)
        self.expect_within(limits.hello_timeout, CloseReason.HELLO_TIMEOUT)
        if is_tls(self.transport):
            self._agreed = False
        else:
            self._speak()

    def handshakeCompleted(self) -> None:
        """TLS is agreed upon."""
        self._agreed = True
        if self.close_reason is None:
            self._speak()

    def _speak(self) -> None:
        over = " over TLS" if is_tls(self.transport) else ""
        peer = self.transport.getPeer()
        _log.info("{link} open with {peer}{over}", event="link-opened", link=self.name, peer=peer, over=over)
        self.opened()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._cancel_timers()
        if self._cut_call is not None and self._cut_call.active():
            self._cut_call.cancel()
        self._waiting = None
        why = ""
        if not self._agreed:
            why = f" with {self.transport.getPeer()}: {failure_reason(reason)}"
            self.close_reason = self.close_reason or CloseReason.TLS_FAILED
        if self.close_reason is None:
            self.close_reason = CloseReason.LOST
        self._give_up()
        counters = self.context.counters
        counters.links_open -= 1
        counters.closed[self.close_reason] += 1
        said = {"link": self.name, "reason": self.close_reason.value, "why": why}
        _log.info("{link} closed: {reason}{why}", event="link-closed", **said)
        try:
            self.closed(self.close_reason)
        finally:
            if self.on_gone is not None:
                self.on_gone(self)
