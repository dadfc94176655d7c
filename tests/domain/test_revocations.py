# SPDX-License-Identifier: MIT
"""What was revoked stays revoked while a token of it may be about."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.revocations import Revocations


class RevocationsTests(SynchronousTestCase):
    """One memory of 100 s."""

    def setUp(self) -> None:
        self.revoked = Revocations(100.0)

    def test_a_revocation_covers_its_number_and_those_before(self) -> None:
        self.revoked.add("esa", "phone", 5, 0.0)
        numbers = [self.revoked.covers("esa", "phone", number, 1.0) for number in (4, 5, 6)]
        self.assertEqual(numbers, [True, True, False])

    def test_it_covers_one_device_or_all(self) -> None:
        self.revoked.add("esa", "phone", 5, 0.0)
        self.revoked.add("fajar", None, 5, 0.0)
        self.assertFalse(self.revoked.covers("esa", "desk", 5, 1.0))
        self.assertFalse(self.revoked.covers("esa", "", 5, 1.0))
        self.assertTrue(self.revoked.covers("fajar", "desk", 5, 1.0))
        self.assertTrue(self.revoked.covers("fajar", "", 5, 1.0))

    def test_a_lower_one_does_not_lift_a_higher_one(self) -> None:
        self.revoked.add("esa", None, 5, 0.0)
        self.revoked.add("esa", None, 3, 1.0)
        self.assertTrue(self.revoked.covers("esa", "", 5, 2.0))

    def test_it_is_forgotten_in_time_and_takes_no_room(self) -> None:
        self.revoked.add("esa", None, 5, 0.0)
        self.assertFalse(self.revoked.covers("esa", "", 5, 100.0))
        self.revoked.add("fajar", None, 5, 100.0)
        self.assertEqual(len(self.revoked), 1)
