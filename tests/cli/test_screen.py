# SPDX-License-Identifier: MIT
"""What reaches a terminal."""

from __future__ import annotations

import io
import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli.screen import Screen, safe, table
from xjrelay.cli.talk import as_value, in_words, why_failed
from xjrelay.client.model import Contact, Event, LinkState, Message, Notice, Presence, Receipt, RosterChange


class SafeTests(SynchronousTestCase):
    """A stranger's text does nothing but be read."""

    def test_what_a_terminal_obeys_is_spelt_out(self) -> None:
        self.assertEqual(safe("a\x1b[2Jb\x07"), "a\\x1b[2Jb\\x07")
        self.assertEqual(safe("a\nb\tc\r"), "a\\nb\\tc\\r")
        self.assertEqual(safe("\u202egnp"), "\\u202egnp")  # would turn the line round
        self.assertEqual(safe("\x9b31m"), "\\x9b31m")  # the one-byte form of the same
        self.assertEqual(safe("\ud800"), "\\ud800")

    def test_what_people_write_is_left_alone(self) -> None:
        for text in ("halo, apa kabar?", "Grüße", "日本語", "👩\u200d👧", "می\u200cخواهم"):
            self.assertEqual(safe(text), text)

    @given(st.text())
    def test_nothing_that_controls_is_left(self, text: str) -> None:
        shown = safe(text)
        self.assertTrue(all(char.isprintable() or char in "\u200c\u200d" for char in shown))
        shown.encode()

    def test_every_event_is_shown_safely(self) -> None:
        bad = "x\x1b]0;y\x07"
        events: list[Event] = [
            Message(from_=bad, to="esa", body=bad),
            Presence(bad, True, bad, bad, bad),
            RosterChange(Contact(bad, bad)),
            LinkState("relay", True, bad),
            Notice("manager", 400, bad),
        ]
        for event in events:
            self.assertEqual(in_words(event).count("\x1b"), 0)
            self.assertEqual(in_words(event).count("\x07"), 0)


class ScreenTests(SynchronousTestCase):
    """Words for people, objects for scripts."""

    def setUp(self) -> None:
        self.out, self.errors = io.StringIO(), io.StringIO()

    def test_words(self) -> None:
        screen = Screen(False, self.out, self.errors)
        screen.show("delivered", id="1")
        screen.note("by the way")
        screen.error("no\x1b")
        self.assertEqual(self.out.getvalue(), "delivered\nby the way\n")
        self.assertEqual(self.errors.getvalue(), "xj: no\\x1b\n")

    def test_one_object_a_line(self) -> None:
        screen = Screen(True, self.out, self.errors)
        screen.show("delivered", **as_value(Message(from_="fajar", to="esa", body="a\nb\x9b")))
        screen.note("by the way")
        (line,) = self.out.getvalue().splitlines()
        value = json.loads(line)
        self.assertEqual((value["event"], value["from"], value["body"]), ("message", "fajar", "a\nb\x9b"))
        self.assertTrue(line.isascii())

    def test_columns(self) -> None:
        self.assertEqual(table([["A", "B"], ["long", "x"]]), "A     B\nlong  x")

    def test_why_a_message_failed(self) -> None:
        self.assertIn("no user fajar", why_failed(Receipt("1", "failed", 404), "fajar"))
        self.assertIn("mailbox of fajar", why_failed(Receipt("1", "failed", 507), "fajar"))
        self.assertIn("403", why_failed(Receipt("1", "failed", 403), "fajar"))
