# SPDX-License-Identifier: MIT
"""Everybody comes back at once after everything was killed: the smaller form of ``benchmarks.storm``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTime
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 100.0


class StormTests(TestCase):
    """With real processes, on loopback."""

    timeout = 120

    async def test_two_hundred_come_back_and_none_is_refused(self) -> None:
        command = [
            "-m",
            "benchmarks.storm",
            "--users",
            "200",
            "--rounds",
            "4096",
            "--processes",
            "1",
            "--json",
        ]
        running = getProcessOutputAndValue(sys.executable, command, env=os.environ, path=str(ROOT))
        running.addTimeout(PATIENCE, IReactorTime(reactor))
        out, err, status = await running
        self.assertEqual(status, 0, err)
        result = json.loads(out)
        for what in ("first", "back"):
            came = {name: result[what][name] for name in ("back", "lost", "refusals")}
            self.assertEqual(came, {"back": 200, "lost": 0, "refusals": {}}, result[what])
