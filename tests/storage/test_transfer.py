# SPDX-License-Identifier: MIT
"""Out as lines and in again; whatever is wrong changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.storage.test_migrate import schema
from tests.storage.test_released import records, written
from xjrelay.storage.migrate import prepare, steps
from xjrelay.storage.transfer import End, TransferError, encode, export, load, parse


class TransferTests(SynchronousTestCase):
    """From one manager to another."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        newest = len(steps("manager"))
        self.source = written(self.folder, "manager", newest)
        self.target = self.folder / "target.sqlite3"
        self.lines = [encode(record) for record in export(self.source, "xjrelay test", 1234)]

    def values(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def refused(self, values: list[dict[str, Any]]) -> str:
        """The sentence, having seen that nothing came in."""
        prepare(self.target, "manager")
        before = records(self.target)
        lines = [json.dumps(value).encode() for value in values]
        error = self.assertRaises(TransferError, load, self.target, parse(lines))
        self.assertEqual(records(self.target), before)
        return str(error)

    def test_what_goes_out_comes_in(self) -> None:
        counted = load(self.target, parse(self.lines))
        self.assertEqual(counted, End(accounts=2, contacts=2, letters=1, bans=1))
        self.assertEqual(records(self.target), records(self.source))
        self.assertEqual(schema(self.target), schema(self.source))
        self.assertEqual(json.loads(next(iter(map(encode, export(self.target, "", 0)))))["last_session"], 41)

    def test_the_first_line_says_what_it_is(self) -> None:
        head = self.values()[0]
        self.assertEqual(
            head,
            {
                "kind": "xjrelay export",
                "version": 2,
                "made_by": "xjrelay test",
                "made_at": 1234,
                "last_session": 41,
            },
        )

    def test_a_second_time_is_refused(self) -> None:
        load(self.target, parse(self.lines))
        self.assertIn("account 'Esa': there is one of that name", self.refused(self.values()))

    def test_half_a_file_is_refused(self) -> None:
        values = self.values()
        for end in range(len(values)):
            self.assertIn("cut off", self.refused(values[:end]))
        del values[-2]
        self.assertIn("does not hold what its last line counts", self.refused(values))

    def test_lines_out_of_place_are_refused(self) -> None:
        values = self.values()
        self.assertIn("line 1", self.refused(values[1:]))
        self.assertIn("line 2", self.refused([values[0], *values]))
        self.assertIn(f"line {len(values) + 1}", self.refused([*values, values[-1]]))

    def test_a_newer_form_is_refused(self) -> None:
        values = self.values()
        values[0]["version"] = 3
        self.assertIn("version 3", self.refused(values))

    def test_wrong_values_are_refused_with_their_place(self) -> None:
        for number, name, value, words in (
            (2, "username", "a/b", "account 'a/b'"),
            (2, "salt", "!", "line 2"),
            (2, "iterations", 0, "line 2"),
            (2, "surplus", 1, "line 2"),
            (4, "subscription", "none", "line 4"),
            (4, "contact", "nobody", "contact 'nobody' of 'esa'"),
            (4, "subscription", "both", "does not have it in turn"),
            (6, "recipient", "nobody", "letter 'm1'"),
            (6, "frame", "{", "letter 'm1'"),
            (6, "resource", "\x07", "letter 'm1'"),
        ):
            values = self.values()
            values[number - 1][name] = value
            self.assertIn(words, self.refused(values), (number, name))

    def test_what_is_no_json_is_refused(self) -> None:
        for line in (b"", b"[]", b"\xff", b"[" * 100_000):
            self.assertRaises(TransferError, list, parse([self.lines[0], line]))
