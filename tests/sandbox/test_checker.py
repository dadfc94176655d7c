# SPDX-License-Identifier: MIT
"""The delivery promise in the sandbox: a few seeds and a few cases of many, and a judge that has teeth.

`make prove-sandbox` has the long form.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.client.outbox import Outbox
from xjrelay.client.sending import Sending
from xjrelay.domain.mailbox import Whereabouts
from xjrelay.domain.pairs import Pair
from xjrelay.sandbox import every
from xjrelay.sandbox.book import Book, Verdict
from xjrelay.sandbox.checker import check, main
from xjrelay.servers.manager.post import Post

SEEDS = range(1, 61)
FRIENDS = range(1, 13)
SECONDS = 12.0
TELLING = (27, 5, 78, 59, 14)
"""Seeds in which the rules about order are needed."""


class CheckerTests(SynchronousTestCase):
    """Users under faults."""

    def test_nothing_is_lost_doubled_or_out_of_order(self) -> None:
        bad = {seed: str(verdict) for seed in SEEDS if not (verdict := check(seed, SECONDS)).kept}
        self.assertEqual(bad, {}, "each again: python -m xjrelay.sandbox.checker --seconds 12 --seed SEED")

    def test_a_seed_replays_exactly(self) -> None:
        one, again, other = (str(check(seed, SECONDS)) for seed in (4, 4, 5))
        self.assertEqual(one, again)
        self.assertNotEqual(one, other)

    def test_nor_while_conversations_move_to_direct_links_and_back(self) -> None:
        verdicts = {seed: check(seed, SECONDS, direct=True) for seed in FRIENDS}
        bad = {seed: str(verdict) for seed, verdict in verdicts.items() if not verdict.kept}
        self.assertEqual(
            bad, {}, "each again: the checker with --direct --seconds 12 --seed SEED"
        )
        self.assertGreater(sum(verdict.directly for verdict in verdicts.values()), 300)

    def test_a_seed_with_direct_links_replays_exactly(self) -> None:
        self.assertEqual(*(str(check(4, SECONDS, direct=True)) for _ in range(2)))

    def test_the_command_line(self) -> None:
        self.assertEqual(main(["--seeds", "1", "--seconds", "5"]), 0)
        self.assertEqual(main(["--every", "--stride", "3000"]), 0)

    def test_some_cases_of_every_fault_before_every_event(self) -> None:
        bad = {}
        for case in every.cases(stride=149):
            verdict = every.run(case)
            if not verdict.kept:
                bad[case] = str(verdict)
        self.assertEqual(bad, {})


class TeethTests(SynchronousTestCase):
    """A suite without one of its rules is found out."""

    def found(self, *seeds: int) -> bool:
        return any(not check(seed).kept for seed in seeds)

    def test_without_one_route_a_pair(self) -> None:
        def admit(pair: Pair, route: object, again: bool, count: int = 1) -> bool:
            pair.unsettled += count
            return True

        self.patch(Pair, "admit", admit)
        self.assertTrue(self.found(*TELLING))

    def test_without_going_back(self) -> None:
        def settle(pair: Pair, not_now: bool, count: int = 1) -> None:
            pair.unsettled -= count

        self.patch(Pair, "settle", settle)
        self.assertTrue(self.found(*TELLING))

    def test_where_anybody_stores_for_those_who_are_somewhere(self) -> None:
        self.patch(Whereabouts, "may_store", lambda where, name, key, resource: True)
        self.assertTrue(self.found(*TELLING))

    def test_where_a_direct_link_is_used_before_the_marker_has_come(self) -> None:
        leave = Sending.leave

        def at_once(sending: Sending, pair: str, *more: Any) -> None:
            leave(sending, pair, *more)
            sending.go(pair)

        self.patch(Sending, "leave", at_once)
        self.assertTrue(any(not check(seed, direct=True).kept for seed in (2, 4)))

    def test_where_what_a_direct_link_lost_is_not_sent_again(self) -> None:
        def back(outbox: Outbox, pair: str) -> None:
            outbox._roads.pop(pair, None)

        self.patch(Outbox, "back", back)
        self.assertTrue(any(not check(seed, direct=True).kept for seed in (2, 8, 10)))

    def test_where_nothing_is_handed_out(self) -> None:
        self.patch(Post, "hand_out", lambda post, stay: None)
        self.assertTrue(self.found(1))


class BookTests(SynchronousTestCase):
    """The judge."""

    def setUp(self) -> None:
        self.book = Book()
        self.names = [self.book.send("a", "b") for _ in range(3)]

    def verdict(self, *lives: list[int], status: str = "delivered") -> Verdict:
        for name in self.names:
            self.book.settle(name, status)
        for numbers in lives:
            self.book.life("b").shown.extend(("a", "b", number) for number in numbers)
        return self.book.verdict()

    def test_all_in_order(self) -> None:
        verdict = self.verdict([1, 2, 3])
        self.assertTrue(verdict.kept, str(verdict))
        self.assertFalse(self.book.owed)

    def test_over_two_lives_each_may_be_shown_again(self) -> None:
        self.assertTrue(self.verdict([1, 2], [2, 1, 3]).kept)

    def test_a_later_life_is_shown_what_is_new_to_its_user_in_order(self) -> None:
        self.assertEqual(self.verdict([1], [3, 2]).disordered, [("a", "b", 2)])

    def test_lost(self) -> None:
        verdict = self.verdict([1, 3])
        self.assertEqual(verdict.lost, [("a", "b", 2)])
        self.assertTrue(self.book.owed)

    def test_what_a_dead_sender_kept_is_owed(self) -> None:
        self.assertEqual(self.verdict([1], status="kept").lost, [("a", "b", 2), ("a", "b", 3)])

    def test_doubled(self) -> None:
        self.assertEqual(self.verdict([1, 2, 2, 3]).doubled, [("a", "b", 2)])

    def test_disordered(self) -> None:
        self.assertEqual(self.verdict([2, 1, 3]).disordered, [("a", "b", 1)])

    def test_what_failed_may_come_in_any_order_or_not_at_all(self) -> None:
        self.assertTrue(self.verdict([2, 1], status="failed 507").kept)

    def test_stuck(self) -> None:
        self.assertEqual(self.book.unsettled("a"), self.names)
        self.assertEqual(self.book.verdict().stuck, self.names)
        self.assertFalse(self.book.verdict().kept)
