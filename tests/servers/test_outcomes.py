# SPDX-License-Identifier: MIT
"""Receipts: gathered while a read lasts, one for each sender and outcome, none too long."""

from __future__ import annotations

import json
import random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.net.context import Context, Limits
from xjrelay.net.trace import Trace
from xjrelay.servers.relay.outcomes import MAX_IDS, Outcomes, gathered
from xjrelay.wire.ids import Ids


class OutcomesTests(SynchronousTestCase):
    """What is written, to whom, and when."""

    def setUp(self) -> None:
        self.context = Context(Clock(), random.Random(1), Limits(max_frame=20_000))
        self.context.trace = Trace(lambda: 0.0, 100)
        self.frames: list[bytes] = []
        self.outcomes: Outcomes[str] = Outcomes(
            self.context, lambda who: who, lambda _, frame: self.frames.append(frame)
        )

    def told(self) -> list[dict[str, Any]]:
        """What was written since the last look."""
        frames, self.frames = self.frames, []
        return [json.loads(frame) for frame in frames]

    def add(self, who: str, *ids: str, status: str = "delivered", code: int | None = None) -> None:
        self.outcomes.add(who, Ids.of(list(ids)), status, code)

    def test_outside_a_read_each_is_told_at_once(self) -> None:
        self.add("esa", "1")
        self.add("esa", "2", "3")
        self.assertEqual([receipt["ids"] for receipt in self.told()], [["1"], ["2", "3"]])

    def test_in_a_read_one_is_told_for_each_sender_and_outcome(self) -> None:
        with gathered(self.context.batch):
            self.add("esa", "1", "2")
            self.add("esa", "3", status="failed", code=503)
            self.add("fajar", "1")
            self.add("esa", "4")
            self.assertEqual(self.told(), [])
        heard = [(one["to"], one["ids"], one["status"], one.get("code")) for one in self.told()]
        delivered = ("esa", ["1", "2", "4"], "delivered", None)
        self.assertEqual(
            heard, [delivered, ("esa", ["3"], "failed", 503), ("fajar", ["1"], "delivered", None)]
        )
        self.assertEqual(self.context.counters.outcomes, {("delivered", None): 4, ("failed", 503): 1})

    def test_what_is_too_much_for_one_is_told_in_several_in_order(self) -> None:
        many = [str(number) for number in range(2 * MAX_IDS + 1)]
        long = ["x" * 60 + str(number) for number in range(900)]
        for ids in (many, long):
            with gathered(self.context.batch):
                for first in range(0, len(ids), 300):
                    self.add("esa", *ids[first : first + 300])
            self.assertLessEqual(max(map(len, self.frames)), self.context.limits.max_frame)
            receipts = self.told()
            self.assertEqual([one for receipt in receipts for one in receipt["ids"]], ids)
            self.assertLessEqual(max(len(receipt["ids"]) for receipt in receipts), MAX_IDS)
            self.assertLessEqual(len(receipts), 4)

    def test_each_is_remembered_by_its_id(self) -> None:
        self.add("esa", "1", "2", status="failed", code=507)
        assert self.context.trace is not None
        ((_, event, from_, _, ids, where),) = self.context.trace.find("2")
        self.assertEqual((event, from_, list(ids), where), ("failed", "esa", ["1", "2"], "507"))
        self.assertEqual(self.context.trace.find("3"), [])
