# SPDX-License-Identifier: MIT
"""Operators' tokens: what they are for, until when, and that the file holds nothing one could use."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.security.admission import (
    DAY,
    REMEMBERED,
    SCOPES,
    TokenBook,
    TokenRefused,
    issue,
    listed,
    revoke,
)
from xjrelay.security.private import PrivateFileError

NOW = 1_800_000_000.0


class TokenTests(SynchronousTestCase):
    """One file."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "admin-tokens.json"
        self.now = NOW
        self.book = TokenBook(self.path, lambda: self.now)

    def refusal(self, text: str) -> str:
        return str(self.assertRaises(TokenRefused, self.book.check, text))

    def test_a_token_is_good_for_its_scopes_until_it_ends(self) -> None:
        text, token = issue(self.path, ["read", "keys", "read"], 2, NOW, "esa's")
        self.assertEqual(self.book.check(text), token)
        self.assertEqual(
            (token.scopes, token.note, token.expires), (["keys", "read"], "esa's", NOW + 2 * DAY)
        )
        self.now = token.expires - 0.1
        self.book.check(text)
        self.now = token.expires
        self.assertEqual(self.refusal(text), "expired token")

    def test_the_file_holds_nothing_that_opens_anything(self) -> None:
        text, token = issue(self.path, SCOPES, 1, NOW)
        content = self.path.read_text()
        self.assertNotIn(text.rpartition("_")[2], content)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        for other in (
            f"xja1_{token.id}_{token.hash}",
            f"xja1_{token.id}_",
            text[:-1],
            text + "0",
            text.upper(),
        ):
            self.refusal(other)

    def test_what_is_no_token(self) -> None:
        issue(self.path, ["read"], 1, NOW)
        for text in ("", "x", "xja1", "xja1_", "xja1__", "xja1_00000000_x", "xja2_00000000_x", "xja1_\xff_x"):
            self.refusal(text)

    def test_an_id_that_was_said_is_told(self) -> None:
        error = self.assertRaises(TokenRefused, self.book.check, "xja1_0badcafe_00")
        self.assertEqual(error.id, "0badcafe")

    def test_a_revoked_one_is_refused_at_once_and_the_others_are_not(self) -> None:
        (first, token), (second, _) = issue(self.path, ["read"], 1, NOW), issue(self.path, ["read"], 1, NOW)
        self.book.check(first)
        self.assertTrue(revoke(self.path, token.id))
        self.assertEqual(self.refusal(first), "unknown or revoked token")
        self.book.check(second)
        self.assertFalse(revoke(self.path, token.id))

    def test_one_that_ended_is_forgotten_some_day(self) -> None:
        issue(self.path, ["read"], 1, NOW)
        issue(self.path, ["read"], 1, NOW + DAY + REMEMBERED - 1)
        self.assertEqual(len(listed(self.path)), 2)
        issue(self.path, ["read"], 1, NOW + DAY + REMEMBERED)
        self.assertEqual(len(listed(self.path)), 2)

    def test_scopes_and_days_that_are_none(self) -> None:
        for scopes, days in (
            ([], 1),
            (["all"], 1),
            (["read"], 0),
            (["read"], -1),
            (["read"], 3651),
            (["read"], float("nan")),
        ):
            self.assertRaises(ValueError, issue, self.path, scopes, days, NOW)
        self.assertEqual(listed(self.path), [])

    def test_a_file_that_is_of_no_use_lets_nobody_in(self) -> None:
        text, _ = issue(self.path, ["read"], 1, NOW)
        good = self.path.read_bytes()
        for content in (b"", b"{}", b"[]", b'{"tokens": 1}', b'{"tokens": [{"id": "x"}]}', b"\xff"):
            self.path.write_bytes(content)
            self.assertRaises(PrivateFileError, listed, self.path)
            self.refusal(text)
        self.path.write_bytes(good)
        self.path.chmod(0o644)
        self.assertIn("can be read by others", self.refusal(text))
        self.path.chmod(0o600)
        self.book.check(text)
        self.path.unlink()
        self.refusal(text)

    def test_the_file_is_for_people_too(self) -> None:
        _, token = issue(self.path, ["read"], 1, NOW, "the backup's")
        self.assertEqual(json.loads(self.path.read_text())["tokens"][0]["note"], "the backup's")
        self.assertIn(token.id, self.path.read_text())
