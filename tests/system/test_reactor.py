# SPDX-License-Identifier: MIT
"""The quick reactor does what Twisted's does, on the Twisted that is installed."""

from __future__ import annotations

import json
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.system.reactor_child import SIZE


class QuickReactorTests(SynchronousTestCase):
    """In a process of its own."""

    def test_connections_timers_threads_failures_and_the_end(self) -> None:
        child = subprocess.run(
            [sys.executable, "-m", "tests.system.reactor_child"],
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
        )
        self.assertEqual(child.returncode, 0, child.stderr)
        told = json.loads(child.stdout.splitlines()[-1])
        self.assertEqual(
            told,
            {
                "installed": True,
                "again": False,
                "reactor": "QuickReactor",
                "echo": ["ConnectionDone", SIZE],
                "close": ["ConnectionDone", 0],
                "fail": ["ConnectionDone", 0],
                "together": ["0 a", "1 b", "written", "written"],
                "ended": ["0 end", "written"],
                "closed": ["0 lose", "written"],
                "much": ["0 a", "wri", "1 b", "wri"],
                "more": ["0 a", "wri"] * 3 + ["1 b", "wri"],
                "thread": "back",
                "timers": [1, 2, 3],
                "shutdown": True,
                "errors": ["ValueError", "KeyError"],
                "finished": [],
            },
        )
