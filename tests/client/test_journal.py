# SPDX-License-Identifier: MIT
"""The outbox's file: whatever byte a crash leaves as the last, what was kept before it is there."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.client.errors import OutboxBroken
from xjrelay.client.journal import Had, Journal


def stanza(message_id: str, body: str = "halo", **keys: Any) -> dict[str, Any]:
    return {"stanza": "message", "from": "esa", "to": "fajar", "body": body, "id": message_id, **keys}


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: what a full disk looks like to one file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class JournalTests(SynchronousTestCase):
    """One file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def open(self, user: str = "esa", **options: Any) -> Journal:
        journal = Journal(str(self.path), user, **options)
        self.addCleanup(journal.close)
        return journal

    def again(self, user: str = "esa") -> Journal:
        """After the process's death: another reads a copy, because this one still holds the file."""
        copy = Path(f"{self.path}.copy")
        copy.write_bytes(self.path.read_bytes())
        journal = Journal(str(copy), user)
        journal.close()
        return journal

    def test_a_new_file_is_empty_and_private(self) -> None:
        contents = self.open().contents
        self.assertEqual((contents.unsent, contents.had), ({}, []))
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_what_has_no_outcome_is_there_again_in_order(self) -> None:
        journal = self.open()
        for number in range(4):
            journal.send(stanza(str(number)), 100.0 + number)
        journal.done("1")
        journal.done("1")
        journal.done("never heard of")
        unsent = self.again().contents.unsent
        self.assertEqual(list(unsent), ["0", "2", "3"])
        self.assertEqual(unsent["2"], (stanza("2"), 102.0))

    def test_ids_had_are_there_again_in_order(self) -> None:
        journal = self.open()
        journal.had("fajar", "m1", 1.0)
        journal.had("gita", "m1", 2.0)
        self.assertEqual(self.again().contents.had, [("fajar", "m1", 1.0), ("gita", "m1", 2.0)])

    def test_a_body_may_hold_anything(self) -> None:
        journal = self.open()
        deep: Any = "x"
        for _ in range(31):
            deep = [deep]
        body = 'a\nb\r\u0080\u0081\u0082\u2028 "{}'
        journal.send(stanza("1", body, extra=deep), 1.0)
        self.assertEqual(self.again().contents.unsent["1"][0], stanza("1", body, extra=deep))

    def test_cut_at_any_byte_it_has_what_was_whole(self) -> None:
        journal = self.open()
        sizes = [self.path.stat().st_size]
        for step in range(3):
            journal.send(stanza(f"s{step}", "é"), 1.0)
            sizes.append(self.path.stat().st_size)
            journal.had("fajar", f"h{step}", 2.0)
            sizes.append(self.path.stat().st_size)
        journal.done("s0")
        sizes.append(self.path.stat().st_size)
        data = self.path.read_bytes()
        self.assertEqual(len(data), sizes[-1])
        cut = Path(f"{self.path}.cut")
        for length in range(len(data) + 1):
            cut.write_bytes(data[:length])
            whole = sum(1 for size in sizes[1:] if size <= length)
            cut_journal = Journal(str(cut), "esa")
            sent, had = min((whole + 1) // 2, 3), min(whole // 2, 3)
            expected = [f"s{n}" for n in range(sent) if whole < 7 or n > 0]
            self.assertEqual(list(cut_journal.contents.unsent), expected, length)
            self.assertEqual([one[1] for one in cut_journal.contents.had], [f"h{n}" for n in range(had)])
            # And it goes on from there.
            cut_journal.send(stanza("new"), 3.0)
            cut_journal.close()
            after = Journal(str(cut), "esa")
            self.assertEqual(list(after.contents.unsent), [*expected, "new"], length)
            after.close()

    def test_a_tail_of_nothing_is_cut_off(self) -> None:
        """A file system may have given a file its length and not its last bytes."""
        journal = self.open()
        journal.send(stanza("1"), 1.0)
        whole = self.path.read_bytes()
        for tail in (b"\0" * 50, b"\0" * 50 + b"\n", b'{"done": "1"', b"[]\n", b"\xff\n\n"):
            self.path.write_bytes(whole + tail)
            self.assertEqual(list(self.again().contents.unsent), ["1"], tail)

    def test_damage_before_the_end_is_told(self) -> None:
        journal = self.open()
        journal.send(stanza("1"), 1.0)
        whole = self.path.read_bytes()
        for bad, why in (
            (b"\0\0\n", "line 3 can't be read"),
            (b"{}\n", "line 3 makes no sense"),
            (b'{"send": {"no": "id"}, "at": 1}\n', "line 3 makes no sense"),
            (b'{"send": {"id": "x"}, "at": "noon"}\n', "line 3 makes no sense"),
        ):
            self.path.write_bytes(whole + bad + b'{"done": "1"}\n')
            with self.assertRaises(OutboxBroken) as caught:
                self.again()
            self.assertEqual(str(caught.exception), f"{self.path}.copy is damaged: {why}")

    def test_another_user_s_and_what_is_no_outbox_are_refused(self) -> None:
        self.open()
        with self.assertRaises(OutboxBroken) as caught:
            self.again("fajar")
        self.assertEqual(str(caught.exception), f"{self.path}.copy is esa's outbox, not fajar's")
        self.path.write_bytes(b'{"name": "something else"}\n')
        with self.assertRaises(OutboxBroken) as caught:
            self.again()
        self.assertEqual(str(caught.exception), f"{self.path}.copy is no outbox of this version")

    def test_two_at_a_time_are_refused(self) -> None:
        journal = self.open()
        with self.assertRaises(OutboxBroken) as caught:
            self.open()
        self.assertEqual(str(caught.exception), f"{self.path} is in use by another client")
        journal.close()
        self.open()

    def test_where_there_is_no_folder_it_says_so(self) -> None:
        self.path = self.path / "none" / "outbox"
        with self.assertRaises(OutboxBroken) as caught:
            self.open()
        self.assertEqual(str(caught.exception), f"can't open {self.path}: no such file or directory")

    def test_a_full_disk_refuses_a_message_and_keeps_the_others(self) -> None:
        journal = self.open()
        journal.send(stanza("1"), 1.0)
        size = self.path.stat().st_size
        for room in range(0, 60, 7):
            with at_most(size + room), self.assertRaises(OutboxBroken) as caught:
                journal.send(stanza("2"), 1.0)
            self.assertIn(f"can't write {self.path}: ", str(caught.exception))
            self.assertEqual(self.path.stat().st_size, size)
        journal.send(stanza("3"), 1.0)
        journal.sync()
        self.assertEqual(list(self.again().contents.unsent), ["1", "3"])

    def test_a_disk_that_breaks_refuses_everything_from_then_on(self) -> None:
        journal = self.open()
        real = os.fsync

        def broken(fd: int) -> None:
            raise OSError(5, "Input/output error")

        self.patch(os, "fsync", broken)
        with self.assertRaises(OutboxBroken) as caught:
            journal.sync()
        self.assertEqual(str(caught.exception), f"can't keep {self.path} on disk: input/output error")
        self.patch(os, "fsync", real)
        with self.assertRaises(OutboxBroken):
            journal.send(stanza("1"), 1.0)

    # -- written anew ------------------------------------------------------------------------

    def filled(self) -> Journal:
        had: list[Had] = [("fajar", "m1", 5.0)]
        journal = self.open(had=lambda: had, rewrite_bytes=2000)
        journal.send(stanza("first"), 1.0)
        number = 0
        while not journal.outgrown:
            journal.send(stanza(str(number)), 1.0)
            journal.done(str(number))
            number += 1
        journal.send(stanza("last"), 2.0)
        return journal

    def test_written_anew_it_has_what_still_counts(self) -> None:
        journal = self.filled()
        self.assertGreater(self.path.stat().st_size, 2000)
        journal.rewrite()
        self.assertLess(self.path.stat().st_size, 500)
        self.assertFalse(journal.outgrown)
        journal.send(stanza("after"), 3.0)
        contents = self.again().contents
        self.assertEqual(list(contents.unsent), ["first", "last", "after"])
        self.assertEqual(contents.had, [("fajar", "m1", 5.0)])
        self.assertEqual(set(os.listdir(self.path.parent)), {self.path.name, f"{self.path.name}.copy"})

    def test_the_new_file_is_held_too(self) -> None:
        self.filled().rewrite()
        with self.assertRaises(OutboxBroken):
            self.open()

    def test_one_that_was_replaced_while_it_was_opened_is_not_taken(self) -> None:
        """Between opening the file and locking it another client may have put a new one there, and gone."""
        journal = self.filled()
        real = os.open
        times: list[str] = []

        def slow(path: str, *args: Any) -> int:
            fd = real(path, *args)
            times.append(path)
            if len(times) == 1:
                journal.rewrite()
                journal.close()
            return fd

        self.patch(os, "open", slow)
        self.assertEqual(list(self.open().contents.unsent), ["first", "last"])

    def test_a_rewrite_that_fails_leaves_the_old_one(self) -> None:
        journal = self.filled()
        size = self.path.stat().st_size
        with at_most(100), self.assertRaises(OutboxBroken) as caught:
            journal.rewrite()
        self.assertIn(f"can't write {self.path}.new: ", str(caught.exception))
        self.assertEqual((self.path.stat().st_size, journal.outgrown), (size, False))
        self.assertFalse(Path(f"{self.path}.new").exists())
        journal.done("last")
        self.assertEqual(list(self.again().contents.unsent), ["first"])

    def test_a_rewrite_cut_short_by_a_crash_changes_nothing(self) -> None:
        self.open().send(stanza("1"), 1.0)
        Path(f"{self.path}.copy.new").write_bytes(b'{"format": ')
        self.assertEqual(list(self.again().contents.unsent), ["1"])
