# SPDX-License-Identifier: MIT
"""The reading half of a link: bytes to frames, frames to stanzas, stanzas to handlers.

Order: a handler that returns a coroutine or an unfired Deferred holds the link. Later frames
wait, and the transport stops reading, until it is done; so requests of one link are answered
in order and a flood waits in the sender's own kernel. So does whoever says more a second than
it may (:attr:`Incoming.metered`): nothing is dropped, we read on when its debt is paid.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xjrelay.domain.limits import Meter
from xjrelay.net.context import Context
from xjrelay.net.outgoing import Outgoing
from xjrelay.wire import codec, grammar
from xjrelay.wire.errors import CloseReason, Code, RemoteError
from xjrelay.wire.framing import LF, Framer
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import Kind, classify, parse

_log = Logger()

MANY = 16
"""Frames that a fast lane is shown again after an unusual one."""

_HANDLERS = {kind: f"on_{kind.name.lower()}" for kind in Kind}


class Incoming(Outgoing):
    """What a connection says; :class:`xjrelay.net.protocol.Link` is its life.

    Args:
        context: what the program's links share.
        name: for the log.
        max_frame: the longest frame that is accepted.

    Attributes:
        phase: where the link stands; says what may be heard (``wire.grammar``).
        role: what the other end turned out to be; None until a subclass knows, and where it needs nothing.
        quick: the fast lane of a subclass that has one, once it knows the role: takes that and frames, each
            ended by LF; returns how many of them, from the first, it is done with, and whether these are all.
        metered: whether what is heard is held to a rate, until :meth:`unmetered`. True for
            everybody who dials a server and hasn't proved to be a component.
    """

    __slots__ = (
        *("_bad_frames", "_busy", "_held_since", "_max_frame", "_meter", "_quiet", "_slowed", "_unfinished"),
        *("_waiting", "phase", "quick", "role"),
    )
    metered: ClassVar[bool] = False
    phase: Phase
    quick: Callable[[Any, bytes], tuple[int, bool]] | None
    role: Any

    def __init__(self, context: Context, name: str, max_frame: int) -> None:
        super().__init__(context, name, Framer(max_frame))
        self._max_frame = max_frame
        self.role = None
        self.quick = None
        self._waiting: list[bytes] | None = None  # frames of one read that a handler holds up
        self._busy = False
        self._meter: Meter | None = None
        self._slowed: IDelayedCall | None = None  # reading goes on then
        self._bad_frames = 0
        self._quiet = 0  # looks at the link since anything was heard
        self._unfinished = 0  # looks since the last whole frame, with a part of one held
        self._held_since = 0.0

    # -- for subclasses ----------------------------------------------------------------------

    def receive(self, kind: Kind, value: dict[str, Any], frame: bytes) -> Any:
        """A stanza that the grammar allows; by default parsed and given to ``on_<kind>``."""
        return getattr(self, _HANDLERS[kind])(parse(kind, value))

    def close(self, reason: CloseReason) -> None:
        """Write what is queued and close."""
        raise NotImplementedError

    def refuse(self, error: RemoteError, request_id: str | None = None) -> None:
        """Answer with an error, and close where it says so."""
        self.context.counters.refused[int(error.code)] += 1
        self.send(error.answer(request_id))
        if error.close is not None:
            self.close(error.close)

    def unmetered(self) -> None:
        """The other end is a component of ours: it speaks for many, and is held to no rate."""
        self._meter = None

    # -- Twisted's side ----------------------------------------------------------------------

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
