# SPDX-License-Identifier: MIT
"""What a user does, each function once under each framework."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from tests.client.fakes import FakeTracker, presence
from tests.client.house import MANAGER, RELAY, TRACKER, TRACKER_2, House, OnAsyncio, OnTwisted
from xjrelay.client.errors import (
    BadAddress,
    BadMessage,
    Disconnected,
    NoManager,
    NoRelay,
    NoTracker,
    OutboxFull,
    Refused,
    Replaced,
    TimedOut,
)
from xjrelay.client.model import (
    Components,
    Contact,
    LinkState,
    Message,
    Missed,
    Notice,
    Presence,
    Receipt,
    RosterChange,
)
from xjrelay.client.session import Session

BIO = "Feel happy using this application! ;D"


class Starting(House):
    """U1 to U6."""

    def test_U1_asks_the_tracker(self) -> None:
        session = self.session()
        self.run_(session.start())
        self.assertEqual(self.network.dialled[0], TRACKER)
        (hello,) = self.tracker.said(type="client")
        self.assertEqual(hello["ip_local"], "10.0.0.9")
        self.assertTrue(any(isinstance(event, Components) for event in self.events(session)))

    def test_U1_asks_the_next_tracker_when_one_is_down(self) -> None:
        FakeTracker(self.network, TRACKER_2, self.tracker.components)
        self.tracker.stop()
        self.online()
        self.assertEqual(self.network.dialled[:3], [TRACKER, TRACKER_2, MANAGER])

    def test_no_tracker_says_so_at_once_and_where(self) -> None:
        self.tracker.stop()
        with self.assertRaises(NoTracker) as caught:
            self.run_(self.session().start())
        self.assertIn("nobody answers at 10.0.0.1:5000: is the tracker running?", str(caught.exception))

    def test_U2_connects_to_the_manager(self) -> None:
        session = self.online()
        self.assertEqual(str(session.manager), "10.0.0.1:5001")
        self.assertEqual(self.manager.heard[0]["type"], "client")

    def test_waits_for_a_manager_that_is_about_to_come(self) -> None:
        self.manager.stop()
        starting = self.spawn(self.session().start())
        self.turn(1)
        self.assertFalse(starting.done)
        self.manager.start()
        self.turn(3)
        self.assertIsNone(starting.result)

    def test_no_manager_in_time_is_an_error(self) -> None:
        self.tracker.components = []
        with self.assertRaises(NoManager):
            self.run_(self.session(connect_timeout=2.0).start(), 8)

    def test_U3_registers(self) -> None:
        session = self.online(username="gita", register=True)
        (auth,) = self.manager.said(register=True)
        self.assertEqual((auth["username"], auth["password"]), ("gita", "secret"))
        self.assertEqual(session.username, "gita")

    def test_U3_a_used_name_is_refused(self) -> None:
        with self.assertRaises(Refused) as caught:
            self.run_(self.session(register=True).start(), 3)
        self.assertEqual(caught.exception.code, 409)

    def test_U4_logs_in_without_saying_the_password(self) -> None:
        session = self.online(username="ESA", resource="phone")
        self.assertEqual(session.username, "esa")
        self.assertNotIn("secret", str(self.manager.heard))
        first = self.manager.said(type="auth")[0]
        self.assertEqual((first["replace"], first["resource"]), (True, "phone"))

    def test_U4_refusals(self) -> None:
        for name, password, code in [("nobody", "secret", 404), ("esa", "wrong", 400)]:
            with self.assertRaises(Refused) as caught:
                self.run_(self.session(name, password).start(), 3)
            self.assertEqual(caught.exception.code, code)
        with self.assertRaises(BadAddress):
            self.session("two words")

    def test_a_refused_start_leaves_nothing_behind(self) -> None:
        with self.assertRaises(Refused):
            self.run_(self.session(password="wrong").start(), 3)
        self.assertFalse(any(pipe.open for pipe in self.manager.pipes))
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_U5_connects_to_the_relay_it_was_given(self) -> None:
        session = self.online(resource="phone")
        (hello,) = self.relay.heard
        self.assertEqual(
            hello,
            {"message": "hello!", "username": "esa", "token": "token1", "resource": "phone", "ack": True},
        )
        self.assertEqual(session.relay, "relay1")

    def test_waits_for_a_relay_that_is_about_to_come(self) -> None:
        self.manager.relay = None
        starting = self.spawn(self.session().start())
        self.turn(1)
        self.manager.relay = RELAY
        self.turn(3)
        self.assertIsNone(starting.result)

    def test_no_relay_in_time_is_an_error(self) -> None:
        self.manager.relay = None
        with self.assertRaises(NoRelay):
            self.run_(self.session(connect_timeout=2.0).start(), 8)

    def test_U6_gets_the_first_roster_and_says_it_is_there(self) -> None:
        self.manager.items["fajar"] = {"jid": "fajar", "name": "Fajar", "subscription": "both"}
        session = self.online()
        self.assertEqual(list(session.contacts), [Contact("fajar", "Fajar", "both")])
        (initial,) = self.manager.said(stanza="presence")
        self.assertEqual(initial["from"], "esa")
        kinds = [value.get("stanza") for value in self.manager.heard if "stanza" in value]
        self.assertEqual(kinds, ["iq", "presence"])

    def test_one_may_log_in_without_being_seen(self) -> None:
        self.online(available=False, messages=False)
        self.assertEqual(self.manager.said(stanza="presence"), [])
        self.assertEqual(self.relay.heard, [])


class Contacts(House):
    """U7 to U10."""

    def test_U7_gets_the_roster(self) -> None:
        session = self.online()
        self.manager.items["fajar"] = {"jid": "fajar", "name": "fajar", "subscription": "to"}
        self.assertEqual(self.run_(session.roster.get()), [Contact("fajar")])
        self.assertEqual(self.manager.heard[-1]["query"], {"items": None})

    def test_U8_adds_a_contact(self) -> None:
        session = self.online()
        contact = self.run_(session.roster.add("fajar", "Jar"))
        self.assertEqual(contact, Contact("fajar", "Jar"))
        self.assertIn("fajar", session.contacts)
        events = self.events(session)
        self.assertEqual(events[0], RosterChange(contact))
        self.assertEqual(session.presences.get("FAJAR"), events[1])
        self.assertEqual(len(events), 2)

    def test_U8_nobody_of_that_name(self) -> None:
        with self.assertRaises(Refused) as caught:
            self.run_(self.online().roster.add("nobody"))
        self.assertEqual((caught.exception.code, caught.exception.msg), (404, "there is no such user"))

    def test_U9_renames_a_contact(self) -> None:
        session = self.online()
        self.run_(session.roster.add("fajar"))
        self.run_(session.roster.add("fajar", "Jarwo"))
        contact = session.contacts.get("fajar")
        assert contact is not None
        self.assertEqual(contact.name, "Jarwo")

    def test_U10_removes_a_contact(self) -> None:
        session = self.online()
        self.run_(session.roster.add("fajar"))
        self.events(session)
        self.run_(session.roster.remove("fajar"))
        self.assertEqual(self.manager.heard[-1]["subscription"], "remove")
        self.assertEqual(list(session.contacts), [])
        self.assertIsNone(session.presences.get("fajar"))
        self.assertEqual(self.events(session), [RosterChange(Contact("fajar"), removed=True)])

    def test_the_other_side_may_change_it_too(self) -> None:
        session = self.online()
        item = {"jid": "fajar", "name": "fajar", "subscription": "both"}
        told = {"stanza": "presence", "type": "subscribed", "from": "fajar", "to": "esa", "item": item}
        self.manager.pipe.tell(told)
        self.turn()
        change = RosterChange(Contact("fajar", None, "both"), by_other=True)
        self.assertEqual(self.events(session), [change])

    def test_what_is_not_told_is_asked(self) -> None:
        session = self.online()
        self.run_(session.roster.add("fajar"))
        self.events(session)
        self.manager.items.clear()
        self.manager.pipe.tell({"stanza": "presence", "type": "unsubscribed", "from": "fajar", "to": "esa"})
        self.turn()
        self.assertEqual(self.events(session), [RosterChange(Contact("fajar"), removed=True, by_other=True)])

    def test_a_request_waits_for_a_manager_that_is_away(self) -> None:
        session = self.online()
        self.manager.stop()
        self.turn(1)
        adding = self.spawn(session.roster.add("fajar"))
        self.turn(1)
        self.assertFalse(adding.done)
        self.manager.start()
        self.turn(5)
        self.assertEqual(adding.result, Contact("fajar"))

    def test_a_request_under_way_ends_with_its_link(self) -> None:
        session = self.online()
        self.manager.mute = True
        adding = self.spawn(session.roster.add("fajar"))
        self.turn()
        self.manager.pipe.cut()
        self.turn()
        with self.assertRaises(Disconnected):
            _ = adding.result


class Presences(House):
    """U11, U12."""

    def test_U11_asks_how_somebody_is(self) -> None:
        session = self.online()
        told = self.run_(session.presence.ask("fajar"))
        self.assertEqual(told, Presence("fajar", True, BIO, updated_at=1700000000000, directed=True))
        self.assertIsNone(session.presences.get("fajar"))  # not a contact

    def test_U11_nobody_of_that_name(self) -> None:
        with self.assertRaises(Refused) as caught:
            self.run_(self.online().presence.ask("nobody"))
        self.assertEqual(caught.exception.code, 404)

    def test_U12_changes_the_bio(self) -> None:
        session = self.online()
        self.run_(session.presence.set(bio="Busy"))
        self.assertEqual(self.manager.said(bio="Busy")[0]["from"], "esa")

    def test_U12_a_bio_that_is_refused(self) -> None:
        with self.assertRaises(Refused) as caught:
            self.run_(self.online().presence.set(bio="x" * 1001))
        self.assertEqual(caught.exception.msg, "bio too long")

    def test_show_and_status_are_said_again_after_a_new_login(self) -> None:
        session = self.online()
        self.run_(session.presence.set(show="away", status="lunch"))
        self.manager.heard.clear()
        self.manager.pipe.cut()
        self.turn(3)
        (told,) = self.manager.said(stanza="presence")
        self.assertEqual((told["show"], told["status"]), ("away", "lunch"))

    def test_contacts_come_and_go(self) -> None:
        session = self.online()
        told = [presence("fajar", 1, show="dnd"), presence("fajar", 1, state="resuming")]
        self.manager.pipe.tell(*told, presence("fajar", 0, type="unavailable"))
        self.turn()
        heard = [event for event in self.events(session) if isinstance(event, Presence)]
        self.assertEqual([one.online for one in heard], [True, True, False])
        self.assertEqual(heard[0].show, "dnd")
        self.assertEqual([one.state for one in heard], ["online", "resuming", "offline"])
        self.assertEqual(session.presences.get("fajar"), heard[-1])


class Leaving(House):
    """U13, and being made to leave."""

    def test_U13_logs_out(self) -> None:
        session = self.online()
        self.run_(session.close(), 1)
        self.assertEqual(self.manager.heard[-1]["type"], "unavailable")
        self.assertFalse(self.relay.pipes[-1].open)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_closing_acknowledges_what_was_taken(self) -> None:
        session = self.online()
        self.relay.message("halo")
        self.turn()
        self.assertEqual(len(self.events(session)), 1)
        self.run_(session.close(), 1)
        self.assertEqual(self.relay.said(stanza="ack")[-1]["h"], 1)

    def test_closing_ends_the_stream_and_what_is_under_way(self) -> None:
        session = self.online()
        self.relay.outcome = lambda message: None

        async def read() -> list[Message]:
            return [message async for message in session.messages()]

        reading, sending = self.spawn(read()), self.spawn(session.send("fajar", "halo"))
        self.turn()
        self.run_(session.close(), 1)
        self.assertEqual(reading.result, [])
        with self.assertRaises(Disconnected):
            _ = sending.result
        with self.assertRaises(Disconnected):
            self.run_(session.send("fajar", "more"))
        with self.assertRaises(Disconnected):
            self.run_(session.roster.get())

    def test_a_newer_login_elsewhere_ends_it_for_good(self) -> None:
        session = self.online()
        self.manager.pipe.tell({"error": True, "code": 409, "msg": "Replaced by another login"})
        self.manager.pipe.cut()
        self.turn(60)
        with self.assertRaises(Replaced):
            self.run_(_first(session))
        self.assertEqual(len(self.manager.pipes), 1)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_a_login_refused_for_good_ends_it(self) -> None:
        session = self.online()
        self.manager.users.remove("esa")
        self.manager.pipe.cut()
        self.turn(5)
        with self.assertRaises(Refused) as caught:
            self.run_(session.send("fajar", "halo"))
        self.assertEqual(caught.exception.code, 404)


class Messages(House):
    """U14, U15."""

    def test_U14_sends_a_message_and_hears_its_outcome(self) -> None:
        session = self.online()
        receipt = self.run_(session.send("fajar", "halo", subject="s", mood="good", lang=None))
        self.assertEqual(receipt.status, "delivered")
        sent = self.relay.heard[-1]
        self.assertEqual(
            sent,
            {
                "stanza": "message",
                "from": "esa",
                "to": "fajar",
                "body": "halo",
                "subject": "s",
                "mood": "good",
                "id": receipt.id,
            },
        )

    def test_U14_nobody_there(self) -> None:
        session = self.online()
        self.relay.outcome = self.relay.nobody
        receipt = self.run_(session.send("nobody", "halo", id="7"))
        self.assertEqual(receipt, Receipt("7", "failed", 404))

    def test_other_outcomes(self) -> None:
        session = self.online()
        for status, code in [("stored", None), ("failed", 507)]:
            self.relay.outcome = lambda message, s=status, c=code: self.relay.receipt(  # type: ignore[misc]
                message, s, **({"code": c} if c else {})
            )
            receipt = self.run_(session.send("fajar", "halo"))
            self.assertEqual((receipt.status, receipt.code), (status, code))

    def test_not_now_is_tried_again_in_order(self) -> None:
        session = self.online()
        self.relay.outcome = lambda message: self.relay.receipt(message, "failed", code=503)
        sending = [self.spawn(session.send("fajar", str(n))) for n in range(3)]
        other = self.spawn(session.send("gita", "x"))
        self.turn()
        self.relay.outcome = self.relay.delivered
        before = len(self.relay.said(stanza="message"))
        late = self.spawn(session.send("fajar", "3"))
        self.turn()
        self.assertEqual(len(self.relay.said(stanza="message")), before)  # the pair is held
        self.turn(2)
        self.assertEqual({one.result.status for one in [*sending, other, late]}, {"delivered"})
        again = [value for value in self.relay.said(stanza="message")[4:] if value["to"] == "fajar"]
        self.assertEqual([value["body"] for value in again], ["0", "1", "2", "3"])
        self.assertEqual([value.get("again") for value in again], [True, None, None, None])

    def test_not_now_until_the_deadline(self) -> None:
        session = self.online()
        self.relay.outcome = lambda message: self.relay.receipt(message, "failed", code=503)
        with self.assertRaises(TimedOut) as caught:
            self.run_(session.send("fajar", "halo", id="7", timeout=3.0), 3.1)
        self.assertEqual(str(caught.exception), "no outcome in 3 s; it may still arrive")
        self.assertGreater(len(self.relay.said(id="7")), 2)

    def test_a_refused_message_does_not_disturb_the_count(self) -> None:
        session = self.online()

        def refuse(message: dict[str, Any]) -> None:
            self.relay.received -= 1
            self.relay.pipe.tell({"error": True, "code": 400, "msg": "no", "id": message["id"]})

        self.relay.outcome = refuse
        self.assertEqual(self.run_(session.send("fajar", "halo")).code, 400)
        self.relay.outcome = self.relay.delivered
        self.run_(session.send("fajar", "halo"))
        self.relay.pipe.cut()
        self.turn(2)
        self.assertEqual(self.relay.opened, 1)  # resumed, and both sides agree on the count

    def test_what_cant_be_sent(self) -> None:
        session = self.online()
        self.relay.outcome = lambda message: None
        cases: list[tuple[type[Exception], Coroutine[Any, Any, Receipt]]] = [
            (BadAddress, session.send("two words", "halo")),
            (BadAddress, session.send("", "halo")),
            (BadMessage, session.send("fajar", "x" * 70_000)),
            (BadMessage, session.send("fajar", "halo", id="x" * 65)),
            (BadMessage, session.send("fajar", "halo", type="later")),
            (BadMessage, session.send("fajar", "halo", thing=object())),
            (BadMessage, session.send("fajar", "\ud800")),
        ]
        for error, coroutine in cases:
            with self.assertRaises(error):
                self.run_(coroutine)
        self.spawn(session.send("fajar", "halo", id="7"))
        with self.assertRaises(BadMessage):
            self.run_(session.send("fajar", "halo", id="7"))
        self.assertEqual(len(self.relay.said(stanza="message")), 1)

    def test_the_outbox_is_bounded(self) -> None:
        session = self.online()
        self.relay.outcome = lambda message: None
        for _ in range(1000):
            self.spawn(session.send("fajar", "halo"))
        with self.assertRaises(OutboxFull):
            self.run_(session.send("fajar", "halo"))

    def test_U15_everything_comes_as_one_stream(self) -> None:
        session = self.session()
        self.run_(session.start())
        self.relay.message("halo", id="1", mood="good")
        self.turn()
        self.manager.pipe.tell(presence("fajar", 1), {"error": False, "code": 200, "msg": "by the way"})
        self.turn()
        self.assertEqual(
            self.events(session),
            [
                Components(self._listed()),
                LinkState("manager", True, "10.0.0.1:5001"),
                LinkState("relay", True, "relay1"),
                Message(from_="fajar", to="esa", body="halo", id="1", extra={"mood": "good"}),
                Presence("fajar", True, BIO, updated_at=1700000000000),
                Notice("manager", 200, "by the way"),
            ],
        )

    def _listed(self) -> tuple[Any, ...]:
        from xjrelay.client.model import Component

        return (Component("relay", *RELAY), Component("manager", *MANAGER))

    def test_messages_alone(self) -> None:
        session = self.online()

        async def two() -> list[str]:
            found: list[str] = []
            async for message in session.messages():
                found.append(message.body)
                if len(found) == 2:
                    break
            return found

        reading = self.spawn(two())
        self.manager.pipe.tell(presence("fajar", 1))
        self.relay.message("a")
        self.turn()
        self.relay.message("b")
        self.turn()
        self.assertEqual(reading.result, ["a", "b"])

    def test_acknowledges_what_was_taken_within_a_fifth_of_a_second(self) -> None:
        session = self.online()
        self.relay.message("a")
        self.relay.message("b")
        self.turn(1)
        self.assertEqual(self.relay.said(stanza="ack"), [])  # nobody has taken them
        self.events(session)
        self.turn(0.1)
        self.assertEqual(self.relay.said(stanza="ack"), [])
        self.turn(0.15)
        self.assertEqual([value["h"] for value in self.relay.said(stanza="ack")], [2])

    def test_acknowledges_a_hundred_at_once(self) -> None:
        session = self.online()
        for n in range(150):
            self.relay.message(str(n))
        self.turn()
        self.assertEqual(len(self.events(session)), 150)
        self.assertEqual([value["h"] for value in self.relay.said(stanza="ack")], [100])

    def test_a_receipt_behind_an_unread_message_waits_with_it(self) -> None:
        session = self.online()
        self.relay.message("unread")
        self.turn()
        self.run_(session.send("fajar", "halo"))
        self.turn(1)
        self.assertEqual(self.relay.said(stanza="ack"), [])
        self.events(session)
        self.turn(1)
        self.assertEqual(self.relay.said(stanza="ack")[-1]["h"], 2)

    def test_a_doubled_message_is_seen_once(self) -> None:
        session = self.online()
        for _ in range(2):
            self.relay.message("halo", id="1")
            self.relay.message("halo", sender="gita", id="1")
        self.turn()
        self.assertEqual(len(self.events(session)), 2)
        self.turn(1)
        self.assertEqual(self.relay.said(stanza="ack")[-1]["h"], 4)

    def test_a_slow_application_stops_the_reading(self) -> None:
        session = self.online()
        for n in range(2500):
            self.relay.message(str(n))
        self.turn(90)  # no ping either: silence means nothing while nothing is read
        self.assertTrue(self.relay.pipe.paused)
        self.assertEqual(len(self.events(session)), 2500)
        self.assertFalse(self.relay.pipe.paused)

    def test_events_nobody_reads_are_bounded_and_counted(self) -> None:
        session = self.online()
        self.relay.message("kept")
        self.turn()
        self.manager.pipe.tell(*[presence("fajar", 1) for _ in range(1200)])
        self.turn()
        events = self.events(session)
        self.assertEqual(events[0], Missed(200))
        self.assertEqual(sum(isinstance(event, Message) for event in events), 1)
        self.assertEqual(len(events), 1 + 1 + 1000)

    def test_the_relays_own_words_are_a_notice(self) -> None:
        session = self.online()
        self.relay.pipe.tell({"error": True, "code": 400, "msg": "hm"})
        self.turn()
        self.assertEqual(self.events(session), [Notice("relay", 400, "hm")])


async def _first(session: Session) -> Message:
    """The next message."""
    async for message in session.messages():
        return message
    raise AssertionError("the stream ended")


class StartingOnTwisted(OnTwisted, Starting):
    """U1 to U6."""


class StartingOnAsyncio(OnAsyncio, Starting):
    """U1 to U6."""


class ContactsOnTwisted(OnTwisted, Contacts):
    """U7 to U10."""


class ContactsOnAsyncio(OnAsyncio, Contacts):
    """U7 to U10."""


class PresencesOnTwisted(OnTwisted, Presences):
    """U11, U12."""


class PresencesOnAsyncio(OnAsyncio, Presences):
    """U11, U12."""


class LeavingOnTwisted(OnTwisted, Leaving):
    """U13."""


class LeavingOnAsyncio(OnAsyncio, Leaving):
    """U13."""


class MessagesOnTwisted(OnTwisted, Messages):
    """U14, U15."""


class MessagesOnAsyncio(OnAsyncio, Messages):
    """U14, U15."""


# The bases run no tests of their own.
del Starting, Contacts, Presences, Leaving, Messages
