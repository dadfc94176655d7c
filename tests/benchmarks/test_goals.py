# SPDX-License-Identifier: MIT
"""The goals and the page, of runs made up here."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import tables
from benchmarks.curves import ALL_TALK, ALL_TALK_AT_THE_FLOOR, Idle, Point
from benchmarks.goals import Goal, goals
from benchmarks.measure import Row
from benchmarks.peers import NATS
from benchmarks.result import Result
from benchmarks.scenes import ACKNOWLEDGED, NAMED, OURS, PLAIN, TAIL, best

ROW = Row(
    PLAIN, OURS, 200, 1, 100, cpu=9.0, rate=1e5, p50=20.0, p99=90.0, p999=200.0, lost=0, memory=60_000_000
)


def found(*rows: Row) -> dict[str, Goal]:
    """The goals of a run of these rows, by their text."""
    return {goal.text: goal for goal in goals(Result("2026-01-01", [], {}, list(rows)))}


class GoalTests(SynchronousTestCase):
    """One aim and its verdict."""

    def test_lines(self) -> None:
        self.assertEqual("goal less, at most 2 times: measured 2.00: met", Goal("less", 2, 2.0).line)
        self.assertEqual(
            "goal less, below 2 times: measured 2.00: not met", Goal("less", 2, 2.0, strict=True).line
        )
        self.assertEqual("goal less: not measured", Goal("less", 2, None).line)
        self.assertFalse(Goal("less", 2, None).met)

    def test_beside_another(self) -> None:
        text = "CPU time a message beside nats-server's at P200 W1"
        cheaper = found(ROW, replace(ROW, server=NATS.name, cpu=12.0))[text]
        self.assertEqual((0.75, True), (cheaper.measured, cheaper.met))
        as_dear = found(ROW, replace(ROW, server=NATS.name))[text]
        self.assertEqual((1.0, False), (as_dear.measured, as_dear.met))
        self.assertIsNone(found(ROW)[text].measured)

    def test_the_tail(self) -> None:
        text = "p99 beside p50 at half of the top rate, one message at a time"
        self.assertEqual(4.5, found(replace(ROW, scene=TAIL))[text].measured)

    def test_lost(self) -> None:
        self.assertTrue(found(ROW)["messages lost in all of it"].met)
        self.assertFalse(found(replace(ROW, lost=1))["messages lost in all of it"].met)

    def test_a_curve(self) -> None:
        run = Result("2026-01-01", [], {}, points=[Point("users", 10, 4.0), Point("users", 100, 5.0)])
        (curve,) = [goal for goal in goals(run) if "100 users" in goal.text]
        self.assertEqual((1.25, False), (curve.measured, curve.met))

    def test_what_talks_is_held_against_the_floor(self) -> None:
        points = [
            *(Point(ALL_TALK, 100, 4.0), Point(ALL_TALK, 4_000, 8.0)),
            *(Point(ALL_TALK_AT_THE_FLOOR, 100, 2.0), Point(ALL_TALK_AT_THE_FLOOR, 4_000, 3.0)),
        ]
        (growth,) = [
            goal for goal in goals(Result("2026-01-01", [], {}, points=points)) if "talking" in goal.text
        ]
        assert growth.measured is not None
        self.assertAlmostEqual(2.0 / 1.5, growth.measured)
        self.assertFalse(growth.met)

    def test_acknowledgement_is_held_against_the_same_messages(self) -> None:
        text = "CPU time a message with acknowledgement beside the same without at P200 W1"
        rows = [ROW, replace(ROW, server=NAMED, cpu=10.0), replace(ROW, server=ACKNOWLEDGED, cpu=13.0)]
        self.assertEqual((1.3, True), (found(*rows)[text].measured, found(*rows)[text].met))

    def test_idle(self) -> None:
        run = Result("2026-01-01", [], {}, idle=[Idle(OURS, 10_000, 3500.0, 0.01)])
        (idle,) = [goal for goal in goals(run) if "idle" in goal.text]
        self.assertEqual(
            ("resident memory of each of 10,000 idle authenticated sessions", True), (idle.text, idle.met)
        )


class BestTests(SynchronousTestCase):
    """The laps of a case made one."""

    def test_best(self) -> None:
        worse = replace(ROW, cpu=11.0, rate=2e5, p50=18.0, lost=2)
        (row,) = best([ROW, worse])
        self.assertEqual((9.0, 2e5, 20.0, 2), (row.cpu, row.rate, row.p50, row.lost))

    def test_times_are_of_one_lap(self) -> None:
        calm = replace(ROW, cpu=11.0, p50=24.0, p99=60.0, p999=70.0)
        for rows in ([ROW, calm], [calm, ROW]):
            (row,) = best(rows)
            self.assertEqual((9.0, 24.0, 60.0, 70.0), (row.cpu, row.p50, row.p99, row.p999))

    def test_other_cases_apart(self) -> None:
        self.assertEqual(3, len(best([ROW, replace(ROW, window=16), replace(ROW, server=NATS.name)])))


class PageTests(SynchronousTestCase):
    """The tables."""

    made = Result(
        "2026-01-01",
        ["a machine"],
        {OURS: "1"},
        [ROW, replace(ROW, server=NATS.name, cpu=18.0)],
        [Point("users", 10, 4.0)],
        [Idle(OURS, 100, 2048.0, 0.001)],
    )

    def test_page(self) -> None:
        page = tables.page(self.made)
        self.assertIn("| **xjrelay** | 9.00 (1.00) |", page)
        self.assertIn("| nats-server | 18.0 (2.00) |", page)
        self.assertIn("| xjrelay | 100 | 2.00 KiB | 0.10% |", page)
        self.assertIn("- a machine", page)

    def test_what_a_reader_has_to_know(self) -> None:
        self.assertIn("**half a run**", tables.page(replace(self.made, notes=["half a run"])))

    def test_verdicts(self) -> None:
        """What wasn't measured is neither met nor missed."""
        page = tables.page(self.made)
        self.assertIn("beside nats-server's at P200 W1 | < 1.00 times | 0.50 | met |", page)
        self.assertIn("beside nats-server's at P1 W1 | < 1.00 times | not measured |  |", page)
        dear = replace(self.made, rows=[replace(ROW, cpu=36.0), replace(ROW, server=NATS.name, cpu=18.0)])
        self.assertIn(
            "beside nats-server's at P200 W1 | < 1.00 times | 2.00 | **not met** |", tables.page(dear)
        )

    def test_kept(self) -> None:
        kept = msgspec.json.encode(self.made)
        self.assertEqual(self.made, msgspec.json.decode(kept, type=Result))
