# SPDX-License-Identifier: MIT
"""A message's life, in words, from events and from logs."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli.trace import Event, drawn, ordered, reason, said_in, sentence
from xjrelay.client.model import Message
from xjrelay.client.tx import Client
from xjrelay.net.trace import EVENTS
from xjrelay.sandbox.suite import Sandbox


def logged(at: float, program: str, what: str, **more: Any) -> str:
    """A line of a log."""
    said = {"event": "message", "message": "m1", "sender": "esa", "recipient": "fajar", "where": ""} | more
    return json.dumps({"time": "2026", "at": at, "program": program, "what": what, **said}) + "\n"


class TraceTests(SynchronousTestCase):
    """Values in, words out."""

    def test_every_event_has_its_words(self) -> None:
        for event in EVENTS:
            words = sentence(Event(0.0, "relay", event, "esa", "fajar", "relay2"))
            self.assertNotEqual(words, f"{event} relay2")

    def test_they_are_told_in_the_order_of_time(self) -> None:
        events = [
            Event(2.5, "relay2", "arrived", "esa", "fajar", "relay1"),
            Event(1.0, "relay1", "accepted", "esa", "fajar", "relay2"),
            Event(3.0, "relay1", "failed", "esa", "", "503"),
        ]
        self.assertEqual(
            drawn(ordered(events)).splitlines(),
            [
                "TIME (UTC)    PROGRAM  WHAT",
                "00:00:01.000  relay1   accepted from esa for fajar: goes to relay2",
                "00:00:02.500  relay2   arrived from relay1: by esa for fajar",
                f"00:00:03.000  relay1   failed: {reason('503')}; told esa",
            ],
        )

    def test_of_two_senders_one_may_be_meant(self) -> None:
        events = [
            Event(1.0, "relay1", "accepted", "esa/phone", "fajar", ""),
            Event(2.0, "relay1", "accepted", "gita", "fajar", ""),
        ]
        self.assertEqual(ordered(events, "Esa"), events[:1])
        self.assertEqual(ordered([*events, *events]), events)

    def test_logs_are_read_and_what_is_no_event_is_passed_over(self) -> None:
        lines = [
            "not JSON, though it names m1\n",
            '{"event": "link-open", "text": "m1"}\n',
            '["m1"]\n',
            logged(1.0, "relay1", "accepted", where="relay2"),
            logged(2.0, "relay1", "accepted", message="m2"),
            json.dumps(
                {"id": "m1", "time": 3.0, "program": "relay2", "event": "arrived"}
                | {"from": "esa", "to": "fajar", "where": "relay1"}
            ),
        ]
        self.assertEqual(
            list(said_in(lines, "m1")),
            [
                Event(1.0, "relay1", "accepted", "esa", "fajar", "relay2"),
                Event(3.0, "relay2", "arrived", "esa", "fajar", "relay1"),
            ],
        )

    def test_what_a_terminal_would_obey_is_spelt_out(self) -> None:
        self.assertNotIn("\x1b", drawn([Event(1.0, "relay1", "refused", "\x1b[2J", "", "\x1b")]))


async def next_of(client: Client) -> Message:
    """The next message."""
    return await anext(client.messages())


class LifeTests(SynchronousTestCase):
    """What programs remember of real messages, in the sandbox."""

    def setUp(self) -> None:
        self.sandbox = Sandbox(seed=5, relays=2)
        self.sandbox.start()
        self.sandbox.advance(5)
        self.esa, self.fajar = self.sandbox.user("esa"), self.sandbox.user("fajar")
        self.sandbox.advance(1)

    def life(self, message_id: str) -> list[tuple[str, str, str]]:
        return [(program, note.event, note.where) for program, note in self.sandbox.trace(message_id)]

    def test_over_two_relays(self) -> None:
        receipt = self.esa.send("fajar", "halo")
        taken = self.sandbox.run(next_of(self.fajar))
        self.sandbox.run(receipt)
        here, there = self.home("esa"), self.home("fajar")
        self.assertNotEqual(here, there)
        assert taken.id is not None
        self.assertEqual(
            self.life(taken.id),
            [
                (here, "accepted", there),
                (there, "arrived", here),
                (there, "delivered", ""),
                (here, "delivered", ""),
            ],
        )

    def home(self, user: str) -> str:
        relays = [name for name in self.sandbox.programs if name.startswith("relay")]
        sessions = {name: self.sandbox.server(name).relay.switch.sessions() for name in relays}
        return next(name for name in relays if user in [one.username for one in sessions[name]])

    def test_to_the_mailbox_and_out_of_it(self) -> None:
        here = self.home("esa")
        self.sandbox.run(self.fajar.close())
        self.sandbox.advance(5)
        receipt = self.sandbox.run(self.esa.send("fajar", "halo"))
        self.assertEqual(
            self.life(receipt.id),
            [
                (here, "accepted", "the mailbox, or nobody"),
                ("manager", "to store", here),
                ("manager", "stored", ""),
                (here, "stored", ""),
            ],
        )
        again = self.sandbox.run(self.sandbox.connect("fajar"))
        self.sandbox.run(next_of(again))
        self.sandbox.advance(2)
        events = [event for _, event, _ in self.life(receipt.id)]
        self.assertEqual(events[4:], ["handed out", "taken"])

    def test_to_nobody(self) -> None:
        receipt = self.sandbox.run(self.esa.send("nobody", "halo"))
        self.assertEqual(receipt.status, "failed")
        self.assertEqual(self.life(receipt.id)[-1][1:], ("failed", "404"))
