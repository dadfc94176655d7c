# SPDX-License-Identifier: MIT
"""The life of a link: what it hears and when, what it writes, and every way it ends."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.net.lines import Broken, Chatty, Line, LogLines, context, lose, message, opened
from tests.vectors import vectors
from xjrelay.net.context import Context
from xjrelay.net.protocol import LINGER, Link
from xjrelay.wire import codec
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.framing import LF, ORIGINAL
from xjrelay.wire.grammar import HEARD, UNAUTHENTICATED, Phase
from xjrelay.wire.stanzas import Ack, Kind, Stanza

PING = {"type": "ping"}
PONG = {"type": "pong"}


class LinkTestCase(SynchronousTestCase):
    """A chatty link on a line."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.context = context(self.clock)
        self.link = Chatty(self.context)
        self.line = opened(self.link)
        self.link.established()

    def hear(self, *frames: bytes) -> None:
        self.link.dataReceived(b"".join(frames))

    def bodies(self) -> list[object]:
        return [frame.get("body") for frame in self.line.frames()]

    def codes(self) -> list[object]:
        return [frame.get("code") for frame in self.line.frames()]


class OrderTests(LinkTestCase):
    """One thing at a time."""

    def test_frames_are_taken_in_order(self) -> None:
        self.hear(message("1"), message("2"))
        self.hear(message("3"))
        self.assertEqual(self.link.started, ["1", "2", "3"])
        self.assertEqual(self.bodies(), ["1", "2", "3"])

    def test_later_frames_wait_for_a_handler_that_takes_time(self) -> None:
        self.hear(message("1"), message("2 later"), message("3"))
        self.hear(message("4"))
        self.assertEqual(self.link.started, ["1", "2 later"])
        self.link.finish()
        self.assertEqual(self.link.started, ["1", "2 later", "3", "4"])
        self.assertEqual(self.bodies(), ["1", "2", "3", "4"])

    def test_reading_stops_meanwhile_and_goes_on_after(self) -> None:
        self.hear(message("later"))
        self.assertEqual(self.line.producerState, "paused")
        self.link.finish()
        self.assertEqual(self.line.producerState, "producing")

    def test_reading_stays_stopped_while_the_next_takes_time_too(self) -> None:
        self.hear(message("1 later"), message("2 later"), message("3"))
        self.link.finish()
        self.assertEqual((self.link.started[-1], self.line.producerState), ("2 later", "paused"))
        self.link.finish()
        self.assertEqual((self.link.started[-1], self.line.producerState), ("3", "producing"))

    def test_a_handler_that_is_done_at_once_stops_nothing(self) -> None:
        class Prompt(Chatty):
            def on_message(self, message: Stanza) -> Any:
                self.started.append("x")
                return succeed(None) if len(self.started) % 2 else self.nothing()

            async def nothing(self) -> None:
                """Never waits."""

        link = Prompt(self.context)
        line = opened(link)
        link.dataReceived(message("a") * 2000)
        self.assertEqual((len(link.started), line.producerState), (2000, "producing"))

    def test_a_deferred_that_waits_for_another_is_waited_for(self) -> None:
        inner: Deferred[None] = Deferred()

        class Chained(Chatty):
            def on_message(self, message: Stanza) -> Any:
                self.started.append("x")
                return succeed(None).addCallback(lambda _: inner)

        link = Chained(self.context)
        opened(link)
        link.dataReceived(message("a") * 2)
        self.assertEqual(len(link.started), 1)
        inner.callback(None)
        self.assertEqual(len(link.started), 2)

    def test_nothing_more_is_taken_once_a_handler_closed_the_link(self) -> None:
        self.hear(message("close"), message("2"))
        self.assertEqual(self.link.started, ["close"])
        self.hear(message("3"))
        self.assertEqual(self.link.started, ["close"])

    def test_what_waits_when_the_link_ends_is_dropped(self) -> None:
        self.hear(message("1 later"), message("2"))
        lose(self.link)
        self.link.finish()
        self.assertEqual(self.link.started, ["1 later"])
        self.assertEqual(self.line.writes, [])


