# SPDX-License-Identifier: MIT
"""One link: bytes to stanzas to method calls, and stanzas to bounded writes.

:class:`Link` is the base of every Protocol in the suite, on both ends. It knows framing,
grammar, the life of a connection and its limits, and no rule of any program: a subclass sets
``phase`` and has a method ``on_<kind>`` for each kind of stanza it may hear.

Order: a handler that returns a coroutine or an unfired Deferred holds the link. Later frames
wait, and the transport stops reading, until it is done; so requests of one link are answered
in order and a flood waits in the sender's own kernel. So does whoever says more a second than
it may (:attr:`Link.metered`): nothing is dropped, we read on when its debt is paid.

What it says is in :mod:`xjrelay.net.outgoing`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xjrelay import __version__
from xjrelay.domain.limits import Meter
from xjrelay.net.context import Context
from xjrelay.net.direct import is_plain
from xjrelay.net.outgoing import Outgoing
from xjrelay.net.socket import tune
from xjrelay.net.tls import failure_reason, is_tls
from xjrelay.wire import codec, grammar
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.framing import LF, Framer
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import Kind, Ping, Pong, Stanza, classify, parse

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

MANY = 16
"""Frames that a fast lane is shown again after an unusual one."""

_PONG = codec.encode(Pong())
_PING = codec.encode(Ping())
_HANDLERS = {kind: f"on_{kind.name.lower()}" for kind in Kind}


@implementer(IHandshakeListener)
class Link(Outgoing):
    """One connection of any program, either end.

    Args:
        context: what the program's links share.
        max_frame: overrides the context's limit (for a server we chose to dial).

    Attributes:
        phase: where the link stands; says what may be heard (``wire.grammar``).
        must_answer: whether silence alone closes the link. At first False where :attr:`may_be_mute`.
        may_be_mute: whether the other end may be the original's client, which answers no ping: its
            silence counts only once it has answered one.
        role: what the other end turned out to be; None until a subclass knows, and where it needs nothing.
        quick: the fast lane of a subclass that has one, once it knows the role: takes that and frames, each
            ended by LF; returns how many of them, from the first, it is done with, and whether these are all.
        patience: looks at the link that its silence may last, after each of which it is pinged.
        heartbeat: whether a ping goes at every interval, not only after a quiet one.
        metered: whether what is heard is held to a rate, until :meth:`unmetered`. True for
            everybody who dials a server and hasn't proved to be a component.
        interval: seconds between looks at the link; the context's ``ping_interval``.
        on_established: called with the link when its handshake is through; the factory's.
        on_gone: called with the link at its very end; the factory's.
    """

    __slots__ = (
        *("_agreed", "_answers_pings", "_bad_frames", "_busy", "_cut_call", "_deadline", "_held_since"),
        *("_max_frame", "_meter", "_opened_at", "_quiet", "_slowed", "_spoke", "_unfinished", "_waiting"),
        *("factory", "interval", "must_answer", "on_established", "on_gone", "phase", "quick", "role"),
    )
    label: ClassVar[str] = "link"
    may_be_mute: ClassVar[bool] = False
    patience: ClassVar[int] = 1
    heartbeat: ClassVar[bool] = False
    metered: ClassVar[bool] = False
    phase: Phase
    quick: Callable[[Any, bytes], tuple[int, bool]] | None
    role: Any

    def __init__(self, context: Context, max_frame: int | None = None) -> None:
        self._max_frame = max_frame or context.limits.max_frame
        super().__init__(context, context.link_name(self.label), Framer(self._max_frame))
        self.on_established: Callable[[Link], None] | None = None
        self.on_gone: Callable[[Link], None] | None = None
        self.role = None
        self.quick = None
        self.interval = context.limits.ping_interval
        self.must_answer = not self.may_be_mute
        self._waiting: list[bytes] | None = None  # frames of one read that a handler holds up
        self._busy = False
        self._meter: Meter | None = None
        self._slowed: IDelayedCall | None = None  # reading goes on then
        self._bad_frames = 0
        self._quiet = 0  # ticks since anything was heard
        self._unfinished = 0  # ticks since the last whole frame, with a part of one held
        self._answers_pings = False
        self._agreed = True  # False from the connection until TLS is
        self._deadline: IDelayedCall | None = None
        self._opened_at = 0.0
        self._held_since = 0.0
        self._cut_call: IDelayedCall | None = None
        self._spoke: int | None = None  # of the wheel that makes us beat

    # -- for subclasses ----------------------------------------------------------------------

    def opened(self) -> None:
        """The connection is there. Subclasses say their hello here."""

    def closed(self, reason: CloseReason) -> None:
        """The connection is gone, for this reason. Called once."""

    def receive(self, kind: Kind, value: dict[str, Any], frame: bytes) -> Any:
        """A stanza that the grammar allows; by default parsed and given to ``on_<kind>``."""
        return getattr(self, _HANDLERS[kind])(parse(kind, value))

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

    def refuse(self, error: RemoteError, request_id: str | None = None) -> None:
        """Answer with an error, and close where it says so."""
        self.context.counters.refused[int(error.code)] += 1
        self.send(error.answer(request_id))
        if error.close is not None:
            self.close(error.close)

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

    def unmetered(self) -> None:
        """The other end is a component of ours: it speaks for many, and is held to no rate."""
        self._meter = None

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

    def dataReceived(self, data: bytes) -> None:
        """Bytes arrived."""
        if self.close_reason is not None:  # lingering: read so that our last words arrive
            return
        self._quiet = 0
        self.context.counters.bytes_in += len(data)
        framer = self._framer
        batch = self.context.batch
        began, batch.open = not batch.open, True  # the hottest path of all: a call less
        try:
            if self.quick is not None and not self._busy and (lines := framer.at_once(data)):
                heard, is_all = self.quick(self.role, lines)
                if is_all:
                    self._unfinished = 0
                    self.context.counters.frames_in += heard
                else:
                    heard = self._hear_rest(lines, heard)
            else:
                whole = framer.take(data)
                heard = self._hear(whole) if whole else 0
            meter = self._meter
            if meter is not None and not meter.spend(heard, len(data)) and self.close_reason is None:
                self._slow_down(meter)
            if framer.too_long and not self._busy:
                self._refuse_too_long()
        finally:
            if began:
                batch.end()

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

    # -- how much is read --------------------------------------------------------------------

    def _slow_down(self, meter: Meter) -> None:
        """Too much was said, or the clock wasn't looked at for long: read nothing while it lasts."""
        wait = 0.0 if self._slowed is not None else meter.wait(self.context.clock.seconds())
        if wait > 0:
            self.context.counters.limited["max-stanzas"] += 1
            self.transport.pauseProducing()
            self._slowed = self.context.clock.callLater(wait, self._paid, meter)

    def _paid(self, meter: Meter) -> None:
        """The debt should be paid; more may have come in after we asked for a pause."""
        self._slowed = None
        self._slow_down(meter)
        self._read_on()

    def _read_on(self) -> None:
        """Read again, unless something else still holds us up."""
        if not self._busy and self._slowed is None and self.close_reason is None:
            self.transport.resumeProducing()

    # -- frames ------------------------------------------------------------------------------

    def _hear(self, whole: bytes) -> int:
        """What a read has completed; returns how many frames that is."""
        done, is_all = 0, False
        if self.quick is not None and not self._busy and (lines := self._framer.lines(whole)):
            done, is_all = self.quick(self.role, lines)
        if is_all:
            self._unfinished = 0
            self.context.counters.frames_in += done
            return done
        return self._hear_rest(whole, done)

    def _hear_rest(self, whole: bytes, done: int) -> int:
        """The same, when the fast lane is done with so many of the first."""
        self._unfinished = 0
        frames = self._framer.split(whole)
        self.context.counters.frames_in += len(frames)
        self._work(frames, done)
        return len(frames)

    def _work(self, frames: list[bytes], at: int = 0) -> None:
        """Frames in order, the next by the slow lane, and what follows it by the fast one if there is one.

        That is shown little more than twice what it was last done with: no read costs more than in proportion
        to its length.
        """
        if self._busy:
            self._keep(frames)
            return
        room, quick = MANY, None if self._framer.original else self.quick
        while at < len(frames) and self.close_reason is None:
            held = self._take(frames[at])
            at += 1
            if held:
                self._keep(frames[at:])
                return
            if quick is not None and at < len(frames) and self.close_reason is None:
                done, _ = quick(self.role, LF.join(frames[at : at + room]) + LF)
                at += done
                room = MANY + 2 * done

    def _keep(self, frames: list[bytes]) -> None:
        """Frames that have to wait for a handler."""
        if self._waiting is None:
            self._waiting = frames
        else:
            self._waiting += frames

    def _take(self, frame: bytes) -> bool:
        """One frame; every error ends here, as an answer. True when its handler isn't done."""
        try:
            value = codec.decode_value(frame)
            if type(value) is dict:
                kind = classify(value)
            elif self.phase is Phase.AT_TRACKER_OPEN:
                kind, value = Kind.COMPONENTS, {"components": value}
            else:
                raise codec.BadFrame("a frame must hold a JSON object")
            self._bad_frames = 0
            if kind not in grammar.HEARD[self.phase]:
                raise grammar.NotHere(kind)
            result = self.receive(kind, value, frame)
            if result is not None:
                return self._hold(result, value)
        except codec.BadFrame as error:
            self._bad_frame(error)
        except RemoteError as error:
            self.refuse(self._no_proof(error), _request_id(value))
        except Exception:
            self._fail(Failure())
        return False

    def _no_proof(self, error: RemoteError) -> RemoteError:
        """What is said where only a proof is heard: for anything that is none, 401 and the end."""
        if error.code is not Code.BAD_REQUEST or self.phase not in grammar.UNAUTHENTICATED:
            return error
        return RemoteError(Code.UNAUTHORIZED, "prove yourself first", CloseReason.NOT_AUTHENTICATED)

    def _bad_frame(self, error: RemoteError) -> None:
        self.context.counters.bad_frames += 1
        self._bad_frames += 1
        self.refuse(self._no_proof(error))
        if self._bad_frames >= self.context.limits.max_bad_frames:
            self.context.counters.limited["max-bad-frames"] += 1
            self.close(CloseReason.BAD_FRAMES)

    def _refuse_too_long(self) -> None:
        self.context.counters.limited["max-frame"] += 1
        self.refuse(codec.FrameTooLong(self._max_frame))

    def _fail(self, failure: Failure) -> None:
        """A handler broke: our fault, told as "not now", and this link alone pays."""
        _log.failure("{link}: a stanza could not be handled", failure, link=self.name)
        self.refuse(RemoteError(Code.NOT_NOW, "something broke here, try again", CloseReason.INTERNAL))

    # -- handlers that take time -------------------------------------------------------------

    def _hold(self, result: Deferred[Any] | Coroutine[Any, Any, Any], value: Any) -> bool:
        """Wait for a handler's Deferred; false if it had fired already."""
        deferred = Deferred.fromCoroutine(result) if inspect.iscoroutine(result) else result
        assert isinstance(deferred, Deferred)
        self._busy = True
        fired_now = True
        deferred.addErrback(self._handler_failed, value)
        deferred.addCallback(lambda _: None if fired_now else self._released())
        fired_now = False
        if deferred.called and not deferred.paused:
            self._busy = False
            return False
        self._held_since = self.context.clock.seconds()
        if self.close_reason is None:
            self.transport.pauseProducing()
        return True

    def _handler_failed(self, failure: Failure, value: Any) -> None:
        if failure.check(RemoteError):
            assert isinstance(failure.value, RemoteError)
            self.refuse(failure.value, _request_id(value))
        else:
            self._fail(failure)

    def _released(self) -> None:
        self._busy = False
        self.context.counters.requests.observe(self.context.clock.seconds() - self._held_since)
        if self.close_reason is not None:
            return
        frames, self._waiting = self._waiting or [], None
        batch = self.context.batch
        began = batch.begin()
        try:
            self._work(frames)
            if self._framer.too_long and not self._busy and self.close_reason is None:
                self._refuse_too_long()
        finally:
            if began:
                batch.end()
        self._read_on()


def _request_id(value: Any) -> str | None:
    """The id an answer repeats, where the request had a usable one."""
    request_id = value.get("id") if isinstance(value, dict) else None
    return request_id if isinstance(request_id, str) and len(request_id) <= 64 else None
