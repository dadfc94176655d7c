# SPDX-License-Identifier: MIT
"""Invitations: what makes one good, and that nothing else does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.accounts import Invitation
from xjrelay.security.invitations import MAX_COUNT, PURPOSE, InvitationError, check, invite
from xjrelay.security.secret import ClusterSecret

KEY, OTHER = b"k" * 32, b"o" * 32


def code(key: bytes = KEY, count: int = 5, expires: float = 1000.5) -> str:
    return invite(key, count, expires, lambda size: b"n" * size)


class InvitationTests(SynchronousTestCase):
    """Made with a key, checked with it."""

    def refused(self, text: object, keys: list[bytes] | None = None, now: float = 0) -> str:
        error = self.assertRaises(InvitationError, check, keys or [KEY], text, now)
        self.assertEqual((error.code, error.close), (403, None))
        return str(error.msg)

    def test_what_was_put_in_comes_out(self) -> None:
        self.assertEqual(check([KEY], code(), 999), Invitation(b"n" * 9, 5, 1_000_000))

    def test_it_is_short_and_can_stand_in_a_link_or_on_a_command_line(self) -> None:
        self.assertRegex(invite(KEY, 1, 10), r"^A[A-Za-z0-9_-]{42}$")

    def test_two_keys_are_accepted_while_a_secret_is_changed(self) -> None:
        for key in (KEY, OTHER):
            self.assertEqual(check([KEY, OTHER], code(key), 0).most, 5)
        self.assertEqual(self.refused(code(OTHER)), "the invitation is wrong")

    def test_it_expires(self) -> None:
        self.assertEqual(self.refused(code(), now=1000), "the invitation has expired")

    def test_none_is_refused(self) -> None:
        for nothing in (None, "", 5):
            self.assertEqual(self.refused(nothing), "an invitation is needed")

    def test_every_character_counts(self) -> None:
        good = code()
        for index, char in enumerate(good):
            self.refused(good[:index] + ("B" if char == "A" else "A") + good[index + 1 :])
        for text in (good[:-1], good + "A", good + "=", "é" * 43, "A" * 43, "=" * 43):
            self.refused(text)

    @given(st.text(max_size=60))
    def test_no_text_is_an_invitation(self, text: str) -> None:
        self.assertRaises(InvitationError, check, [KEY], text, 0)

    def test_what_can_not_be_said_is_not_made(self) -> None:
        for count, expires in ((0, 10), (MAX_COUNT + 1, 10), (1, 0), (1, 2**32)):
            self.assertRaises(ValueError, invite, KEY, count, expires)

    def test_the_key_is_the_secret_s_and_tells_nothing_of_it(self) -> None:
        one, two = (
            ClusterSecret("a-secret-for-tests"),
            ClusterSecret("another-secret-here", "a-secret-for-tests"),
        )
        [key] = one.keys(PURPOSE)
        self.assertEqual((len(key), two.keys(PURPOSE)[1]), (32, key))
        self.assertNotEqual(one.keys("something else"), [key])
        self.assertNotIn(b"secret", key)