class CellTests(SynchronousTestCase):
    """Every kind of frame in every phase: heard, or answered and never more than that."""

    class Listening(Link):
        """Notes what reaches it."""

        def __init__(self, context: Context) -> None:
            super().__init__(context)
            self.heard: list[Kind] = []

        def receive(self, kind: Kind, value: dict[str, Any], frame: bytes) -> Any:
            self.heard.append(kind)

    def frame(self, kind: Kind) -> bytes:
        if kind is Kind.COMPONENTS:
            return b"[]\n"
        cases = vectors("stanzas")["accepted"]
        return codec.encode(next(case["value"] for case in cases if case["kind"] == kind.value)) + LF

    def test_every_cell(self) -> None:
        frames = {kind: self.frame(kind) for kind in Kind}
        for phase in Phase:
            for kind, frame in frames.items():
                link = self.Listening(context(Clock()))
                line = opened(link)
                link.phase = phase
                link.dataReceived(frame)
                if kind in HEARD[phase]:
                    self.assertEqual((link.heard, line.writes, link.is_open), ([kind], [], True))
                    continue
                (answer,) = line.frames()
                proving = phase in UNAUTHENTICATED
                self.assertEqual(answer["code"], 401 if proving else 400, (phase, kind))
                expected = CloseReason.NOT_AUTHENTICATED if proving else None
                self.assertEqual((link.heard, link.close_reason), ([], expected))

    def test_what_is_heard_reaches_the_method_of_its_kind_as_its_class(self) -> None:
        heard: list[Stanza] = []

        class Counting(Chatty):
            def on_ack(self, ack: Stanza) -> None:
                heard.append(ack)

        link = Counting(context(Clock()))
        opened(link)
        link.dataReceived(b'{"stanza":"ack","h":7}\n')
        self.assertEqual(heard, [Ack(7)])


class ErrorTests(LinkTestCase):
    """What is wrong is answered, and stays on this link."""

    def test_a_refusal_is_answered_with_the_request_s_id(self) -> None:
        self.hear(message("refuse", id="m1"), message("2"))
        first, second = self.line.frames()
        self.assertEqual(first, {"error": True, "code": 403, "msg": "not your name", "id": "m1"})
        self.assertEqual(second, {"body": "2"})

    def test_a_late_refusal_is_answered_with_the_request_s_id(self) -> None:
        self.hear(message("refuse later", id="m1"), message("2"))
        self.link.finish()
        first, second = self.line.frames()
        self.assertEqual((first["code"], first["id"]), (403, "m1"))
        self.assertEqual(second, {"body": "2"})

    def test_an_id_that_is_none_is_not_repeated(self) -> None:
        for bad in (7, ["x"], "x" * 65):
            self.hear(codec.encode({"stanza": "nothing", "id": bad}) + LF)
            (answer,) = self.line.frames()
            self.assertEqual((answer["code"], "id" in answer), (400, False))

    def test_a_missing_key_is_named(self) -> None:
        self.hear(b'{"stanza":"message","body":"halo","id":"m1"}\n')
        (answer,) = self.line.frames()
        self.assertEqual((answer["code"], answer["id"]), (400, "m1"))
        self.assertIn("`to`", answer["msg"])
        self.assertTrue(self.link.is_open)

    def test_a_handler_that_breaks_is_answered_and_logged(self) -> None:
        for body in ("break", "break later"):
            link = Chatty(self.context)
            line = opened(link)
            link.dataReceived(message(body, id="m1"))
            if link.gate is not None:
                link.finish()
            self.assertEqual([frame["code"] for frame in line.frames()], [503])
            self.assertEqual(link.close_reason, CloseReason.INTERNAL)
            self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    def test_neither_text_nor_secret_is_logged(self) -> None:
        log = LogLines(self)
        link = Chatty(self.context)
        opened(link)
        link.dataReceived(message("rahasia") + b'{"rahasia"\n' + b'{"stanza":"rahasia"}\n')
        lose(link)
        text = "\n".join(log.lines)
        self.assertIn(f"{link.name} open with", text)
        self.assertIn(f"{link.name} closed: connection lost", text)
        self.assertNotIn("rahasia", text)


