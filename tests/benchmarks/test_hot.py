# SPDX-License-Identifier: MIT
"""The hot path as ``make bench-check`` drives it: everything comes through."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.hot import PAIRS, HotPath


class HotPathTests(SynchronousTestCase):
    """Each form; a message that doesn't come through is an error of the run."""

    def test_all_comes_through(self) -> None:
        for window, ack in ((1, False), (16, False), (16, True)):
            self.assertGreater(HotPath(window, ack).run(10 * PAIRS), 0.0)

    def test_one_that_does_not_is_noticed(self) -> None:
        path = HotPath(16, ack=False)
        self.patch(path.pairs[0][1].sink, "write", lambda _data: None)
        self.assertRaisesRegex(RuntimeError, "784 of 800 messages came through", path.run, PAIRS)
