# SPDX-License-Identifier: MIT
"""``xj plan`` on this machine, as short as it may be."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTime
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

PATIENCE = 100.0


class PlanTests(TestCase):
    """With real processes."""

    timeout = 120

    async def plan(self, *options: str) -> tuple[bytes, bytes, int]:
        """What it says, and its exit status."""
        xj = str(Path(sys.executable).with_name("xj"))
        running = getProcessOutputAndValue(xj, ["plan", *options], env=os.environ)
        running.addTimeout(PATIENCE, IReactorTime(reactor))
        out, err, status = await running
        return out, err, status

    async def test_every_figure_is_measured_and_nothing_is_left(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        out, err, status = await self.plan(
            "--seconds", "4", "--json", "--price", "5", "--data-dir", str(folder)
        )
        self.assertEqual((status, err), (0, b""), out)
        value = json.loads(out)
        costs = value["costs"]
        nothing = [name for name, cost in costs.items() if cost <= 0 and name not in MAY_BE_NOTHING]
        self.assertEqual(nothing, [], costs)
        self.assertLess(costs["message"], 0.1)
        self.assertGreater(value["users"], 10)
        self.assertEqual(value["first"], value["bounds"][0])
        self.assertEqual(list(folder.iterdir()), [])

    async def test_what_it_can_not_do(self) -> None:
        for options, word in ((["--seconds", "1"], b"--seconds"), (["--data-dir", "/nowhere"], b"/nowhere")):
            out, err, status = await self.plan(*options)
            self.assertEqual((out, status), (b"", 2), err)
            self.assertIn(word, err)


MAY_BE_NOTHING = {
    "rest",
    "rest_relay",
    "stored",
    "stored_relay",
    "memory_manager",
    "memory_relay",
    "message_elsewhere",
}
"""What is the difference of two measurements, and in so short a time may drown."""
