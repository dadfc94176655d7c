# SPDX-License-Identifier: MIT
"""The judge tells right from wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.prove.ledger import MAX_EXAMPLES, Ledger


def ledger(count: int = 4) -> Ledger:
    """Messages 0 to ``count - 1`` from a to b, sent and delivered, none shown."""
    book = Ledger()
    for number in range(count):
        assert book.send("a", "b") == number
        book.settle("a", "b", number, "delivered")
    return book


class LedgerTests(SynchronousTestCase):
    """What was acknowledged against what arrived."""

    def test_all_shown_once_and_in_order(self) -> None:
        book = ledger()
        for number in range(4):
            book.arrive("a", "b", number)
        verdict = book.verdict()
        self.assertTrue(verdict.kept)
        self.assertEqual((verdict.sent, verdict.arrived, verdict.unsettled), (4, 4, 0))
        self.assertEqual((verdict.outcomes, verdict.examples), ({"delivered": 4}, {}))
        self.assertEqual(book.owed, 0)

    def test_shown_before_its_outcome_is_heard(self) -> None:
        book = Ledger()
        book.send("a", "b")
        book.arrive("a", "b", 0)
        book.settle("a", "b", 0, "delivered")
        self.assertEqual((book.owed, book.verdict().lost), (0, 0))

    def test_acknowledged_and_never_shown_is_lost(self) -> None:
        book = ledger()
        book.arrive("a", "b", 0)
        book.arrive("a", "b", 2)
        verdict = book.verdict()
        self.assertFalse(verdict.kept)
        self.assertEqual((verdict.lost, book.owed), (2, 2))
        self.assertEqual(verdict.examples, {"lost": ["a>b 1", "a>b 3"]})

    def test_stored_must_arrive_too(self) -> None:
        book = Ledger()
        book.send("a", "b")
        book.settle("a", "b", 0, "stored")
        self.assertEqual(book.verdict().lost, 1)

    def test_failed_or_without_outcome_may_arrive_or_not(self) -> None:
        book = Ledger()
        for _ in range(4):
            book.send("a", "b")
        book.settle("a", "b", 0, "failed")
        book.settle("a", "b", 1, "failed")
        book.arrive("a", "b", 0)
        book.arrive("a", "b", 2)
        verdict = book.verdict()
        self.assertTrue(verdict.kept)
        self.assertEqual((verdict.unsettled, verdict.outcomes), (2, {"failed": 2}))

    def test_shown_again_is_doubled_each_time(self) -> None:
        book = ledger(1)
        for _ in range(3):
            book.arrive("a", "b", 0)
        self.assertEqual((book.verdict().doubled, book.verdict().disordered), (2, 0))

    def test_shown_after_a_later_one_is_out_of_order(self) -> None:
        book = ledger()
        for number in (0, 3, 1, 2):
            book.arrive("a", "b", number)
        self.assertEqual((book.verdict().disordered, book.verdict().lost), (2, 0))

    def test_pairs_have_their_own_order(self) -> None:
        book = ledger(2)
        self.assertEqual(book.send("b", "a"), 0)
        self.assertEqual(book.send("a", "c"), 0)
        for sender, recipient, number in (("a", "b", 0), ("b", "a", 0), ("a", "c", 0), ("a", "b", 1)):
            book.arrive(sender, recipient, number)
        self.assertTrue(book.verdict().kept)

    def test_what_nobody_sent_is_strange(self) -> None:
        book = ledger(1)
        book.arrive("a", "b", 0)
        for sender, number in (("a", 1), ("a", -1), ("x", 0)):
            book.arrive(sender, "b", number)
        self.assertEqual((book.verdict().strange, book.verdict().kept), (3, False))

    def test_examples_are_bounded_and_counts_are_not(self) -> None:
        verdict = ledger(50).verdict()
        self.assertEqual((verdict.lost, len(verdict.examples["lost"])), (50, MAX_EXAMPLES))

    def test_an_outcome_corrected_from_failed_counts_once_as_settled(self) -> None:
        book = Ledger()
        book.send("a", "b")
        book.settle("a", "b", 0, "failed")
        book.settle("a", "b", 0, "delivered")
        self.assertEqual((book.unsettled, book.verdict().lost), (0, 1))

    def test_a_sender_that_went_may_hear_the_outcome_later(self) -> None:
        book = Ledger()
        for _ in range(2):
            book.send("a", "b")
        book.leave("a", "b", 0)
        book.leave("a", "b", 1)
        self.assertEqual((book.unsettled, book.verdict().outcomes, book.owed), (0, {"unheard": 2}, 0))
        book.settle("a", "b", 0, "stored")
        book.leave("a", "b", 0)
        self.assertEqual((book.verdict().outcomes, book.owed), ({"unheard": 1, "stored": 1}, 1))
        book.settle("a", "b", 1, "failed")
        self.assertEqual(book.verdict().outcomes, {"stored": 1, "failed": 1})

    @given(st.permutations(range(6)))
    def test_any_other_order_is_found(self, order: list[int]) -> None:
        book = ledger(6)
        for number in order:
            book.arrive("a", "b", number)
        late = [n for i, n in enumerate(order) if any(m > n for m in order[:i])]
        self.assertEqual(book.verdict().disordered, len(late))
        self.assertEqual(book.verdict().lost, 0)
