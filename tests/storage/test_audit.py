# SPDX-License-Identifier: MIT
"""The audit log's file: what is written is on the disk, what a crash left is taken up, a cut stays one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.storage import audit
from xjrelay.storage.audit import FileAudit, append, check, entries
from xjrelay.storage.interfaces import StoreBusy, StoreError, StoreFailed


class FileTests(SynchronousTestCase):
    """One folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.log, self.head = self.folder / "audit.log", self.folder / "audit.log.head"

    def write(self, count: int = 3) -> None:
        for number in range(count):
            append(self.folder, {"act": f"act {number}"})

    def test_entries_are_there_and_only_their_owner_reads_them(self) -> None:
        self.write()
        self.assertEqual([one["act"] for one in entries(self.folder, 2)], ["act 1", "act 2"])
        self.assertEqual(check(self.folder).problems, [])
        self.assertEqual({oct(path.stat().st_mode & 0o777) for path in self.folder.iterdir()}, {"0o600"})
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"audit.log", "audit.log.head"})

    def test_nothing_yet_is_whole(self) -> None:
        self.assertEqual((check(self.folder).problems, entries(self.folder, 9)), ([], []))

    def test_a_log_that_was_cut_stays_cut(self) -> None:
        self.write()
        lines = self.log.read_bytes().splitlines(keepends=True)
        self.log.write_bytes(b"".join(lines[:1]))
        self.assertEqual(check(self.folder).problems, ["at the end: entries 2 to 3 are missing"])
        self.assertEqual(append(self.folder, {"act": "later"}), 4)
        self.assertEqual(check(self.folder).problems, ["line 2: entries 2 to 3 are missing before it"])

    def test_a_log_that_was_removed_is_missed(self) -> None:
        self.write()
        self.log.unlink()
        self.assertEqual(append(self.folder, {"act": "later"}), 4)
        self.assertEqual(check(self.folder).problems, ["line 1: entries 1 to 3 are missing before it"])

    def test_one_written_and_not_yet_kept_is_taken_up(self) -> None:
        self.write(2)
        before = self.head.read_bytes()
        self.write(1)
        self.head.write_bytes(before)
        self.assertEqual(check(self.folder).problems, [])
        self.assertEqual(append(self.folder, {"act": "later"}), 4)
        self.assertEqual(check(self.folder).problems, [])

    def test_a_head_that_was_removed_is_said_and_made_again(self) -> None:
        self.write()
        self.head.unlink()
        self.assertEqual(len(check(self.folder).problems), 1)
        self.assertEqual(append(self.folder, {"act": "later"}), 4)
        self.assertEqual(check(self.folder).problems, [])

    def test_half_an_entry_that_a_crash_left_is_removed(self) -> None:
        self.write(2)
        whole = self.log.read_bytes()
        for left in (b"{", b'{"n":3,"act":"x"', whole.splitlines()[0]):
            self.log.write_bytes(whole + left)
            append(self.folder, {"act": "later"})
            self.assertEqual(check(self.folder).problems, [])
            whole = self.log.read_bytes()

    def test_an_entry_cut_in_half_that_was_kept_is_missed(self) -> None:
        self.write()
        self.log.write_bytes(self.log.read_bytes()[:-5])
        append(self.folder, {"act": "later"})
        self.assertEqual(check(self.folder).problems, ["line 3: entry 3 is missing before it"])

    def test_a_disk_that_takes_nothing(self) -> None:
        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.write(1)
        with mock.patch.object(os, "fsync", full), self.assertRaises(StoreFailed) as caught:
            append(self.folder, {"act": "x"})
        self.assertIn("No space left", str(caught.exception))
        append(self.folder, {"act": "later"})
        self.assertEqual(check(self.folder).problems, [])

    def test_a_folder_that_is_not_there(self) -> None:
        gone = self.folder / "gone"
        self.assertRaises(StoreFailed, append, gone, {"act": "x"})
        self.assertRaises(StoreError, check, gone)
        self.assertRaises(StoreError, entries, gone, 1)

    def test_a_head_that_is_none(self) -> None:
        self.write(1)
        self.head.write_text("rubbish\n")
        self.assertRaises(StoreError, check, self.folder)
        self.assertRaises(StoreFailed, append, self.folder, {"act": "x"})


class QueueTests(SynchronousTestCase):
    """Before the file: one entry at a time, and so many at most."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_fires_with_the_entry_s_number(self) -> None:
        log = FileAudit(self.folder, execute)
        self.assertEqual([self.successResultOf(log.append({"act": "x"})) for _ in range(2)], [1, 2])
        self.assertEqual(json.loads((self.folder / "audit.log").read_text().splitlines()[1])["n"], 2)

    def test_what_waits_is_bounded(self) -> None:
        gates: list[Deferred[Any]] = []

        def in_thread(work: Any, *args: Any) -> Deferred[Any]:
            gates.append(Deferred())
            return gates[-1].addCallback(lambda _: work(*args))

        self.patch(audit, "MAX_WAITING", 2)
        log = FileAudit(self.folder, in_thread)
        waiting = [log.append({"act": str(number)}) for number in range(3)]
        self.failureResultOf(log.append({"act": "one too many"}), StoreBusy)
        for number, one in enumerate(waiting, 1):
            gates[-1].callback(None)
            self.assertEqual(self.successResultOf(one), number)
