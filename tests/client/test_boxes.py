# SPDX-License-Identifier: MIT
"""The counts and the order of what is under way, against a relay that is a list."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.client.errors import BadAddress, ClientError, TimedOut
from xjrelay.client.inbox import Arrival, Inbox, SeenIds
from xjrelay.client.model import Message, Receipt
from xjrelay.client.outbox import Entry, Outbox
from xjrelay.client.target import Place, trackers


class SeenIdTests(SynchronousTestCase):
    """Bounded both ways."""

    def test_an_id_is_new_once_a_sender(self) -> None:
        seen = SeenIds()
        self.assertTrue(seen.add("fajar", "1"))
        self.assertFalse(seen.add("fajar", "1"))
        self.assertTrue(seen.add("gita", "1"))

    def test_the_oldest_id_is_forgotten(self) -> None:
        seen = SeenIds(ids=2)
        for message_id in ("1", "2", "3"):
            seen.add("fajar", message_id)
        self.assertFalse(seen.add("fajar", "2"))
        self.assertTrue(seen.add("fajar", "1"))

    def test_the_sender_not_heard_for_longest_is_forgotten(self) -> None:
        seen = SeenIds(senders=2)
        for sender in ("a", "b", "a", "c"):
            seen.add(sender, "1")
        self.assertFalse(seen.add("a", "1"))
        self.assertTrue(seen.add("b", "1"))


class CountingRelay:
    """A relay's end of one user's sessions: what it owes, and an inbox that hears what arrives.

    Attributes:
        owed: number and frame of what was not acknowledged; None is a receipt.
        sent: numbers used in this session.
        queue: what waits for the application.
        every: the bodies of all messages, in order.
    """

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.owed: list[tuple[int, Message | None]] = []
        self.sent = 0
        self.queue: list[Arrival] = []
        self.every: list[str] = []
        self._cut = False  # what is sent now doesn't arrive

    def message(self) -> None:
        body = str(len(self.every) + 1)
        self.every.append(body)
        self.send(Message(from_="fajar", to="esa", body=body, id=body))

    def send(self, frame: Message | None) -> None:
        self.sent += 1
        self.owed.append((self.sent, frame))
        if not self._cut:
            self._deliver(frame)

    def lose(self) -> None:
        """The connection stops carrying, and a message is sent into it."""
        self._cut = True
        self.message()

    def resume(self) -> None:
        h = self.inbox.resuming()
        self.owed = [one for one in self.owed if one[0] > h]
        self.inbox.resumed()
        self._cut = False
        for _, frame in self.owed:
            self._deliver(frame)

    def new_session(self) -> None:
        """What was not acknowledged is its senders' to send again, with the same ids."""
        again = [frame for _, frame in self.owed if frame is not None]
        self.inbox.opened()
        self.owed, self.sent, self._cut = [], 0, False
        for frame in again:
            self.send(frame)

    def _deliver(self, frame: Message | None) -> None:
        if self.inbox.count() and frame is not None and (arrival := self.inbox.arrive(frame)) is not None:
            self.queue.append(arrival)


class InboxTests(SynchronousTestCase):
    """What a relay that keeps to the protocol may rely on."""

    @given(st.lists(st.sampled_from(["message", "receipt", "take", "lose", "resume", "new"]), max_size=60))
    @settings(max_examples=300, deadline=None)
    def test_nothing_is_lost_doubled_or_acknowledged_early(self, steps: list[str]) -> None:
        relay = CountingRelay()
        shown: list[str] = []

        def take() -> None:
            if relay.queue:
                arrival = relay.queue.pop(0)
                shown.append(arrival.message.body)
                relay.inbox.taken(arrival)

        verbs = {
            "message": relay.message,
            "receipt": lambda: relay.send(None),
            "take": take,
            "lose": relay.lose,
            "resume": relay.resume,
            "new": relay.new_session,
        }
        for step in [*steps, "resume", *["take"] * 60]:
            verbs[step]()
            not_taken = {arrival.message.body for arrival in relay.queue}
            for number, frame in relay.owed:
                if frame is not None and frame.body in not_taken:
                    self.assertLess(relay.inbox.h, number)
        self.assertEqual(shown, relay.every)
        self.assertEqual(relay.inbox.h, relay.sent)


def entry(message_id: str, outcomes: dict[str, Any], pair: str = "fajar") -> Entry:
    """A small message."""
    value = {"stanza": "message", "to": pair, "id": message_id}

    def settled(outcome: Receipt | ClientError) -> None:
        assert message_id not in outcomes
        outcomes[message_id] = outcome

    return Entry(value, json.dumps(value).encode(), pair, settled)


