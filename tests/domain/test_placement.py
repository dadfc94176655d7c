# SPDX-License-Identifier: MIT
"""Which relay a user gets, and that no report said twice or late spoils the count."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.placement import Placement


class Assignment(SynchronousTestCase):
    """The relay with the fewest."""

    def setUp(self) -> None:
        self.placement = Placement(assign_timeout=30)
        self.placement.add("relay1")
        self.placement.add("relay2")

    def test_no_relay(self) -> None:
        self.assertIsNone(Placement().assign("esa", "", 0))

    def test_users_not_yet_arrived_count(self) -> None:
        given_out = Counter(self.placement.assign(f"user{n}", "", 0) for n in range(10))
        self.assertEqual(given_out, {"relay1": 5, "relay2": 5})

    def test_ties_go_by_name_and_number(self) -> None:
        self.placement.add("relay10")
        order = [self.placement.assign(f"user{n}", "", 0) for n in range(3)]
        self.assertEqual(order, ["relay1", "relay2", "relay10"])

    def test_one_that_is_spared_gets_nobody_while_another_takes_users(self) -> None:
        self.placement.spare("relay1", 50)
        self.assertEqual({self.placement.assign(f"user{n}", "", 49) for n in range(4)}, {"relay2"})
        self.assertEqual(self.placement.assign("esa", "", 50), "relay1")
        self.placement.spare("relay1", 100)
        self.placement.close("relay2")
        self.assertEqual(self.placement.assign("fajar", "", 60), "relay1")

    def test_one_that_is_spared_is_not_evened_out(self) -> None:
        for number in range(4):
            self.placement.connected("relay2", f"user{number}", "", 1)
        self.placement.spare("relay1", 50)
        self.assertEqual(self.placement.surplus(49), {})
        self.assertEqual(self.placement.surplus(50), {"relay2": 2})

    def test_one_who_never_arrives_counts_for_thirty_seconds(self) -> None:
        self.placement.assign("esa", "", 0)
        self.assertEqual(self.placement.load("relay1", 29.9), 1)
        self.assertEqual(self.placement.load("relay1", 30), 0)

    def test_arriving_replaces_being_awaited(self) -> None:
        self.placement.assign("esa", "", 0)
        self.placement.connected("relay1", "esa", "", 1)
        self.assertEqual(self.placement.load("relay1", 1), 1)
        self.assertEqual(self.placement.load("relay1", 31), 1)

    def test_arriving_elsewhere_is_no_longer_awaited(self) -> None:
        self.placement.assign("esa", "", 0)
        self.placement.connected("relay2", "esa", "", 1)
        self.assertEqual(self.placement.load("relay1", 1), 0)

    def test_a_device_is_awaited_at_one_relay_only(self) -> None:
        for _ in range(5):
            self.placement.assign("esa", "", 0)
        self.assertEqual(self.placement.load("relay1", 1) + self.placement.load("relay2", 1), 1)

    def test_a_dropped_relay_gets_nobody(self) -> None:
        self.placement.assign("esa", "", 0)
        self.placement.drop("relay1")
        self.assertNotIn("relay1", self.placement)
        self.assertEqual({self.placement.assign(f"u{n}", "", 0) for n in range(3)}, {"relay2"})
        self.placement.add("relay1")
        self.assertEqual(self.placement.load("relay1", 0), 0)
        self.assertEqual(sorted(self.placement), ["relay1", "relay2"])
        self.assertEqual(len(self.placement), 2)


class Reports(SynchronousTestCase):
    """``ncir`` and ``ecir`` are idempotent a (user, resource, session)."""

    def setUp(self) -> None:
        self.placement = Placement()
        self.placement.add("relay1")

    def test_said_twice_counts_once(self) -> None:
        self.placement.connected("relay1", "esa", "", 1)
        self.placement.connected("relay1", "esa", "", 1)
        self.assertEqual(self.placement.load("relay1", 0), 1)
        self.placement.ended("relay1", "esa", "", 1)
        self.placement.ended("relay1", "esa", "", 1)
        self.assertEqual(self.placement.load("relay1", 0), 0)

    def test_the_end_of_an_older_session_changes_nothing(self) -> None:
        self.placement.connected("relay1", "esa", "", 2)
        self.placement.connected("relay1", "esa", "", 1)
        self.placement.ended("relay1", "esa", "", 1)
        self.assertEqual(self.placement.load("relay1", 0), 1)

    def test_devices_count_apart(self) -> None:
        self.placement.connected("relay1", "esa", "", 1)
        self.placement.connected("relay1", "esa", "phone", 2)
        self.assertEqual(self.placement.load("relay1", 0), 2)

    def test_a_link_that_opens_again_starts_from_nobody(self) -> None:
        self.placement.connected("relay1", "gone", "", 1)
        self.placement.connected("relay1", "esa", "", 2)
        self.placement.add("relay1")
        self.placement.connected("relay1", "esa", "", 2)
        self.assertEqual(self.placement.load("relay1", 0), 1)

    def test_reports_of_a_relay_that_is_not_there_change_nothing(self) -> None:
        self.placement.connected("relay9", "esa", "", 1)
        self.placement.ended("relay9", "esa", "", 1)
        self.assertEqual(self.placement.load("relay9", 0), 0)
        self.assertNotIn("relay9", self.placement)


class Properties(SynchronousTestCase):
    """What holds for any order of events."""

    @given(
        st.lists(
            st.tuples(
                st.booleans(),
                st.sampled_from(["relay1", "relay2"]),
                st.sampled_from("abc"),
                st.integers(1, 4),
            ),
            max_size=30,
        )
    )
    def test_the_full_list_sets_the_count_right(self, reports: list[tuple[bool, str, str, int]]) -> None:
        placement = Placement()
        placement.add("relay1")
        placement.add("relay2")
        for comes, relay, user, session in reports:
            (placement.connected if comes else placement.ended)(relay, user, "", session)
        placement.add("relay1")
        for user in "xyz":
            placement.connected("relay1", user, "", 9)
        self.assertEqual(placement.load("relay1", 0), 3)

    @given(st.integers(1, 6), st.integers(0, 60), st.floats(0, 29, allow_nan=False))
    def test_a_storm_of_logins_is_spread_evenly(self, relays: int, users: int, now: float) -> None:
        placement = Placement()
        for number in range(relays):
            placement.add(f"relay{number}")
        for user in range(users):
            placement.assign(f"user{user}", "", now)
        loads = [placement.load(name, now) for name in placement]
        self.assertEqual(sum(loads), users)
        self.assertTrue(max(loads) - min(loads) <= 1)


class Balance(SynchronousTestCase):
    """Relays that have more than their share, and one that takes no more."""

    def setUp(self) -> None:
        self.placement = Placement(assign_timeout=30)

    def relays(self, *loads: int) -> None:
        for relay, load in enumerate(loads, 1):
            self.placement.add(f"relay{relay}")
            for user in range(load):
                self.placement.connected(f"relay{relay}", f"user{relay}-{user}", "", 1)

    def test_a_relay_that_is_closed_is_given_nobody_and_counts_for_nothing(self) -> None:
        self.relays(0, 5, 6)
        self.placement.assign("esa", "", 0)
        self.placement.close("relay1")
        self.assertEqual(self.placement.load("relay1", 0), 0)
        self.assertEqual(self.placement.assign("esa", "", 0), "relay2")
        self.assertEqual(self.placement.surplus(0), {})
        for name in ("relay2", "relay3", "nobody"):
            self.placement.close(name)
        self.assertIsNone(self.placement.assign("esa", "", 0))
        self.assertEqual(self.placement.surplus(0), {})

    def test_what_is_over_an_even_share_by_more_than_a_tenth_is_too_much(self) -> None:
        for loads, surplus in (
            ((6, 0), {"relay1": 3}),
            ((50, 50, 0), {"relay1": 16, "relay2": 16}),
            ((36, 33, 31), {}),
            ((37, 33, 30), {"relay1": 3}),
            ((2, 1), {}),
            ((1, 0, 0), {}),
            ((7,), {}),
            ((), {}),
        ):
            self.setUp()
            self.relays(*loads)
            self.assertEqual(self.placement.surplus(0), surplus, loads)
