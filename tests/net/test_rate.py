# SPDX-License-Identifier: MIT
"""Whoever says too much is read more slowly, whoever says nothing is closed."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.net.lines import Chatty, Line, context, message, opened
from xjrelay.net.protocol import Link
from xjrelay.wire.errors import CloseReason


class Metered(Chatty):
    """A stranger's link."""

    metered = True


class RateCase(SynchronousTestCase):
    """Ten stanzas and 1,000 bytes a second, two seconds' worth at once."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.context = context(
            self.clock, max_stanzas=10, max_bytes=1000, rate_burst=2, ping_interval=1e6, idle_timeout=1e9
        )
        self.link = Metered(self.context)
        self.line = opened(self.link)
        self.link.established()

    def hear(self, count: int, body: str = "") -> None:
        self.link.dataReceived(message(body) * count)

    @property
    def reads(self) -> bool:
        return self.line.producerState == "producing"


class RateTests(RateCase):
    """A bucket that stops reading."""

    def test_a_burst_is_read_at_once(self) -> None:
        self.hear(15)
        self.assertTrue(self.reads)
        self.assertEqual(self.context.counters.limited["max-stanzas"], 0)

    def test_too_many_stanzas_stop_the_reading_until_they_are_paid(self) -> None:
        self.hear(20, "x")
        self.link.dataReceived(message("") * 5)
        self.assertFalse(self.reads)
        self.clock.advance(0.4)
        self.assertFalse(self.reads)
        self.clock.advance(0.2)
        self.assertTrue(self.reads)
        self.assertEqual(self.context.counters.limited["max-stanzas"], 1)

    def test_nothing_is_dropped(self) -> None:
        self.hear(40, "x")
        self.assertEqual(len(self.link.started), 40)
        self.assertEqual(len(self.line.frames()), 40)

    def test_too_many_bytes_stop_it_too(self) -> None:
        self.hear(1, "x" * 4000)
        self.assertFalse(self.reads)
        self.clock.advance(3)
        self.assertTrue(self.reads)

    def test_what_came_after_the_pause_was_asked_for_is_paid_too(self) -> None:
        self.hear(30)
        self.hear(10)
        self.clock.advance(1.01)
        self.assertFalse(self.reads)
        self.clock.advance(1.01)
        self.assertTrue(self.reads)

    def test_a_pause_and_a_handler_that_takes_time_each_hold_it(self) -> None:
        for finish_first in (True, False):
            self.setUp()
            self.hear(25)
            self.link.dataReceived(message("later"))
            self.assertFalse(self.reads)
            if finish_first:
                self.link.finish()
                self.assertFalse(self.reads, "the debt is still there")
                self.clock.advance(5)
            else:
                self.clock.advance(5)
                self.assertFalse(self.reads, "the handler is still at work")
                self.link.finish()
            self.assertTrue(self.reads)

    def test_in_the_long_run_it_is_the_rate(self) -> None:
        heard = 0
        while self.clock.seconds() < 100:
            if self.reads:
                self.hear(7)
                heard += 7
            self.clock.advance(0.05)
        self.assertLess(abs(heard - 1000), 50)

    def test_a_component_is_held_to_no_rate(self) -> None:
        self.link.unmetered()
        self.hear(1000)
        self.assertTrue(self.reads)
        dialled = Chatty(self.context)
        line = opened(dialled)
        dialled.dataReceived(message("") * 1000)
        self.assertEqual(line.producerState, "producing")

    def test_a_close_while_it_is_slowed_leaves_nothing_behind(self) -> None:
        self.hear(1000)
        self.link.abort(CloseReason.DONE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_last_words_are_read_past_while_it_is_slowed(self) -> None:
        self.hear(1000)
        self.link.close(CloseReason.CONFLICT)  # one of those that linger
        self.assertTrue(self.reads)


class SilenceTests(SynchronousTestCase):
    """Idle, silent, slowed: three things."""

    def link(self, link: type[Link] = Chatty, **limits: float) -> Line:
        self.clock = Clock()
        self.context = context(self.clock, **limits)
        self.one = Metered(self.context) if link is Chatty else link(self.context)
        line = opened(self.one)
        self.one.established()
        return line

    def test_who_never_answered_a_ping_is_closed_when_it_is_idle_for_long(self) -> None:
        line = self.link(idle_timeout=600)
        self.one.must_answer = False
        self.clock.pump([15] * 39)
        self.assertTrue(self.one.is_open)
        self.one.dataReceived(message("here"))
        self.clock.pump([15] * 39)
        self.assertTrue(self.one.is_open)
        self.clock.pump([15] * 5)
        self.assertIs(self.one.close_reason, CloseReason.IDLE)
        self.assertTrue(line.disconnecting)
        self.assertEqual(self.context.counters.limited["idle-timeout"], 1)

    def test_who_is_not_read_is_not_called_silent(self) -> None:
        self.link(max_stanzas=1, rate_burst=1)
        self.one.dataReceived(message("") * 1000 + b'{"half')
        self.clock.pump([15] * 60)
        self.assertTrue(self.one.is_open)
        self.clock.pump([15] * 20)
        self.assertIs(self.one.close_reason, CloseReason.SILENT)
