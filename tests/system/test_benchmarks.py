# SPDX-License-Identifier: MIT
"""The load generator compiles, loses nothing, and measures our relay; how fast is not asked here."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.measure import Case, Course, Row, build, in_turn
from benchmarks.ours import Settings, Suite, Traffic, plan
from benchmarks.peers import FLOOR
from benchmarks.plan import Load, Run
from benchmarks.programs import make_certificate


class FloorTests(SynchronousTestCase):
    """The generator against the forwarder in C, in each way that it can drive."""

    def test_ways(self) -> None:
        build()
        ways = {
            "window": Run(4, 0.2, 0.1),
            "rate": Run(1, 0.2, 0.1, rate=2000, burst=5),
            "roving": Run(8, 0.2, 0.1, roving=True),
        }
        with tempfile.TemporaryDirectory() as folder:
            floor = FLOOR.start(Path(folder), 0, None)
            self.addCleanup(floor.end)
            for name, run in ways.items():
                with Load(FLOOR.plan([(floor.port, floor.port)], 20, 2000), run, [floor.pid]) as load:
                    for result in (load.lap(), load.lap()):
                        self.assertGreater(result["received"], 0, name)
                        self.assertEqual(0, result["lost"], name)
                        self.assertGreater(result["cpu"], 0, name)
                        self.assertLessEqual(result["p50"], result["p999"], name)


class OursTests(SynchronousTestCase):
    """Our relay: in the clear, acknowledged, to people who are away, and over TLS."""

    def rows(self, folder: Path, run: Run) -> list[Row]:
        """Two laps of each kind of traffic, by turns."""
        kinds = (Traffic(), Traffic(ack=True), Traffic(ack=True, offline=True), Traffic(tls=True, size=1024))
        suite = Suite(folder, Settings(certificate=make_certificate(folder)))
        try:
            with ExitStack() as stack:
                courses = [
                    stack.enter_context(
                        Course(Case(str(kind), "xjrelay", 5, run), suite.relays, plan(suite, 5, kind))
                    )
                    for kind in kinds
                ]
                return list(in_turn(courses, 2))
        finally:
            suite.end()

    def test_rows(self) -> None:
        build()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for row in self.rows(Path(folder), Run(4, 0.3, 0.1)):
                self.assertEqual(0, row.lost, row.scene)
                self.assertGreater(row.rate, 0, row.scene)
                self.assertGreater(row.cpu, 0, row.scene)
                self.assertGreater(row.memory, 0, row.scene)