class ForgetfulRelay:
    """A relay that says "not now" when told to, and then until a message is marked, and whose
    connections end.

    Attributes:
        outcomes: by id, as the outbox told them.
        first: a recipient's messages in the order they were first delivered.
    """

    def __init__(self) -> None:
        self.outbox = Outbox(pause=lambda tries: 1.0)
        self.outcomes: dict[str, Any] = {}
        self.first: dict[str, list[int]] = {"fajar": [], "gita": []}
        self.sent = 0
        self._wire: list[dict[str, Any]] = []  # written, not arrived
        self._had: list[dict[str, Any]] = []  # arrived, no outcome
        self._count = 0
        self._held: set[str] = set()
        self._now = 0.0

    def step(self, what: str) -> None:
        getattr(self, what)()
        self._wire.extend(json.loads(frame) for frame in self.outbox.take())

    def send(self, to: str = "fajar") -> None:
        self.sent += 1
        self.outbox.add(entry(str(self.sent), self.outcomes, to))

    def send_another(self) -> None:
        self.send("gita")

    def arrive(self) -> None:
        if self._wire:
            self._count += 1
            self._had.append(self._wire.pop(0))

    def deliver(self, refuse: bool = False) -> None:
        if not self._had:
            return
        value = self._had.pop(0)
        if value.get("again"):
            self._held.discard(value["to"])
        if refuse or value["to"] in self._held:
            self._held.add(value["to"])
            self.outbox.settle(value["id"], "failed", 503, self._now)
            return
        if int(value["id"]) not in self.first[value["to"]]:
            self.first[value["to"]].append(int(value["id"]))
        self.outbox.settle(value["id"], "delivered", None, self._now)

    def refuse(self) -> None:
        self.deliver(refuse=True)

    def acknowledge(self) -> None:
        assert self.outbox.acknowledged(self._count)

    def resume(self) -> None:
        self._wire.clear()
        assert self.outbox.resumed(self._count, self._now)

    def new_session(self) -> None:
        self._wire.clear()
        self._had.clear()
        self._held.clear()
        self._count = 0
        self.outbox.opened(self._now)

    def wait(self) -> None:
        self._now += 2
        self.outbox.retry(self._now)


VERBS = [
    "send",
    "send_another",
    "arrive",
    "deliver",
    "refuse",
    "acknowledge",
    "resume",
    "new_session",
    "wait",
]


class OutboxTests(SynchronousTestCase):
    """One outcome each, in order."""

    @given(st.lists(st.sampled_from(VERBS), max_size=80))
    @settings(max_examples=300, deadline=None)
    def test_each_message_has_one_outcome_and_pairs_keep_their_order(self, steps: list[str]) -> None:
        relay = ForgetfulRelay()
        for step in [*steps, "resume", *["arrive", "deliver", "wait"] * 200]:
            relay.step(step)
        self.assertEqual(sorted(relay.outcomes, key=int), [str(n + 1) for n in range(relay.sent)])
        self.assertTrue(all(outcome.status == "delivered" for outcome in relay.outcomes.values()))
        for order in relay.first.values():
            self.assertEqual(order, sorted(order))
        self.assertEqual(len(relay.outbox), 0)
        self.assertIsNone(relay.outbox.retry_at())

    def test_an_impossible_count_is_told(self) -> None:
        outbox = Outbox(pause=lambda tries: 1.0)
        outbox.add(entry("1", {}))
        outbox.take()
        self.assertFalse(outbox.acknowledged(2))
        self.assertTrue(outbox.acknowledged(1))
        self.assertFalse(outbox.acknowledged(0))

    def test_an_outcome_nobody_waits_for_is_told(self) -> None:
        self.assertFalse(Outbox(pause=lambda tries: 1.0).settle("1", "delivered", None, 0))

    def test_given_up_it_keeps_its_number(self) -> None:
        outcomes: dict[str, Any] = {}
        outbox = Outbox(pause=lambda tries: 1.0)
        one = entry("1", outcomes)
        outbox.add(one)
        outbox.take()
        late = TimedOut("no outcome")
        outbox.give_up(one, late, 0)
        outbox.give_up(one, late, 0)
        self.assertEqual(outcomes, {"1": late})
        self.assertTrue(outbox.acknowledged(1))

    def test_given_up_while_held_it_holds_nobody_else(self) -> None:
        outcomes: dict[str, Any] = {}
        outbox = Outbox(pause=lambda tries: 1.0)
        one, two = entry("1", outcomes), entry("2", outcomes)
        outbox.add(one)
        outbox.add(two)
        outbox.take()
        outbox.settle("1", "failed", 503, 0)
        self.assertIsNone(outbox.retry_at())  # the second is under way
        outbox.give_up(two, TimedOut("no outcome"), 0)
        self.assertEqual(outbox.retry_at(), 1.0)


class TargetTests(SynchronousTestCase):
    """xj:// addresses."""

    def test_several_trackers(self) -> None:
        found = trackers("xj://10.0.0.1:5000,tracker.example.org,[2001:db8::1]:6000,2001:db8::2/")
        self.assertEqual([str(place) for place in found], [
            "10.0.0.1:5000", "tracker.example.org:5000", "[2001:db8::1]:6000", "[2001:db8::2]:5000",
        ])  # fmt: skip
        self.assertEqual(found[0], Place("10.0.0.1", 5000))

    def test_what_is_none(self) -> None:
        for text in (
            "10.0.0.1:5000",
            "xj://",
            "xj://a:0",
            "xj://a:65536",
            "xj://a:x",
            "xj://a,",
            "xj://a b",
            "xj://u@h",
        ):
            with self.assertRaises(BadAddress):
                trackers(text)
