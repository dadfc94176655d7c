# SPDX-License-Identifier: MIT
"""A log in which nothing goes unseen: every entry changed, removed, moved, added, or cut off."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.audit import GENESIS, MAX_PROBLEMS, Head, read, seal, verify

COUNT = 6


def written(count: int = COUNT) -> tuple[list[bytes], list[Head]]:
    """A log, and its head after each entry."""
    lines, heads = [], [Head()]
    for number in range(count):
        line, head = seal({"at": 1000 + number, "act": "ban", "args": {"user": "és a"}}, heads[-1])
        lines.append(line)
        heads.append(head)
    return lines, heads


class VerifyTests(SynchronousTestCase):
    """What is found, and where."""

    def setUp(self) -> None:
        self.lines, self.heads = written()
        self.kept = self.heads[-1]

    def found(self, lines: list[bytes], kept: Head | None = None, expected: Head | None = None) -> str:
        return "\n".join(verify(lines, kept or self.kept, expected).problems)

    def test_a_log_as_it_was_written_is_whole(self) -> None:
        verdict = verify(self.lines, self.kept)
        self.assertEqual((verdict.problems, verdict.entries, verdict.head), ([], COUNT, self.kept))
        self.assertEqual(verify([], Head()).problems, [])
        self.assertEqual(verify([], None).problems, [])
        self.assertEqual(json.loads(self.lines[0])["before"], GENESIS)

    def test_every_byte_of_every_entry_counts(self) -> None:
        for place, line in enumerate(self.lines):
            for at in range(len(line)):
                changed = [*self.lines]
                changed[place] = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
                self.assertIn(f"line {place + 1}", self.found(changed), changed[place])

    def test_an_entry_written_anew_with_a_right_hash_breaks_the_next(self) -> None:
        for place in range(COUNT - 1):
            forged, _ = seal({"act": "nothing"}, self.heads[place])
            found = self.found([*self.lines[:place], forged, *self.lines[place + 1 :]])
            self.assertIn(f"line {place + 2}: entry {place + 2} does not follow", found)

    def test_the_last_written_anew_is_not_the_one_that_was_kept(self) -> None:
        forged, _ = seal({"act": "nothing"}, self.heads[-2])
        self.assertIn("another entry 6", self.found([*self.lines[:-1], forged]))

    def test_each_removed_is_missed_by_its_number(self) -> None:
        for place in range(COUNT):
            found = self.found([*self.lines[:place], *self.lines[place + 1 :]])
            self.assertIn(f"entry {place + 1} is missing", found)
        self.assertIn("entries 3 to 5 are missing", self.found([*self.lines[:2], self.lines[-1]]))

    def test_two_that_changed_places(self) -> None:
        for place in range(COUNT - 1):
            moved = [*self.lines]
            moved[place : place + 2] = moved[place + 1], moved[place]
            self.assertIn("out of order", self.found(moved))

    def test_one_that_is_there_twice(self) -> None:
        self.assertIn("out of order, or there twice", self.found([*self.lines, self.lines[-1]]))

    def test_an_end_that_was_cut_off_is_missed_because_it_was_kept(self) -> None:
        for left in range(COUNT):
            self.assertIn(f"{COUNT} ", self.found(self.lines[:left]) + " ")
        self.assertIn("entries 1 to 6 are missing", self.found([]))

    def test_a_line_cut_in_its_middle(self) -> None:
        self.assertIn("line 6: changed", self.found([*self.lines[:-1], self.lines[-1][:-1]]))

    def test_one_more_than_was_kept_is_a_crash_and_two_are_not(self) -> None:
        self.assertEqual(self.found(self.lines, self.heads[-2]), "")
        self.assertIn("2 entries more than were kept", self.found(self.lines, self.heads[-3]))

    def test_a_head_that_is_not_there_is_said(self) -> None:
        self.assertEqual(len(verify(self.lines, None).problems), 1)

    def test_another_history_is_found_by_a_head_noted_elsewhere(self) -> None:
        """Whoever can write log and head can write both anew; not what stands in somebody's notes."""
        noted = self.heads[4]
        lines, head = [], Head()
        for _ in range(COUNT):
            line, head = seal({"act": "nothing"}, head)
            lines.append(line)
        self.assertEqual(verify(lines, head).problems, [])
        self.assertIn("another entry 4", self.found(lines, head, noted))
        self.assertIn("entry 4 is missing", self.found(lines[:3], Head(3, read(lines[2])[1].hash), noted))  # type: ignore[index]
        self.assertEqual(self.found(self.lines, None, noted), "")

    def test_many_problems_are_not_all_told(self) -> None:
        self.assertEqual(len(verify([b"x\n"] * 100, None).problems), MAX_PROBLEMS + 1)

    def test_what_is_no_entry_at_all(self) -> None:
        for line in (
            b"",
            b"\n",
            b"1\n",
            b"[]\n",
            b"{}\n",
            b"\xff\n",
            b'{"n":"1","hash":"x"}\n',
            b"[" * 9999 + b"\n",
        ):
            self.assertIsNone(read(line))


class HeadTests(SynchronousTestCase):
    """As it is kept, and as a person notes it."""

    def test_it_is_read_as_it_was_written(self) -> None:
        head = written(3)[1][-1]
        self.assertEqual(Head.parse(f" {head}\n"), head)
        self.assertEqual(Head.parse(str(Head())), Head())

    def test_anything_else_is_refused(self) -> None:
        for text in (
            "",
            "3",
            "3:",
            ":" + GENESIS,
            "x:" + GENESIS,
            "3:" + "g" * 64,
            "3:" + "0" * 63,
            "-1:" + GENESIS,
        ):
            self.assertRaises(ValueError, Head.parse, text)
