# SPDX-License-Identifier: MIT
"""What contacts see of a user with several devices."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.mailbox import Reach
from xjrelay.domain.presence import Availability, Change, Presence, PresenceBoard

HERE = Availability()
AWAY = Availability(show="away", status="lunch")


class Board(SynchronousTestCase):
    """Coming, changing, going."""

    def setUp(self) -> None:
        self.board = PresenceBoard()

    def test_a_user_comes_and_goes(self) -> None:
        self.assertIsNone(self.board.shown("esa"))
        self.assertIs(self.board.appear("esa", "", HERE), Change.CAME)
        self.assertEqual(self.board.shown("esa"), HERE)
        self.assertEqual(len(self.board), 1)
        self.assertIs(self.board.vanish("esa", ""), Change.WENT)
        self.assertIsNone(self.board.shown("esa"))
        self.assertEqual(len(self.board), 0)

    def test_saying_it_again_is_a_change(self) -> None:
        self.board.appear("esa", "", HERE)
        self.assertIs(self.board.appear("esa", "", HERE), Change.CHANGED)

    def test_the_latest_device_is_the_one_shown(self) -> None:
        self.board.appear("esa", "desk", HERE)
        self.board.appear("esa", "phone", AWAY)
        self.assertEqual(self.board.shown("esa"), AWAY)
        self.board.appear("esa", "desk", HERE)
        self.assertEqual(self.board.shown("esa"), HERE)
        self.assertIs(self.board.vanish("esa", "phone"), Change.NOTHING)
        self.assertIs(self.board.vanish("esa", "desk"), Change.WENT)

    def test_the_device_shown_goes_and_another_remains(self) -> None:
        self.board.appear("esa", "desk", HERE)
        self.board.appear("esa", "phone", AWAY)
        self.assertIs(self.board.vanish("esa", "phone"), Change.CHANGED)
        self.assertEqual(self.board.shown("esa"), HERE)

    def test_one_who_never_came_can_not_go(self) -> None:
        self.assertIs(self.board.vanish("esa", ""), Change.NOTHING)
        self.assertFalse(self.board.available("esa", ""))

    def test_availability_is_a_devices_own(self) -> None:
        self.board.appear("esa", "desk", HERE)
        self.assertTrue(self.board.available("esa", "desk"))
        self.assertFalse(self.board.available("esa", "phone"))


class Value(SynchronousTestCase):
    """The wire's 1 and 0."""

    def test_online(self) -> None:
        self.assertEqual(Presence("esa", "", 0).online, 0)
        self.assertEqual(Presence("esa", "", 0, HERE).online, 1)


class Reached(SynchronousTestCase):
    """Who says that it is there, and can't be reached."""

    def setUp(self) -> None:
        self.board = PresenceBoard()
        self.board.appear("esa", "", HERE)

    def test_a_session_lost_found_and_given_up(self) -> None:
        for reach, change, shown, resuming in (
            (Reach.HERE, Change.NOTHING, HERE, False),
            (Reach.RESUMING, Change.CHANGED, HERE, True),
            (Reach.RESUMING, Change.NOTHING, HERE, True),
            (Reach.HERE, Change.CHANGED, HERE, False),
            (Reach.RESUMING, Change.CHANGED, HERE, True),
            (Reach.NOWHERE, Change.WENT, None, False),
            (Reach.HERE, Change.CAME, HERE, False),
        ):
            self.assertIs(self.board.reached("esa", "", reach), change)
            self.assertEqual((self.board.shown("esa"), self.board.resuming("esa")), (shown, resuming))

    def test_a_device_that_can_be_reached_is_shown_before_one_that_may_be_back(self) -> None:
        self.board.appear("esa", "phone", AWAY)
        self.assertIs(self.board.reached("esa", "phone", Reach.RESUMING), Change.CHANGED)
        self.assertEqual((self.board.shown("esa"), self.board.resuming("esa")), (HERE, False))
        self.assertIs(self.board.reached("esa", "", Reach.NOWHERE), Change.CHANGED)
        self.assertEqual((self.board.shown("esa"), self.board.resuming("esa")), (AWAY, True))

    def test_sessions_reported_before_their_user_says_that_it_is_there(self) -> None:
        self.assertIs(self.board.reached("fajar", "", Reach.RESUMING), Change.NOTHING)
        self.board.appear("fajar", "", HERE)
        self.assertTrue(self.board.resuming("fajar"))
        self.board.reached("gita", "", Reach.HERE)
        self.assertIs(self.board.reached("gita", "", Reach.NOWHERE), Change.NOTHING)
        self.board.appear("gita", "", HERE)
        self.assertEqual(self.board.shown("gita"), HERE)

    def test_one_that_was_not_shown_any_more_goes_unnoticed_and_begins_anew(self) -> None:
        self.board.reached("esa", "", Reach.HERE)
        self.board.reached("esa", "", Reach.NOWHERE)
        self.assertIs(self.board.vanish("esa", ""), Change.NOTHING)
        self.assertIs(self.board.appear("esa", "", HERE), Change.CAME)
        self.assertEqual(self.board.shown("esa"), HERE)