class BadFrameTests(LinkTestCase):
    """Not JSON, not an object: answered ten times in a row."""

    def test_nine_are_answered_and_the_link_stays(self) -> None:
        self.hear(b"?\n" * 9)
        self.assertEqual(self.codes(), [400] * 9)
        self.assertTrue(self.link.is_open)

    def test_the_tenth_closes(self) -> None:
        self.hear(b"?\n" * 9)
        self.hear(b"?\n" + message("never"))
        self.assertEqual(self.codes(), [400] * 10)
        self.assertEqual(self.link.close_reason, CloseReason.BAD_FRAMES)
        self.assertEqual(self.context.counters.bad_frames, 10)

    def test_a_good_one_begins_the_count_anew(self) -> None:
        for _ in range(3):
            self.hear(b"[1]\n" * 9, message("good"))
        self.assertTrue(self.link.is_open)

    def test_a_stanza_that_is_refused_is_no_bad_frame(self) -> None:
        self.hear(b'{"stanza":"message"}\n' * 30, b'{"stanza":"presence"}\n' * 30)
        self.assertEqual(self.codes(), [400] * 60)
        self.assertTrue(self.link.is_open)


class TooLongTests(LinkTestCase):
    """A frame over the limit: 413, and the end."""

    def setUp(self) -> None:
        super().setUp()
        self.link = Chatty(self.context, max_frame=200)
        self.line = opened(self.link)

    def check_refused(self) -> None:
        self.assertEqual(self.codes()[-1:], [413])
        self.assertEqual(self.link.close_reason, CloseReason.FRAME_TOO_LONG)
        self.assertEqual((self.line.half_closed, self.line.disconnecting), (True, False))

    def test_in_one_piece(self) -> None:
        self.hear(message("x" * 200))
        self.check_refused()
        self.assertEqual(self.link.started, [])

    def test_byte_by_byte(self) -> None:
        for byte in message("x" * 200):
            self.hear(bytes([byte]))
        self.check_refused()

    def test_what_came_before_is_answered_first(self) -> None:
        self.hear(message("1"), message("x" * 200), message("2"))
        self.assertEqual([frame.get("body", 413) for frame in self.line.frames()], ["1", 413])

    def test_what_came_before_is_answered_first_also_when_it_takes_time(self) -> None:
        for before in ([], [message("0 later")]):
            link = Chatty(self.context, max_frame=200)
            line = opened(link)
            link.dataReceived(b"".join([*before, message("1 later"), message("x" * 200)]))
            self.assertEqual((line.writes, link.is_open), ([], True))
            for _ in (*before, 1):
                link.finish()
            self.assertEqual(line.frames()[-1]["code"], 413)
            self.assertEqual(link.started[-1], "1 later")
            self.assertFalse(link.is_open)

    def test_the_rest_is_read_and_ignored_until_the_line_is_cut(self) -> None:
        self.hear(message("x" * 200))
        self.line.frames()
        self.hear(message("1"), b"x" * 100000)
        self.assertEqual((self.link.started, self.line.writes), ([], []))
        self.assertEqual(self.line.producerState, "producing")
        self.clock.advance(self.context.limits.close_timeout)
        self.assertTrue(self.line.aborted)

    def test_the_limit_itself_is_no_excess(self) -> None:
        frame = message("x" * (200 + 1 - len(message(""))))
        self.assertEqual(len(frame), 201)
        self.hear(frame)
        self.assertTrue(self.link.is_open)
        self.assertEqual(len(self.link.started), 1)


