# SPDX-License-Identifier: MIT
"""Names and passwords refused, and whose login is live."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.accounts import (
    ALREADY_LOGGED_IN,
    MAX_PASSWORD,
    LiveLogins,
    check_name,
    check_new_name,
    check_password,
)
from xjrelay.wire.address import RESERVED
from xjrelay.wire.errors import Code, RemoteError


class Names(SynchronousTestCase):
    """What an account may be called."""

    def test_a_key_and_a_spelling(self) -> None:
        self.assertEqual(check_new_name("Esa"), ("esa", "Esa"))
        self.assertEqual(check_name("ESA"), "esa")

    def test_refused_names(self) -> None:
        for name in ("", " ", "e sa", "esa\t", "a/b", "a@b", "x" * 65, "a\x00"):
            for check in (check_name, check_new_name):
                error = self.assertRaises(RemoteError, check, name)
                self.assertEqual(error.code, Code.BAD_REQUEST, name)

    def test_reserved_names_can_not_be_registered(self) -> None:
        for name in sorted(RESERVED):
            error = self.assertRaises(RemoteError, check_new_name, name.upper())
            self.assertEqual(error.code, Code.CONFLICT)


class Passwords(SynchronousTestCase):
    """What a password may be."""

    def test_accepted(self) -> None:
        for password in ("x", "correct-horse", "pässwörd", "x" * MAX_PASSWORD):
            check_password(password)

    def test_refused(self) -> None:
        for password in ("", " ", "a b", "a\n", "a\u00a0b", "a\x00", "\ud800", "x" * (MAX_PASSWORD + 1)):
            error = self.assertRaises(RemoteError, check_password, password)
            self.assertEqual(error.code, Code.BAD_REQUEST, password)


class Live(SynchronousTestCase):
    """One live link an account and resource."""

    def setUp(self) -> None:
        self.live: LiveLogins[str] = LiveLogins()

    def test_a_second_login_is_refused(self) -> None:
        self.assertIsNone(self.live.claim("esa", "", "one"))
        error = self.assertRaises(RemoteError, self.live.claim, "esa", "", "two")
        self.assertEqual((error.code, error.msg), (Code.CONFLICT, ALREADY_LOGGED_IN))
        self.assertEqual(self.live.links("esa"), ["one"])

    def test_another_resource_is_another_login(self) -> None:
        self.live.claim("esa", "", "one")
        self.assertIsNone(self.live.claim("esa", "phone", "two"))
        self.assertEqual(self.live.links("esa"), ["one", "two"])
        self.assertEqual(self.live.items("esa"), [("", "one"), ("phone", "two")])
        self.assertEqual(len(self.live), 1)

    def test_replacing_names_the_older_link_which_then_frees_nothing(self) -> None:
        self.live.claim("esa", "", "one")
        self.assertEqual(self.live.claim("esa", "", "two", replace=True), "one")
        self.assertFalse(self.live.release("esa", "", "one"))
        self.assertIn("esa", self.live)
        self.assertTrue(self.live.release("esa", "", "two"))
        self.assertNotIn("esa", self.live)
        self.assertEqual(len(self.live), 0)

    def test_a_refused_claim_leaves_no_trace(self) -> None:
        self.assertFalse(self.live.release("nobody", "", "one"))
        self.assertEqual(self.live.links("nobody"), [])
        self.assertIsNone(self.live.claim("esa", "", "one"))
        self.assertIsNone(self.live.claim("esa", "", "one"))
