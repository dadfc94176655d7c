# SPDX-License-Identifier: MIT
"""Nothing overtakes: one route, and going back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain import pairs
from xjrelay.domain.pairs import Gate, Pair, Pairs
from xjrelay.wire.address import InvalidAddress
from xjrelay.wire.errors import CloseReason, RemoteError


class PairTests(SynchronousTestCase):
    """What one session sends to one user."""

    def setUp(self) -> None:
        self.pair = Pair()

    def test_a_new_route_waits_until_the_old_one_is_settled(self) -> None:
        self.assertTrue(self.pair.admit("one", False))
        self.assertTrue(self.pair.admit("one", False))
        self.assertFalse(self.pair.admit("two", False))
        self.pair.settle(False)
        self.pair.settle(False)
        self.assertFalse(self.pair.admit("two", False), "one was refused, so this one would overtake it")
        self.assertTrue(self.pair.admit("two", True))
        self.assertTrue(self.pair.admit("two", False))

    def test_a_settled_pair_takes_any_route(self) -> None:
        for route in ("one", "two", None):
            self.assertTrue(self.pair.admit(route, False))
            self.pair.settle(False)

    def test_after_a_503_each_goes_back_until_begun_again(self) -> None:
        self.pair.admit("one", False)
        self.pair.settle(True)
        self.assertFalse(self.pair.admit("one", False))
        self.assertFalse(self.pair.admit("one", False))
        self.assertTrue(self.pair.admit("one", True))
        self.assertTrue(self.pair.admit("one", False))

    def test_begun_again_too_early_it_goes_back_once_more(self) -> None:
        self.pair.admit("one", False)
        self.assertFalse(self.pair.admit("two", True))
        self.assertFalse(self.pair.admit("one", False))
        self.assertEqual(self.pair.unsettled, 1)

    @given(st.lists(st.tuples(st.sampled_from(["a", "b", "settle", "fail"]), st.booleans())))
    def test_two_routes_are_never_unsettled_at_once(self, moves: list[tuple[str, bool]]) -> None:
        pair = Pair()
        under_way: list[str] = []
        for move, again in moves:
            if move in ("settle", "fail"):
                if under_way:
                    under_way.pop()
                    pair.settle(move == "fail")
            elif pair.admit(move, again):
                under_way.append(move)
            self.assertLessEqual(len(set(under_way)), 1)
            self.assertEqual(pair.unsettled, len(under_way))


class PairsTests(SynchronousTestCase):
    """All that one session sends."""

    def test_every_spelling_and_device_of_a_user_is_one_pair(self) -> None:
        found = Pairs()
        pair = found.get("Fajar")
        for text in ("Fajar", "fajar", "FAJAR/phone"):
            self.assertIs(found.get(text), pair)
        self.assertIsNot(found.get("gita"), pair)

    def test_what_is_no_address(self) -> None:
        self.assertRaises(InvalidAddress, Pairs().get, "a b")

    def test_those_with_nothing_to_remember_are_forgotten_and_others_never(self) -> None:
        self.patch(pairs, "MAX_PAIRS", 3)
        found = Pairs()
        kept = found.get("kept")
        kept.admit("one", False)
        kept.settle(True)
        for number in range(20):
            found.get(f"user{number}")
        self.assertIs(found.get("kept"), kept)
        self.assertTrue(kept.refused)

    def test_too_many_that_have_to_be_begun_again_end_the_session(self) -> None:
        self.patch(pairs, "MAX_PAIRS", 3)
        found = Pairs()
        for number in range(3):
            found.get(f"user{number}").admit("one", False)
        error = self.assertRaises(RemoteError, found.get, "another")
        self.assertEqual((error.code, error.close), (429, CloseReason.PROTOCOL))


class GateTests(SynchronousTestCase):
    """What comes over a link between servers."""

    def setUp(self) -> None:
        self.gate = Gate()

    def test_it_is_closed_to_a_pair_until_that_begins_again(self) -> None:
        self.assertFalse(self.gate)
        self.gate.close("Esa", "fajar/phone")
        self.assertTrue(self.gate)
        self.assertFalse(self.gate.passes("esa", "Fajar", False))
        self.assertTrue(self.gate.passes("esa", "gita", False))
        self.assertTrue(self.gate.passes("fajar", "esa", False))
        self.assertTrue(self.gate.passes("esa/desk", "fajar", True))
        self.assertTrue(self.gate.passes("esa", "fajar", False))
        self.assertEqual((bool(self.gate), len(self.gate)), (False, 0))

    def test_a_user_whose_session_is_over_is_forgotten_on_both_sides(self) -> None:
        for sender, recipient in (("esa", "fajar"), ("esa", "gita"), ("gita", "fajar"), ("hadi", "esa")):
            self.gate.close(sender, recipient)
            self.gate.close(sender, recipient)
        self.assertEqual(len(self.gate), 4)
        self.gate.forget("Esa")
        self.assertEqual(len(self.gate), 1)
        self.assertTrue(self.gate.passes("esa", "fajar", False))
        self.assertFalse(self.gate.passes("gita", "fajar", False))

    def test_it_is_full_at_its_bound(self) -> None:
        self.patch(pairs, "MAX_PAIRS", 2)
        for number in range(2):
            self.assertFalse(self.gate.is_full)
            self.gate.close(f"user{number}", "esa")
        self.assertTrue(self.gate.is_full)

    def test_what_is_no_address_stands_for_itself(self) -> None:
        self.gate.close("a b", "")
        self.assertFalse(self.gate.passes("a b", "", False))