class TimeTests(LinkTestCase):
    """Hellos that never come, silence, half a frame."""

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(self.context.limits.ping_interval)

    def answering(self) -> None:
        self.hear(b'{"type":"pong"}\n')

    def test_a_handshake_that_does_not_come_closes(self) -> None:
        link = Chatty(self.context)
        line = opened(link)
        self.clock.advance(9.9)
        self.assertTrue(link.is_open)
        self.clock.advance(0.2)
        self.assertEqual(link.close_reason, CloseReason.HELLO_TIMEOUT)
        self.assertTrue(line.disconnecting)

    def test_bytes_that_are_no_handshake_do_not_put_it_off(self) -> None:
        link = Chatty(self.context)
        opened(link)
        for _ in range(11):
            link.dataReceived(b'{"type":"ping"}\n')
            self.clock.advance(1)
        self.assertEqual(link.close_reason, CloseReason.HELLO_TIMEOUT)

    def test_an_established_link_stays(self) -> None:
        self.clock.advance(11)
        self.assertTrue(self.link.is_open)

    def test_a_ping_is_answered_with_its_id(self) -> None:
        self.hear(b'{"type":"ping"}\n{"type":"ping","id":"p1"}\n')
        self.assertEqual(self.line.frames(), [PONG, {"type": "pong", "id": "p1"}])

    def test_the_quiet_are_pinged_and_the_silent_cut(self) -> None:
        self.ticks(1)
        self.assertEqual(self.line.frames(), [PING])
        self.ticks(1)
        self.assertEqual((self.link.close_reason, self.line.aborted), (CloseReason.SILENT, True))

    def test_one_that_need_not_answer_is_pinged_when_it_is_quiet(self) -> None:
        self.link.must_answer = False
        self.ticks(1)
        self.assertEqual(self.line.frames(), [])
        self.ticks(2)
        self.assertEqual(self.line.frames(), [PING] * 2)
        self.hear(b'{"type":"ping"}\n')  # whoever says it answers it
        self.ticks(1)
        self.assertTrue(self.link.is_open)
        self.ticks(1)
        self.assertEqual(self.link.close_reason, CloseReason.SILENT)

    def test_whoever_answers_stays(self) -> None:
        for _ in range(10):
            self.ticks(1)
            self.answering()
        self.assertTrue(self.link.is_open)
        self.assertEqual(self.line.frames(), [PING] * 10)

    def test_a_client_that_never_answered_a_ping_is_left_to_tcp(self) -> None:
        self.link.must_answer = False
        self.ticks(10)
        self.assertTrue(self.link.is_open)
        self.answering()
        self.ticks(3)
        self.assertEqual(self.link.close_reason, CloseReason.SILENT)

    def test_whoever_waits_for_our_answer_is_not_silent(self) -> None:
        self.hear(message("later"), message("2")[:5])
        self.ticks(10)
        self.assertTrue(self.link.is_open)
        self.link.finish()
        self.hear(message("2")[5:])
        self.assertEqual(self.link.started, ["later", "2"])

    def test_half_a_frame_then_silence_closes(self) -> None:
        self.link.must_answer = False
        self.hear(b'{"stanza":')
        self.ticks(3)
        self.assertEqual(self.link.close_reason, CloseReason.UNFINISHED)

    def test_a_frame_that_drips_for_ever_closes(self) -> None:
        self.hear(message("1"), b'{"body":"')
        for _ in range(3):
            self.hear(b"x")
            self.ticks(1)
        self.assertEqual(self.link.close_reason, CloseReason.UNFINISHED)

    def test_frames_that_straddle_reads_are_no_drip(self) -> None:
        for _ in range(10):
            self.hear(b'"}\n', b'{"stanza":"')
            self.ticks(1)
            self.hear(b'message","to":"fajar","body":"a')
        self.assertTrue(self.link.is_open)

    def test_a_heartbeat_beats_at_every_interval(self) -> None:
        class Beating(Chatty):
            heartbeat = True

        link = Beating(self.context)
        link.interval = 3.0
        line = opened(link)
        link.established()
        for _ in range(4):
            self.clock.advance(3)
            link.dataReceived(b'{"type":"pong"}\n')
        self.assertEqual(line.frames(), [PING] * 4)

    def test_nothing_ticks_after_the_end(self) -> None:
        lose(self.link)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class WriteTests(LinkTestCase):
    """Gathered, bounded, in the other side's framing."""

    def test_all_answers_of_a_read_are_one_write(self) -> None:
        self.hear(message("1"), message("2"), b"?\n")
        self.assertEqual(len(self.line.writes), 1)
        self.assertEqual(len(self.line.frames()), 3)

    def test_so_is_what_goes_to_another_link(self) -> None:
        friend = Chatty(self.context)
        friend_line = opened(friend)
        self.link.friend = friend
        self.hear(message("1"), message("2"))
        self.assertEqual((len(friend_line.writes), self.line.writes), (1, []))
        self.assertEqual(friend_line.frames(), [{"body": "1"}, {"body": "2"}])

    def test_outside_a_read_a_frame_goes_at_once(self) -> None:
        self.assertTrue(self.link.send({"a": 1}))
        self.assertTrue(self.link.send_frame(b"{}"))
        self.assertEqual(self.line.writes, [b'{"a":1}\n', b"{}\n"])

    def test_what_a_late_handler_answers_is_one_write_with_what_follows(self) -> None:
        self.hear(message("1 later"), message("2"), message("3"))
        self.link.finish()
        self.assertEqual(self.line.writes[-1], b'{"body":"2"}\n{"body":"3"}\n')

    def test_the_original_framing_is_answered_in_kind(self) -> None:
        self.assertFalse(self.link.original)
        self.hear(message("1").strip() + ORIGINAL + message("2").strip() + ORIGINAL)
        self.assertTrue(self.link.original)
        self.assertEqual(self.line.frames(ORIGINAL), [{"body": "1"}, {"body": "2"}])

    def test_counters_count(self) -> None:
        self.hear(message("1"), message("2"))
        counters = self.context.counters
        self.assertEqual((counters.frames_in, counters.frames_out), (2, 2))
        self.assertEqual(counters.bytes_in, 2 * len(message("1")))
        self.assertEqual(counters.bytes_out, len(self.line.writes[0]))

    def test_what_a_full_transport_cannot_take_waits_in_order(self) -> None:
        self.link.pauseProducing()
        self.link.send({"a": 1})
        self.hear(message("2"))
        self.assertEqual(self.line.writes, [])
        self.link.resumeProducing()
        self.assertEqual(self.line.writes, [b'{"a":1}\n{"body":"2"}\n'])

    def test_a_slow_reader_is_cut_and_what_it_missed_is_offered(self) -> None:
        self.context = context(self.clock, max_outgoing=100)
        link = Chatty(self.context)
        line = opened(link)
        link.pauseProducing()
        frames = [b'{"n":%d,"x":"%s"}' % (n, b"x" * 30) for n in range(3)]
        self.assertEqual([link.send_frame(frame) for frame in frames], [True, True, False])
        self.assertEqual((link.close_reason, line.aborted), (CloseReason.SLOW_READER, True))
        self.assertEqual(link.unread, frames)
        self.assertFalse(link.send_frame(b"{}"))
        lose(link)
        self.assertEqual((link.unread, link.reasons), (frames, [CloseReason.SLOW_READER]))

    def test_the_count_begins_anew_when_the_transport_has_sent_all(self) -> None:
        self.context = context(self.clock, max_outgoing=100)
        link = Chatty(self.context)
        opened(link)
        for _ in range(5):
            link.pauseProducing()
            self.assertTrue(link.send_frame(b"x" * 90))
            link.resumeProducing()
        self.assertTrue(link.is_open)

    def test_what_waits_when_the_connection_is_lost_is_offered_too(self) -> None:
        self.link.pauseProducing()
        self.link.send_frame(b"{}")
        lose(self.link)
        self.assertEqual(self.link.unread, [b"{}"])

    def test_a_link_that_keeps_nothing_says_how_much_was_lost(self) -> None:
        log = LogLines(self)
        link = Link(self.context)
        opened(link)
        link.pauseProducing()
        link.send_frame(b"{}")
        link.abort(CloseReason.SLOW_READER)
        self.assertIn(f"{link.name} left 1 frames unread", log.lines)


