# SPDX-License-Identifier: MIT
"""Messages on their way over a link: told once each, whoever sent them together and in whatever order
their outcomes come."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.histogram import Sampling
from xjrelay.domain.pairs import Pair
from xjrelay.net.context import Batch
from xjrelay.servers.relay.in_flight import InFlight
from xjrelay.servers.relay.outcomes import Origin, Run
from xjrelay.wire import fast
from xjrelay.wire.errors import Code
from xjrelay.wire.ids import Ids

Told = tuple[str, str, int | None]


class Asker:
    """A sender that notes what it is told.

    Attributes:
        told: id, status and code of each.
        calls: how many were told at once, each time.
    """

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.calls: list[int] = []

    def settled(self, origin: Origin, status: str, code: int | None = None) -> None:
        assert origin.id is not None
        if origin.pair is not None:
            origin.pair.settle(code == Code.NOT_NOW)
        self.told.append((origin.id, status, code))
        self.calls.append(1)

    def run_settled(self, run: Run, ids: Ids, status: str, code: int | None = None) -> None:
        if run.pair is not None:
            run.pair.settle(code == Code.NOT_NOW, len(ids))
        self.told += [(one, status, code) for one in ids]
        self.calls.append(len(ids))

    def written(self, origin: Origin) -> None:
        raise AssertionError

    unreachable = handed_over = written


class Way:
    """A link that writes as long as it is open."""

    def __init__(self) -> None:
        self.open = True
        self.wrote: list[bytes] = []

    def frame(self, frame: bytes) -> bool:
        return self.lines(frame + b"\n", 1)

    def lines(self, lines: bytes, count: int) -> bool:
        if self.open:
            self.wrote += lines.splitlines()
            assert len(lines.splitlines()) == count
        return self.open


class InFlightTests(SynchronousTestCase):
    """Six at the most, from one asker to two others."""

    def setUp(self) -> None:
        self.timing, self.now = Sampling(), 0.0
        self.way, self.asker = Way(), Asker()
        self.flying = InFlight(6, self.timing, lambda: self.now)
        self.pairs = {"b": Pair(), "c": Pair()}

    def send(self, message_id: str, to: str = "b") -> None:
        """One by itself."""
        self.pairs[to].admit("way", True)
        origin = Origin(self.asker, "a", to, message_id, self.pairs[to])
        self.flying.send(origin, message_id.encode(), self.way.frame)

    def row(self, *ids: str, to: str = "b") -> bool:
        """Several that stand in a row."""
        self.pairs[to].admit("way", True, len(ids))
        run = Run(self.asker, "a", to, self.pairs[to])
        lines = b"".join(one.encode() + b"\n" for one in ids)
        said = fast.Run(to, "a", len(ids), list(ids), lines)
        sent = self.flying.send_run(run, said, self.way.lines)
        if not sent:
            self.pairs[to].settle(False, len(ids))
        return sent

    def test_what_went_together_and_comes_back_together_is_told_together(self) -> None:
        self.assertTrue(self.row("1", "2", "3"))
        self.flying.settle("a", ["1", "2", "3"], "delivered", None)
        self.assertEqual(self.asker.calls, [3])
        self.assertEqual(self.asker.told, [(one, "delivered", None) for one in "123"])
        self.assertEqual((len(self.flying), self.pairs["b"].unsettled), (0, 0))

    def test_outcomes_in_any_order_and_of_others_between(self) -> None:
        self.row("1", "2", "3")
        self.send("x")
        self.row("c", to="c")
        self.flying.settle("a", ["3", "unknown", "1", "x", "c", "2"], "stored", None)
        self.assertEqual([one for one, _, _ in self.asker.told], ["3", "1", "x", "c", "2"])
        self.assertEqual(len(self.flying), 0)
        self.assertEqual([pair.unsettled for pair in self.pairs.values()], [0, 0])

    def test_senders_that_have_nothing_on_its_way_are_forgotten(self) -> None:
        self.row("1", "2")
        self.flying.settle("a", ["1"], "delivered", None)
        self.assertEqual(list(self.flying._origins), ["a"])
        self.flying.pop("a", "2")
        self.assertEqual(self.flying._origins, {})

    def test_a_part_of_them(self) -> None:
        self.row("1", "2", "3")
        self.flying.settle("a", ["2"], "delivered", None)
        self.assertEqual((len(self.flying), self.pairs["b"].unsettled), (2, 2))
        self.flying.settle("a", ["2", "1"], "failed", Code.NOT_NOW)
        self.assertEqual(self.asker.told, [("2", "delivered", None), ("1", "failed", 503)])
        self.assertTrue(self.pairs["b"].refused)

    def test_one_of_a_run_as_an_origin_of_its_own(self) -> None:
        self.row("1", "2")
        self.assertEqual(self.flying.pop("a", "2"), Origin(self.asker, "a", "b", "2", self.pairs["b"]))
        self.assertIsNone(self.flying.pop("a", "2"))
        self.assertIsNone(self.flying.pop("b", "1"), "an id is its sender's")
        self.assertEqual(len(self.flying), 1)

    def test_nothing_happens_where_not_all_can_go_as_they_are(self) -> None:
        self.row("1", "2")
        self.assertFalse(self.row("3", "2"), "one is on its way")
        self.assertFalse(self.row("3", "3"), "one stands there twice")
        self.assertFalse(self.row("3", "4", "5", "6", "7"), "no room")
        self.assertEqual((len(self.flying), self.way.wrote), (2, [b"1", b"2"]))
        self.assertTrue(self.row("3", "4", "5", "6"))

    def test_one_on_its_way_takes_the_place_of_one_of_a_run(self) -> None:
        self.row("1", "2")
        self.send("2")
        self.assertEqual((len(self.flying), self.pairs["b"].unsettled), (2, 2))
        self.flying.settle("a", ["1", "2"], "delivered", None)
        self.assertEqual(self.asker.told, [("1", "delivered", None), ("2", "delivered", None)])
        self.assertEqual(self.pairs["b"].unsettled, 0)

    def test_those_that_go_nowhere_have_failed(self) -> None:
        self.way.open = False
        self.assertTrue(self.row("1", "2"))
        self.send("3")
        self.assertEqual(self.asker.told, [(one, "failed", 503) for one in "123"])
        self.assertEqual((len(self.flying), self.pairs["b"].unsettled), (0, 0))

    def test_a_lost_link_tells_all_in_their_order(self) -> None:
        self.row("1", "2")
        self.send("3")
        self.row("4", "5")
        self.flying.fail(Batch())
        self.assertEqual(self.asker.told, [(one, "failed", 503) for one in "12345"])
        self.assertEqual((len(self.flying), self.pairs["b"].unsettled), (0, 0))
        self.assertTrue(self.pairs["b"].refused)

    def test_one_of_a_run_is_timed(self) -> None:
        self.timing.credit = 2
        self.row("1", "2", "3")
        self.send("x")
        self.assertEqual(self.timing.credit, 0)
        self.now = 5.0
        self.flying.settle("a", ["3", "2"], "delivered", None)
        self.assertEqual(len(self.timing), 0)
        self.flying.settle("a", ["1"], "delivered", None)
        self.now = 6.0
        self.flying.settle("a", ["x"], "delivered", None)
        self.assertEqual((len(self.timing), self.timing.total), (2, 11.0))

    def test_an_outcome_that_comes_by_itself_is_timed_as_well(self) -> None:
        self.timing.credit = 1
        self.row("1", "2")
        self.now = 3.0
        self.flying.pop("a", "1")
        self.assertEqual((len(self.timing), self.timing.total), (1, 3.0))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["row", "row", "one", "told", "told", "lost", "shut"]),
                st.lists(st.sampled_from("12345678"), min_size=1, max_size=4),
                st.sampled_from("bc"),
            )
        )
    )
    def test_each_is_told_as_often_as_one_by_one(self, moves: list[tuple[str, list[str], str]]) -> None:
        """A model without runs, and the same moves."""
        self.setUp()
        known: dict[str, str] = {}  # ids on their way, and to whom
        told: Counter[Told] = Counter()
        for move, ids, to in moves:
            if move == "told":
                self.flying.settle("a", ids, "delivered", None)
                told.update((one, "delivered", None) for one in ids if known.pop(one, None))
            elif move == "lost":
                self.flying.fail(Batch())
                told.update((one, "failed", 503) for one in known)
                known.clear()
            elif move == "shut":
                self.way.open = not self.way.open
            else:
                if move == "one" or not self.row(*ids, to=to):
                    for one in ids:
                        self.send(one, to)
                for one in ids:
                    full = one not in known and len(known) == 6
                    if full or not self.way.open:
                        told[one, "failed", 503] += 1
                        known = known if full else {key: whose for key, whose in known.items() if key != one}
                    else:
                        known[one] = to
        self.assertEqual(Counter(self.asker.told), told)
        self.assertEqual(len(self.flying), len(known))
        whom = Counter(known.values())
        self.assertEqual(
            {to: pair.unsettled for to, pair in self.pairs.items()}, {"b": whom["b"], "c": whom["c"]}
        )
