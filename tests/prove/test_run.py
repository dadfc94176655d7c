# SPDX-License-Identifier: MIT
"""What a proof says in the end, to a person and to a script."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.prove.ledger import Ledger
from xjrelay.prove.proxy import Toll
from xjrelay.prove.run import Result, Spread


def result(book: Ledger) -> Result:
    """Of a run that took ten seconds and killed two relays."""
    return Result(
        verdict=book.verdict(),
        seconds=10.0,
        blows={"relay1": 2},
        absent=0,
        back=Spread.of([0.5, 0.25, 4.0]),
        login=Spread.of([]),
        delivery=Spread.of([0.001]),
        toll=Toll(),
        refusals={},
    )


class SpreadTests(SynchronousTestCase):
    """Median, 99th percentile, most."""

    def test_nothing_measured(self) -> None:
        self.assertEqual(Spread.of([]), Spread(0, None, None, None))
        self.assertEqual(str(Spread.of([])), "never")

    def test_one_value_is_all_of_them(self) -> None:
        self.assertEqual(Spread.of([2.0]), Spread(1, 2.0, 2.0, 2.0))

    def test_many(self) -> None:
        spread = Spread.of([n / 100 for n in range(1000, 0, -1)])
        self.assertEqual(spread, Spread(1000, 5.01, 9.91, 10.0))
        self.assertEqual(str(spread), "1000 times, median 5.01 s, p99 9.91 s, most 10.00 s")


class ResultTests(SynchronousTestCase):
    """Lines and JSON."""

    def book(self) -> Ledger:
        book = Ledger()
        for number in range(20):
            book.send("a", "b")
            book.settle("a", "b", number, "delivered" if number < 19 else "failed 507")
        return book

    def test_a_promise_kept(self) -> None:
        book = self.book()
        for number in range(19):
            book.arrive("a", "b", number)
        lines = result(book).lines()
        self.assertIn("sent            20 in 10 s, 2 a second", lines)
        self.assertIn("outcomes        19 delivered, 1 failed 507", lines)
        for word in ("lost            0", "doubled         0", "out of order    0"):
            self.assertIn(word, lines)
        self.assertIn("came back       3 times, median 0.50 s, p99 4.00 s, most 4.00 s", lines)
        self.assertIn("struck          relay1 2", lines)

    def test_a_promise_broken_names_the_first(self) -> None:
        book = self.book()
        for number in (1, 0, 0):
            book.arrive("a", "b", number)
        lines = result(book).lines()
        self.assertIn("lost            17", lines)
        self.assertIn("  doubled: a>b 0", lines)
        self.assertIn("  disordered: a>b 0", lines)
        self.assertIn("  lost: a>b 2, a>b 3, a>b 4, a>b 5, a>b 6", lines)

    def test_for_a_script(self) -> None:
        value = json.loads(json.dumps(result(self.book()).as_json()))
        self.assertEqual((value["kept"], value["rate"], value["verdict"]["lost"]), (False, 2.0, 19))
        self.assertEqual(value["back"], {"count": 3, "median": 0.5, "p99": 4.0, "most": 4.0})
