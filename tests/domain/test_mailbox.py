# SPDX-License-Identifier: MIT
"""Who is where, for certain: when to store, and when to hand out."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.mailbox import Reach, Report, Stay, Whereabouts


class WhereaboutsTests(SynchronousTestCase):
    """Relays "one", "two" and "three", linked and reported."""

    def setUp(self) -> None:
        self.where = Whereabouts()
        for name in ("one", "two", "three"):
            self.where.joined(name)
            self.where.reported(name)

    def opens(self, relay: str, number: int, resource: str = "", waits: bool = True) -> Report:
        """A session of esa's at a relay."""
        return self.where.report(relay, "esa", "Esa", resource, number, waits=waits, resuming=False)

    def hands_out(self, stay: Stay) -> None:
        """What the manager does with one that is ready."""
        self.assertEqual(self.where.waiting("esa"), [stay])
        stay.handed = True

    def may_store(self, resource: str = "") -> list[str]:
        """The relays that may store for esa."""
        return [name for name in ("one", "two", "three") if self.where.may_store(name, "esa", resource)]

    # -- openings ----------------------------------------------------------------------------

    def test_somebody_who_is_nowhere_is_stored_for_and_handed_out_to_at_once(self) -> None:
        self.assertEqual(self.may_store(), ["one", "two", "three"])
        report = self.opens("one", 1)
        self.assertEqual((report.ends, report.is_old), ([], False))
        self.hands_out(report.stay)
        self.assertEqual(self.may_store(), ["one"], "what it leaves unacknowledged")
        self.assertIs(self.where.ended("one", "esa", "", 1), report.stay)
        self.assertEqual(self.may_store(), ["one", "two", "three"])

    def test_an_older_session_is_ended_and_handed_over_first(self) -> None:
        older = self.opens("one", 1).stay
        self.hands_out(older)
        report = self.opens("two", 2)
        self.assertEqual((report.ends, report.is_old), ([older], False))
        self.assertEqual(self.where.waiting("esa"), [])
        self.assertEqual(self.may_store(), ["one"])
        self.where.ended("one", "esa", "", 1)
        self.assertEqual(self.may_store(), ["one", "two", "three"], "nothing was handed out yet")
        self.hands_out(report.stay)
        self.assertEqual(self.may_store(), ["two"])

    def test_an_older_one_at_a_lost_relay_is_not_waited_for_and_nothing_is_stored_meanwhile(self) -> None:
        self.hands_out(self.opens("one", 1).stay)
        report = self.opens("two", 2)
        self.assertTrue(self.where.lost("one"))
        self.hands_out(report.stay)
        self.where.ended("two", "esa", "", 2)
        self.assertEqual(self.may_store(), ["one"])
        self.where.give_up("one")
        self.assertEqual(self.may_store(), ["one", "two", "three"])

    def test_one_that_is_older_than_another_is_ended_and_gets_nothing(self) -> None:
        newer = self.opens("one", 2).stay
        self.hands_out(newer)
        report = self.opens("two", 1)
        self.assertEqual((report.ends, report.is_old), ([], True))
        self.assertEqual(self.where.waiting("esa"), [])
        self.assertIsNone(self.where.ended("one", "esa", "", 1))
        self.where.ended("two", "esa", "", 1)
        self.assertTrue(self.where.is_current(newer))

    def test_devices_are_apart_and_a_bare_address_is_any(self) -> None:
        phone = self.opens("one", 1, "phone").stay
        self.hands_out(phone)
        desk = self.opens("two", 2, "desk")
        self.assertEqual(desk.ends, [])
        self.hands_out(desk.stay)
        self.assertEqual(self.may_store(), [])
        self.assertEqual(self.may_store("phone"), ["one"])
        self.assertEqual(self.may_store("car"), ["one", "two", "three"])
        self.assertEqual(self.where.find("one", "esa"), [phone])

    def test_a_report_said_again_changes_what_it_says(self) -> None:
        stay = self.opens("one", 1).stay
        self.hands_out(stay)
        again = self.where.report("one", "esa", "Esa", "", 1, waits=False, resuming=True)
        self.assertIs(again.stay, stay)
        self.assertIs(self.where.reach("esa", ""), Reach.RESUMING)

    # -- relays that are lost ----------------------------------------------------------------

    def test_after_our_start_nothing_is_stored_until_those_known_have_reported(self) -> None:
        where = Whereabouts()
        where.joined("one")
        where.expect(["one", "two", "three"])
        self.assertEqual(where.awaited, {"two", "three"})
        where.joined("two")
        self.assertFalse(where.may_store("one", "esa", ""))
        where.reported("two")
        self.assertFalse(where.may_store("one", "esa", ""))
        self.assertEqual(where.give_up("three"), [])
        self.assertTrue(where.may_store("one", "esa", ""))

    def test_a_relay_that_is_back_is_in_doubt_until_it_has_reported(self) -> None:
        stay = self.opens("one", 1, waits=False).stay
        self.where.lost("one")
        self.where.joined("one")
        self.assertEqual(self.may_store(), ["one"])
        self.assertEqual(self.where.reported("one"), [stay])
        self.assertEqual(self.may_store(), ["one", "two", "three"])

    def test_what_it_has_still_is_another_stay_and_an_open_one_waits_for_nothing(self) -> None:
        first = self.opens("one", 1, waits=False).stay
        self.where.lost("one")
        self.where.joined("one")
        again = self.opens("one", 1, waits=False).stay
        self.assertFalse(self.where.is_current(first))
        self.assertEqual((self.where.reported("one"), self.where.waiting("esa")), ([], []))
        self.assertTrue(self.where.is_current(again))

    def test_a_relay_without_sessions_is_simply_gone(self) -> None:
        self.assertFalse(self.where.lost("one"))
        self.assertFalse(self.where.lost("nobody"))
        self.assertEqual(self.where.give_up("nobody"), [])

    # -- reach -------------------------------------------------------------------------------

    def test_who_can_be_reached(self) -> None:
        reach = self.where.reach
        self.assertIs(reach("esa", ""), Reach.NOWHERE)
        self.opens("one", 1)
        self.assertIs(reach("esa", ""), Reach.HERE)
        self.assertIs(reach("esa", "phone"), Reach.NOWHERE)
        self.where.lost("one")
        self.assertIs(reach("esa", ""), Reach.RESUMING)
        self.opens("two", 2)
        self.assertIs(reach("esa", ""), Reach.HERE)
        self.where.ended("two", "esa", "", 2)
        self.assertEqual(self.where.devices("one"), [("esa", "")])
        self.where.give_up("one")
        self.assertIs(reach("esa", ""), Reach.NOWHERE)
