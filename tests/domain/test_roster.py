# SPDX-License-Identifier: MIT
"""Every cell of the subscription table, and that no sequence of changes lets two rosters disagree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain import roster
from xjrelay.domain.roster import Decision, Pair, Row, Subscription, Told
from xjrelay.wire.errors import Condition, StanzaError

NONE = Pair()
TO = Pair(Row(Subscription.TO, "a"), Row(Subscription.FROM, "t"))
FROM = Pair(Row(Subscription.FROM, "a"), Row(Subscription.TO, "t"))
BOTH = Pair(Row(Subscription.BOTH, "a"), Row(Subscription.BOTH, "t"))

rows = st.none() | st.builds(Row, st.sampled_from(Subscription), st.text(max_size=5))
pairs = st.builds(Pair, rows, rows)
consistent_pairs = st.sampled_from([NONE, TO, FROM, BOTH])
names = st.none() | st.text(max_size=5)


def consistent(pair: Pair) -> bool:
    """Whether both sides say the same."""
    if pair.asker is None or pair.target is None:
        return pair.asker is pair.target
    return pair.asker.subscription.mirror is pair.target.subscription


def subscriptions(pair: Pair) -> tuple[str | None, str | None]:
    """The wire's word for each side."""
    return (
        pair.asker.subscription.value if pair.asker else None,
        pair.target.subscription.value if pair.target else None,
    )


class AddTable(SynchronousTestCase):
    """Protocol, section 6: add or rename."""

    def check(self, before: Pair, after: tuple[str, str], target_told: Told | None) -> Decision:
        decision = roster.add(before, "new")
        self.assertEqual(subscriptions(decision.pair), after)
        self.assertIs(decision.asker_told, Told.SUBSCRIBED)
        self.assertIs(decision.target_told, target_told)
        assert decision.pair.asker is not None
        self.assertEqual(decision.pair.asker.name, "new")
        return decision

    def test_a_stranger_becomes_to_and_from(self) -> None:
        decision = self.check(NONE, ("to", "from"), None)
        self.assertEqual(decision.pair.target, Row(Subscription.FROM))

    def test_one_who_hears_the_asker_becomes_both(self) -> None:
        decision = self.check(FROM, ("both", "both"), Told.SUBSCRIBED)
        self.assertEqual(decision.pair.target, Row(Subscription.BOTH, "t"))

    def test_a_second_add_of_to_renames(self) -> None:
        self.assertEqual(self.check(TO, ("to", "from"), None).pair.target, TO.target)

    def test_a_second_add_of_both_renames(self) -> None:
        self.assertEqual(self.check(BOTH, ("both", "both"), None).pair.target, BOTH.target)

    def test_without_a_name_the_old_one_stays(self) -> None:
        for before, name in ((NONE, ""), (TO, "a"), (FROM, "a"), (BOTH, "a")):
            asker = roster.add(before, None).pair.asker
            assert asker is not None
            self.assertEqual(asker.name, name)


class RemoveTable(SynchronousTestCase):
    """Protocol, section 6: remove."""

    def test_from_both_the_other_direction_stays(self) -> None:
        decision = roster.remove(BOTH)
        self.assertEqual(decision.pair, FROM)
        self.assertIs(decision.asker_told, Told.UNSUBSCRIBED)
        self.assertIs(decision.target_told, Told.UNSUBSCRIBED)

    def test_from_to_both_rows_go(self) -> None:
        decision = roster.remove(TO)
        self.assertEqual(decision.pair, NONE)
        self.assertIs(decision.target_told, Told.UNSUBSCRIBED)

    def test_from_is_not_the_askers_to_end(self) -> None:
        self.assertIs(self.assertRaises(StanzaError, roster.remove, FROM).condition, Condition.BAD_REQUEST)

    def test_no_row_is_a_bad_request(self) -> None:
        self.assertIs(self.assertRaises(StanzaError, roster.remove, NONE).condition, Condition.BAD_REQUEST)


class Refusals(SynchronousTestCase):
    """What no pair of rows could make right."""

    def test_oneself(self) -> None:
        error = self.assertRaises(StanzaError, roster.check_change, "esa", "esa", None)
        self.assertIs(error.condition, Condition.BAD_REQUEST)

    def test_a_name_too_long(self) -> None:
        roster.check_change("esa", "fajar", "x" * roster.MAX_ITEM_NAME)
        self.assertRaises(
            StanzaError, roster.check_change, "esa", "fajar", "x" * (roster.MAX_ITEM_NAME + 1)
        )


class Properties(SynchronousTestCase):
    """What holds after any decision, from any state."""

    @given(pairs, names)
    def test_after_an_add_both_sides_agree(self, pair: Pair, name: str | None) -> None:
        after = roster.add(pair, name).pair
        self.assertTrue(consistent(after))
        assert after.asker is not None
        self.assertTrue(after.asker.subscription.hears)

    @given(pairs)
    def test_after_a_removal_both_sides_agree(self, pair: Pair) -> None:
        try:
            after = roster.remove(pair).pair
        except StanzaError:
            return
        self.assertTrue(consistent(after))
        self.assertTrue(after.asker is None or not after.asker.subscription.hears)

    @given(consistent_pairs, names)
    def test_an_add_leaves_what_the_target_hears(self, pair: Pair, name: str | None) -> None:
        after = roster.add(pair, name).pair
        heard_before = pair.target is not None and pair.target.subscription.hears
        assert after.target is not None
        self.assertEqual(after.target.subscription.hears, heard_before)

    @given(consistent_pairs, names)
    def test_adding_twice_is_adding_once(self, pair: Pair, name: str | None) -> None:
        once = roster.add(pair, name)
        twice = roster.add(once.pair, name)
        self.assertEqual(twice.pair, once.pair)
        self.assertIsNone(twice.target_told)

    @given(consistent_pairs, st.lists(st.tuples(st.booleans(), st.booleans(), names), max_size=12))
    def test_any_sequence_from_either_side_stays_consistent(
        self, pair: Pair, changes: list[tuple[bool, bool, str | None]]
    ) -> None:
        for swapped, adds, name in changes:
            seen = Pair(pair.target, pair.asker) if swapped else pair
            try:
                after = (roster.add(seen, name) if adds else roster.remove(seen)).pair
            except StanzaError:
                continue
            pair = Pair(after.target, after.asker) if swapped else after
            self.assertTrue(consistent(pair))
