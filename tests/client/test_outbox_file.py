# SPDX-License-Identifier: MIT
"""An outbox in a file, through the death of its application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.client.house import RELAY_2, House, OnAsyncio, OnTwisted
from tests.client.test_journal import at_most
from xjrelay.client.errors import BadMessage, Disconnected, OutboxBroken, TimedOut
from xjrelay.client.inbox import REMEMBERED_FOR
from xjrelay.client.model import Message, Receipt
from xjrelay.client.network import Promise
from xjrelay.client.session import Session


class OutboxFile(House):
    """Esa's application, and its next life."""

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp()).absolute()
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def kept(self, **keys: Any) -> Session:
        return self.online(outbox=str(self.path), **keys)

    def next_life(self) -> Session:
        """The application was killed, and is started again: it finds the file as it was at that moment."""
        now = Path(f"{self.path}.next")
        now.write_bytes(self.path.read_bytes())
        self.path = now
        self.relay.forget()
        for pipe in self.relay.pipes:
            pipe.silent = True
        return self.kept()

    def sent(self) -> list[str]:
        return [value["id"] for value in self.relay.said(stanza="message")]

    def bodies(self, session: Session) -> list[str]:
        return [event.body for event in self.events(session) if isinstance(event, Message)]

    def test_what_had_no_outcome_is_sent_again_by_the_next_life(self) -> None:
        session = self.kept()
        self.run_(session.send("fajar", "zero", id="0"))
        self.relay.outcome = lambda message: None
        for number in "123":
            self.spawn(session.send("fajar", number, id=number))
        self.turn()
        self.relay.heard.clear()
        self.relay.outcome = self.relay.delivered
        self.next_life()
        self.assertEqual(self.sent(), ["1", "2", "3"])
        self.assertEqual([value["body"] for value in self.relay.said(stanza="message")], ["1", "2", "3"])
        self.relay.heard.clear()
        self.next_life()
        self.assertEqual(self.sent(), [])

    def test_its_outcome_comes_as_an_event(self) -> None:
        session = self.kept()
        self.relay.outcome = lambda message: None
        self.spawn(session.send("fajar", "halo", id="1"))
        self.turn()
        session = self.next_life()
        self.relay.receipt({"from": "esa", "id": "1"}, "stored")
        self.turn()
        self.assertIn(Receipt("1", "stored"), self.events(session))

    def test_one_may_wait_for_it_by_sending_it_again(self) -> None:
        session = self.kept()
        self.relay.outcome = lambda message: None
        self.spawn(session.send("fajar", "halo", id="1"))
        self.turn()
        session = self.next_life()
        waiting = self.spawn(session.send("fajar", "halo", id="1"))
        self.turn()
        with self.assertRaises(BadMessage):  # somebody waits already
            self.run_(session.send("fajar", "halo", id="1"))
        with self.assertRaises(BadMessage):
            self.run_(session.send("gita", "halo", id="1"))
        self.relay.receipt({"from": "esa", "id": "1"}, "delivered")
        self.turn()
        self.assertEqual(waiting.result, Receipt("1", "delivered"))

    def test_it_outlives_the_caller_s_patience(self) -> None:
        session = self.kept()
        self.relay.outcome = lambda message: None
        with self.assertRaises(TimedOut):
            self.run_(session.send("fajar", "halo", id="1", timeout=3.0), 3.1)
        self.relay.outcome = self.relay.delivered
        self.relay.stop()
        self.manager.relay = RELAY_2
        self.turn(1)
        self.assertEqual([value["id"] for value in self.relay2.said(stanza="message")], ["1"])
        self.assertIn(Receipt("1", "delivered"), self.events(session))

    def test_closed_in_order_it_is_kept_too(self) -> None:
        session = self.kept()
        self.relay.outcome = lambda message: None
        sending = self.spawn(session.send("fajar", "halo", id="1"))
        self.turn()
        self.relay.heard.clear()
        self.run_(session.close(), 3)
        with self.assertRaises(Disconnected):
            _ = sending.result
        self.kept()  # the very file: it was let go
        self.assertEqual(self.sent(), ["1"])

    def test_a_message_goes_out_when_it_is_on_disk(self) -> None:
        session = self.kept()
        held: list[Promise[None]] = []
        self.network.held = held
        sending = []
        for number in "123":
            sending.append(self.spawn(session.send("fajar", number, id=number)))
            self.turn()
        self.assertEqual((self.sent(), len(held)), ([], 1))
        held.pop().settle(None)
        self.turn()
        self.assertEqual((self.sent(), len(held)), (["1"], 1))  # the others came while it was at it
        held.pop().settle(None)
        self.turn()
        self.assertEqual((self.sent(), held), (["1", "2", "3"], []))
        self.assertEqual([one.result.status for one in sending], ["delivered"] * 3)

    def test_closed_while_the_disk_is_at_work_the_file_is_let_go_afterwards(self) -> None:
        session = self.kept()
        held: list[Promise[None]] = []
        self.network.held = held
        sending = self.spawn(session.send("fajar", "halo", id="1"))
        self.turn()
        self.run_(session.close(), 3)
        self.assertTrue(sending.done)
        (release,) = held
        self.network.held = None
        again = self.session(outbox=str(self.path))
        with self.assertRaises(OutboxBroken):
            self.run_(again.start())
        release.settle(None)
        self.turn()
        self.kept()
        self.assertEqual(self.sent(), ["1"])

    def test_a_full_disk_refuses_and_nothing_goes_out(self) -> None:
        session = self.kept()
        with at_most(self.path.stat().st_size + 20), self.assertRaises(OutboxBroken):
            self.run_(session.send("fajar", "halo", id="1"))
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.run_(session.send("fajar", "halo", id="1")).status, "delivered")

    def test_an_outcome_that_can_not_be_kept_is_told_and_logged_once(self) -> None:
        session = self.kept()
        self.relay.outcome = lambda message: None
        sending = [self.spawn(session.send("fajar", n, id=n)) for n in "12"]
        self.turn()
        with at_most(self.path.stat().st_size):
            for n in "12":
                self.relay.receipt({"from": "esa", "id": n}, "delivered")
            self.turn()
        self.assertEqual([one.result.status for one in sending], ["delivered"] * 2)
        self.assertEqual(len([line for line in self.network.logged if "not kept" in line]), 1)

    def test_what_the_application_had_it_does_not_have_again(self) -> None:
        session = self.kept()
        self.relay.message("a", id="1")
        self.turn()
        self.assertEqual(self.bodies(session), ["a"])
        self.relay.message("b", id="2")  # not taken before the end
        self.turn()
        session = self.next_life()
        for body, message_id in ("a1", "b2", "c3"):
            self.relay.message(body, id=message_id)
        self.turn()
        self.assertEqual(self.bodies(session), ["b", "c"])
        self.turn(0.5)
        self.assertEqual(self.relay.said(stanza="ack")[-1]["h"], 3)

    def test_nothing_is_sent_again_after_31_days(self) -> None:
        session = self.kept()
        self.relay.outcome = lambda message: None
        with self.assertRaises(TimedOut):
            self.run_(session.send("fajar", "halo", id="1"), 31)
        self.relay.stop()
        self.manager.stop()
        self.network.clock.rightNow += REMEMBERED_FOR
        self.turn(1)
        self.assertIn(Receipt("1", "failed", 503), self.events(session))
        self.manager.start()
        self.relay.start()
        self.next_life()
        self.assertEqual(self.sent(), ["1"])

    def test_one_that_is_older_when_it_is_found_is_not_sent(self) -> None:
        session = self.kept()
        self.relay.outcome = lambda message: None
        self.spawn(session.send("fajar", "halo", id="1"))
        self.turn()
        self.relay.heard.clear()
        text = self.path.read_text()
        self.path.write_text(text.replace('"at":1800000000', '"at":1700000000'))
        self.assertNotEqual(self.path.read_text(), text)
        session = self.next_life()
        self.turn()
        self.assertEqual(self.sent(), [])

    def test_a_file_that_can_not_be_used_fails_the_start(self) -> None:
        self.path.write_bytes(b'{"some": "thing"}\n')
        session = self.session(outbox=str(self.path))
        with self.assertRaises(OutboxBroken):
            self.run_(session.start())
        self.assertEqual(self.network.dialled, [])

    def test_it_stays_small(self) -> None:
        session = self.kept()
        reading = self.spawn(self.read(session))
        for number in range(12_000):
            self.relay.message("x", id=f"a rather long id, so that the file grows: {number:>20}")
            if number % 100 == 0:
                self.turn(0.2)
        self.turn(1)
        reading.cancel()
        self.turn()
        self.assertLess(self.path.stat().st_size, 3_000_000)
        session = self.next_life()
        self.relay.message("new", id="new")
        self.relay.message("old", id=f"a rather long id, so that the file grows: {11_999:>20}")
        self.turn()
        self.assertEqual(self.bodies(session), ["new"])

    async def read(self, session: Session) -> None:
        async for _ in session.messages():
            pass


class OutboxFileOnTwisted(OnTwisted, OutboxFile):
    """Under Twisted."""


class OutboxFileOnAsyncio(OnAsyncio, OutboxFile):
    """Under asyncio."""


# The base runs no tests of its own.
del OutboxFile
