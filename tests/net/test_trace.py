# SPDX-License-Identifier: MIT
"""What is remembered of messages, and how much of it."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.net.trace import IN_A_ROW, Note, Trace


class TraceTests(SynchronousTestCase):
    """On a clock of its own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.trace = Trace(self.clock.seconds, 10, a_second=1000)

    def test_a_message_is_found_among_those_said_with_it(self) -> None:
        self.clock.advance(5.0)
        self.trace.note("accepted", "esa", "fajar", ["a", "b"], "relay2")
        self.trace.note("delivered", "esa", "", ["a"], "")
        self.assertEqual(
            self.trace.find("a"),
            [
                Note(5.0, "accepted", "esa", "fajar", ["a", "b"], "relay2"),
                Note(5.0, "delivered", "esa", "", ["a"], ""),
            ],
        )
        self.assertEqual(self.trace.find("c"), [])

    def test_the_oldest_are_forgotten(self) -> None:
        for number in range(6):
            self.trace.note("accepted", "esa", "fajar", [f"{number}a", f"{number}b"], "")
        self.assertEqual(len(self.trace), 10)
        self.assertEqual(self.trace.find("0a"), [])
        self.assertEqual(len(self.trace.find("1a")), 1)

    def test_no_more_in_a_second_than_is_kept_at_all(self) -> None:
        trace = Trace(self.clock.seconds, 4)
        for message_id in "abcdef":
            trace.note("accepted", "esa", "fajar", [message_id], "")
        trace.note_one("arrived", "esa", "fajar", "g", "relay1")
        self.assertEqual([len(trace.find(one)) for one in "def"], [2, 0, 0])
        self.assertEqual(trace.find("d")[1], Note(0.0, "passed over", "", "", (), "3"))
        self.clock.advance(1.0)
        trace.note("delivered", "esa", "", ["d"], "")
        trace.note("delivered", "esa", "", ["e"], "")
        self.assertEqual([one.event for one in trace.find("d")], ["accepted", "passed over", "delivered"])
        self.assertEqual([one.event for one in trace.find("e")], ["delivered"])
        self.assertEqual(len(trace), 4)

    def test_in_a_row_no_more_are_remembered_either(self) -> None:
        trace = Trace(self.clock.seconds, 3)
        for message_id in "abcdef":
            trace.note_one("arrived", "esa", "fajar", message_id, "relay1")
        self.assertEqual([list(one.ids) for one in trace.find("a")], [["a", "b", "c"], []])
        self.assertEqual(trace.find("c")[1].where, "3")

    def test_whoever_is_told_of_each_passes_over_none(self) -> None:
        trace, told = Trace(self.clock.seconds, 2), list[Note]()
        trace.on_note = told.append
        for message_id in "abcd":
            trace.note("accepted", "esa", "fajar", [message_id], "")
        self.assertEqual([one.ids for one in told], [["a"], ["b"], ["c"], ["d"]])
        self.assertEqual([one.event for one in trace.find("d")], ["accepted"])

    def test_what_is_said_in_a_row_is_one_event(self) -> None:
        for message_id in "abc":
            self.trace.note_one("arrived", "esa", "fajar", message_id, "relay1")
        self.trace.note_one("arrived", "esa", "gita", "d", "relay1")
        self.clock.advance(IN_A_ROW)
        self.trace.note_one("arrived", "esa", "gita", "e", "relay1")
        events = [list(self.trace.find(one)[0].ids) for one in "bde"]
        self.assertEqual(events, [["a", "b", "c"], ["d"], ["e"]])
        self.assertEqual(len(self.trace), 5)

    def test_nothing_joins_what_is_forgotten(self) -> None:
        for most in (0, 1, 2):
            trace = Trace(self.clock.seconds, most, a_second=1000)
            for number in range(9):
                trace.note_one("arrived", "esa", "fajar", str(number), "relay1")
                self.assertLessEqual(len(trace), most)
            self.assertEqual(len(trace), sum(len(trace.find(str(number))) for number in range(9)))

    def test_whoever_wants_each_event_gets_each(self) -> None:
        told: list[Note] = []
        self.trace.on_note = told.append
        for message_id in "ab":
            self.trace.note_one("arrived", "esa", "fajar", message_id, "relay1")
        self.assertEqual([note.ids for note in told], [["a"], ["b"]])