class CloseTests(LinkTestCase):
    """Once, for one reason."""

    def test_a_socket_is_tuned_when_it_opens(self) -> None:
        self.assertEqual((self.line.no_delay, self.line.keep_alive), (True, True))
        self.assertEqual((self.line.producer, self.line.streaming), (self.link, True))

    def test_closing_writes_what_waits_and_then_closes(self) -> None:
        self.link.pauseProducing()
        self.link.send({"a": 1})
        self.link.close(CloseReason.DONE)
        self.assertEqual(self.line.frames(), [{"a": 1}])
        self.assertEqual((self.line.disconnecting, self.line.producer), (True, None))
        self.assertFalse(self.link.send({"a": 2}))
        self.assertEqual(self.line.writes, [])

    def test_the_first_reason_counts(self) -> None:
        self.link.close(CloseReason.DONE)
        self.link.close(CloseReason.SHUTDOWN)
        self.link.abort(CloseReason.SILENT)
        self.assertFalse(self.line.aborted)
        lose(self.link)
        self.assertEqual(self.link.reasons, [CloseReason.DONE])
        self.assertEqual(self.context.counters.closed, {CloseReason.DONE: 1})

    def test_a_close_that_takes_too_long_is_cut(self) -> None:
        self.link.close(CloseReason.DONE)
        self.clock.advance(1.9)
        self.assertFalse(self.line.aborted)
        self.clock.advance(0.2)
        self.assertTrue(self.line.aborted)

    def test_a_close_in_time_is_not_cut(self) -> None:
        self.link.close(CloseReason.DONE)
        lose(self.link)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_abort_is_at_once_and_once(self) -> None:
        self.link.abort(CloseReason.SILENT)
        self.assertTrue(self.line.aborted)
        self.line.aborted = False
        self.link.abort(CloseReason.SILENT)
        self.assertFalse(self.line.aborted)

    def test_a_connection_that_just_ends_is_lost(self) -> None:
        lose(self.link)
        self.assertEqual(self.link.reasons, [CloseReason.LOST])
        self.assertEqual(self.context.counters.links_open, 0)

    def test_reasons_that_follow_an_answer_read_on_for_a_moment(self) -> None:
        for reason in CloseReason:
            link = Chatty(self.context)
            line = opened(link)
            link.dataReceived(message("later"))
            link.close(reason)
            self.assertEqual((line.half_closed, line.disconnecting), (reason in LINGER, reason not in LINGER))
            if reason in LINGER:
                self.assertEqual(line.producerState, "producing")

    def test_whoever_waits_for_the_end_hears_of_it_whatever_breaks(self) -> None:
        class Breaking(Chatty):
            def closed(self, reason: CloseReason) -> None:
                raise Broken

        gone: list[Link] = []
        link = Breaking(self.context)
        link.on_gone = gone.append
        opened(link)
        self.assertRaises(Broken, lose, link)
        self.assertEqual(gone, [link])

    def test_the_other_end_s_address_is_known(self) -> None:
        self.assertEqual(self.link.host, "192.168.1.1")
        self.assertIsInstance(self.line, Line)
