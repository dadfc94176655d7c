# SPDX-License-Identifier: MIT
"""The outbox's two roads: a pair leaves the relay behind its marker, crosses, and comes back in order."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.client.errors import BadMessage, ClientError, OutboxFull
from xjrelay.client.model import Receipt
from xjrelay.client.outbox import Entry, Outbox, Road
from xjrelay.wire import codec


class RoadTests(SynchronousTestCase):
    """Messages to Fajar, and one to Gita who stays at the relay."""

    def setUp(self) -> None:
        self.outbox = Outbox(pause=lambda tries: 1.0, max_messages=20)
        self.outcomes: list[tuple[str, str]] = []
        self.outbox.opened(0)

    def entry(self, message_id: str, pair: str = "fajar", saved: bool = True) -> Entry:
        value = {"stanza": "message", "to": pair, "id": message_id}

        def settled(outcome: Receipt | ClientError) -> None:
            assert isinstance(outcome, Receipt)
            self.outcomes.append((message_id, outcome.status))

        entry = Entry(value, codec.encode(value), pair, settled)
        entry.saved = saved
        return entry

    def add(self, ids: str, pair: str = "fajar") -> None:
        for message_id in ids:
            self.outbox.add(self.entry(message_id, pair))

    def relayed(self) -> str:
        """The ids that go by the relay now; one marked ``again`` has a ``*``."""
        values = [json.loads(frame) for frame in self.outbox.take()]
        return "".join(value["id"] + ("*" if value.get("again") else "") for value in values)

    def directly(self) -> str:
        """The ids that go on the link now."""
        return "".join(json.loads(frame)["id"] for frame in self.outbox.take_direct("fajar"))

    def settle(self, ids: str, status: str = "delivered", code: int | None = None, now: float = 0) -> None:
        for message_id in ids:
            self.assertTrue(self.outbox.settle(message_id, status, code, now), message_id)  # type: ignore[arg-type]

    def arrived(self, ids: str) -> list[bool]:
        return [self.outbox.arrived("fajar", message_id, 0) for message_id in ids]

    def leave(self) -> None:
        self.outbox.leave(self.entry("M"))

    def crossed(self) -> None:
        """Fajar's messages go on the link."""
        self.leave()
        self.relayed()
        self.settle("M")
        self.assertTrue(self.outbox.cross("fajar"))

    def test_what_comes_behind_the_marker_waits_and_then_crosses(self) -> None:
        self.add("12")
        self.leave()
        self.add("34")
        self.add("g", "gita")
        self.assertEqual(self.relayed(), "12Mg")
        for left in "12M":
            self.assertFalse(self.outbox.cross("fajar"))
            self.settle(left)
        self.assertTrue(self.outbox.cross("fajar"))
        self.assertFalse(self.outbox.cross("fajar"))
        self.add("5")
        self.assertEqual((self.directly(), self.relayed()), ("345", ""))
        self.assertEqual(self.arrived("345"), [True] * 3)
        self.assertEqual([message_id for message_id, _ in self.outcomes], list("12M345"))
        self.assertEqual((len(self.outbox), self.outbox.road("gita")), (1, Road.RELAY))

    def test_an_empty_pair_crosses_at_once(self) -> None:
        self.crossed()
        self.add("1")
        self.assertEqual(self.directly(), "1")

    def test_a_pair_that_never_left_doesn_t_cross(self) -> None:
        self.add("1")
        self.assertFalse(self.outbox.cross("fajar"))
        self.assertEqual(self.directly(), "")

    def test_back_everything_without_an_outcome_goes_by_the_relay_in_order(self) -> None:
        self.crossed()
        self.add("1234")
        self.assertEqual(self.directly(), "1234")
        self.add("5")
        self.assertEqual(self.arrived("12"), [True] * 2)
        self.outbox.back("fajar")
        self.add("6")
        self.assertEqual((self.relayed(), self.directly()), ("3*456", ""))
        self.assertEqual(self.arrived("3"), [False])
        self.settle("3456")

    def test_back_while_it_leaves(self) -> None:
        self.add("1")
        self.leave()
        self.add("23")
        self.assertEqual(self.relayed(), "1M")
        self.outbox.back("fajar")
        self.assertEqual(self.relayed(), "23")
        self.outbox.back("fajar")
        self.assertEqual(self.relayed(), "")

    def test_not_now_while_it_leaves_holds_the_marker_and_parks_the_rest(self) -> None:
        self.add("1")
        self.leave()
        self.add("2")
        self.assertEqual(self.relayed(), "1M")
        self.settle("1M", "failed", 503)
        self.assertFalse(self.outbox.cross("fajar"))
        self.outbox.retry(1.0)
        self.assertEqual(self.relayed(), "1*M")
        self.settle("1M")
        self.assertTrue(self.outbox.cross("fajar"))
        self.assertEqual(self.directly(), "2")

    def test_back_while_it_is_held(self) -> None:
        self.add("1")
        self.leave()
        self.add("2")
        self.relayed()
        self.settle("1M", "failed", 503)
        self.outbox.back("fajar")
        self.assertEqual(self.relayed(), "")
        self.outbox.retry(1.0)
        self.assertEqual(self.relayed(), "1*M2")

    def test_a_session_that_opens_or_resumes_sends_nothing_of_the_link(self) -> None:
        self.crossed()
        self.add("12")
        self.add("g", "gita")
        self.assertEqual((self.directly(), self.relayed()), ("12", "g"))
        self.outbox.opened(5)
        self.assertEqual(self.relayed(), "g")
        self.assertTrue(self.outbox.resumed(0, 6))
        self.assertEqual((self.relayed(), self.directly()), ("g", ""))

    def test_nor_what_is_parked(self) -> None:
        self.add("1")
        self.leave()
        self.add("2")
        self.assertEqual(self.relayed(), "1M")
        self.outbox.opened(5)
        self.assertEqual(self.relayed(), "1M")

    def test_back_with_no_session_goes_when_one_opens(self) -> None:
        self.crossed()
        self.add("12")
        self.directly()
        self.outbox.back("fajar")
        self.outbox.opened(5)
        self.assertEqual(self.relayed(), "1*2")

    def test_a_relay_s_outcome_is_not_believed_of_what_goes_on_the_link_nor_the_other_way_round(self) -> None:
        self.crossed()
        self.add("1")
        self.add("g", "gita")
        self.directly()
        self.assertFalse(self.outbox.settle("1", "delivered", None, 0))
        self.assertFalse(self.outbox.settle("1", "failed", 503, 0))
        self.assertEqual(self.arrived("g"), [False])
        self.assertFalse(self.outbox.too_large(0))

    def test_what_is_not_on_disk_yet_waits_for_it(self) -> None:
        self.crossed()
        self.add("1")
        late = self.entry("2", saved=False)
        self.outbox.add(late)
        self.add("3")
        self.assertEqual(self.directly(), "1")
        late.saved = True
        self.assertEqual(self.directly(), "23")

    def test_what_was_given_up_is_passed_over(self) -> None:
        self.crossed()
        self.add("12")
        entry = self.outbox.get("1")
        assert entry is not None
        self.outbox.give_up(entry, Receipt("1", "failed", 503), 0)
        self.assertEqual(self.directly(), "2")
        self.assertEqual(self.arrived("1"), [False])

    def test_a_marker_that_is_not_taken_leaves_the_pair_where_it_is(self) -> None:
        self.add("M")
        self.assertRaises(BadMessage, self.leave)
        for number in range(19):
            self.outbox.add(self.entry(f"n{number}"))
        self.assertRaises(OutboxFull, self.outbox.leave, self.entry("X"))
        self.assertEqual(self.outbox.road("fajar"), Road.RELAY)

    def test_abandoned_there_is_nothing_left_of_it(self) -> None:
        self.crossed()
        self.add("12")
        self.assertEqual([entry.id for entry in self.outbox.abandon()], ["1", "2"])
        self.assertEqual((self.directly(), self.outbox.road("fajar")), ("", Road.RELAY))
