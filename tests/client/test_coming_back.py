# SPDX-License-Identifier: MIT
"""Links that are lost and mended without the application's doing anything."""

from __future__ import annotations

from tests.client.fakes import FakeManager
from tests.client.house import MANAGER, RELAY, RELAY_2, TRACKER, House, OnAsyncio, OnTwisted
from xjrelay.client.errors import TimedOut
from xjrelay.client.model import LinkState, Message, Receipt
from xjrelay.client.network import Backoff
from xjrelay.client.session import Session


class RelayLost(House):
    """Resume first, then another."""

    def test_a_lost_connection_is_resumed_where_it_was(self) -> None:
        session = self.online()
        self.relay.pipe.cut()
        self.turn(0.3)
        (resumed,) = self.relay.said(resume="key1")
        self.assertNotIn("h", resumed)  # none taken
        self.assertEqual(self.relay.opened, 1)
        states = [event for event in self.events(session) if isinstance(event, LinkState)]
        self.assertEqual([state.up for state in states], [False, True])

    def test_a_killed_relay_is_replaced_by_the_managers_choice(self) -> None:
        session = self.online()
        self.relay.stop()
        self.manager.relay = RELAY_2
        self.turn(0.3)
        self.assertEqual(session.relay, "relay2")
        (asked,) = self.manager.said(type="get_relay_less_connection")
        self.assertTrue(asked["id"])
        self.assertEqual(self.relay2.heard[0]["token"], "token2")

    def test_a_restarted_relay_knows_no_session(self) -> None:
        self.online()
        self.relay.forget()
        self.relay.pipe.cut()
        self.turn(0.3)
        self.assertEqual(self.relay.opened, 2)

    def test_what_had_no_outcome_goes_out_again_with_the_same_ids(self) -> None:
        session = self.online()
        self.relay.outcome = lambda message: None
        sending = [self.spawn(session.send("fajar", str(n), id=str(n))) for n in range(3)]
        self.turn()
        self.relay.stop()
        self.manager.relay = RELAY_2
        self.turn(0.3)
        self.assertEqual([value["id"] for value in self.relay2.said(stanza="message")], ["0", "1", "2"])
        self.assertEqual([one.result.status for one in sending], ["delivered"] * 3)

    def test_resumed_only_what_the_relay_has_not_had_goes_out_again(self) -> None:
        session = self.online()
        self.relay.outcome = lambda message: None
        sending = [self.spawn(session.send("fajar", "a", id="a"))]
        self.turn()
        pipe = self.relay.pipe
        pipe.silent = True
        sending.append(self.spawn(session.send("fajar", "b", id="b")))
        self.turn()
        pipe.cut()
        self.turn(0.3)
        self.assertEqual([value["id"] for value in self.relay.said(stanza="message")], ["a", "b"])
        for message_id in ("a", "b"):
            self.relay.receipt({"from": "esa", "id": message_id}, "delivered")
        self.turn()
        self.assertEqual([one.result.status for one in sending], ["delivered"] * 2)

    def test_resumed_what_is_here_is_not_taken_twice(self) -> None:
        session = self.online()
        for body in "ab":
            self.relay.message(body)  # without an id: only the count tells
        self.turn()
        pipe = self.relay.pipe
        pipe.silent = True
        self.relay.message("c")
        self.turn()
        pipe.cut()
        self.turn(0.3)
        bodies = [event.body for event in self.events(session) if isinstance(event, Message)]
        self.assertEqual(bodies, ["a", "b", "c"])
        self.turn(0.3)
        self.assertEqual(self.relay.said(stanza="ack")[-1]["h"], 3)

    def test_in_a_new_session_ids_tell_what_was_had(self) -> None:
        session = self.online()
        self.relay.message("a", id="1")
        self.turn()
        self.relay.stop()
        self.manager.relay = RELAY_2
        self.turn(0.3)
        self.relay2.message("a", id="1")
        self.relay2.message("b", id="2")
        self.turn(0.5)
        self.assertEqual(self.relay2.said(stanza="ack"), [])  # the application has neither
        bodies = [event.body for event in self.events(session) if isinstance(event, Message)]
        self.assertEqual(bodies, ["a", "b"])
        self.turn(0.5)
        self.assertEqual(self.relay2.said(stanza="ack")[-1]["h"], 2)

    def test_a_half_open_relay_is_found_by_silence(self) -> None:
        self.online()
        self.relay.pipe.silent = True
        self.turn(61)
        self.assertEqual(len(self.relay.said(resume="key1")), 1)

    def test_a_quiet_relay_is_pinged_and_left_alone(self) -> None:
        self.online()
        self.turn(300)
        self.assertGreater(len(self.relay.said(type="ping")), 5)
        self.assertEqual(len(self.relay.pipes), 1)

    def test_a_relay_that_counts_wrong_is_left(self) -> None:
        session = self.online()
        self.relay.pipe.tell({"stanza": "ack", "h": 5})
        self.turn(0.3)
        self.assertEqual(self.relay.opened, 2)
        self.assertEqual(self.run_(session.send("fajar", "halo")).status, "delivered")

    def test_a_message_the_relay_finds_too_long_fails_alone(self) -> None:
        session = self.online()
        self.relay.outcome = lambda message: None
        small = self.spawn(session.send("fajar", "x", id="small"))
        large = self.spawn(session.send("fajar", "x" * 2000, id="large"))
        self.turn()
        self.relay.received -= 1
        self.relay.outcome = self.relay.delivered
        self.relay.pipe.tell({"error": True, "code": 413, "msg": "a frame may have at most 1000 bytes"})
        self.relay.pipe.cut()
        self.relay.forget()
        self.turn(1)
        self.assertEqual(large.result, Receipt("large", "failed", 413))
        self.assertEqual(small.result.status, "delivered")

    def test_no_outcome_by_the_deadline_is_no_failure(self) -> None:
        """It may have arrived: the same id can be sent again, and a late receipt disturbs nobody."""
        session = self.online()
        self.relay.outcome = lambda message: None
        with self.assertRaises(TimedOut):
            self.run_(session.send("fajar", "halo", id="7", timeout=3.0), 3.1)
        [late] = self.relay.said(id="7")
        self.relay.receipt(late, "delivered")
        self.turn()
        self.relay.outcome = self.relay.delivered
        self.assertEqual(self.run_(session.send("fajar", "halo", id="7")), Receipt("7", "delivered", None))

    def test_tries_again_while_relay_and_manager_are_away(self) -> None:
        session = self.online()
        self.relay.stop()
        self.manager.stop()
        sending = self.spawn(session.send("fajar", "halo", timeout=120.0))
        self.turn(20)
        self.assertFalse(sending.done)
        self.manager.start()
        self.relay.forget()
        self.relay.start()
        self.turn(60)
        self.assertEqual(sending.result.status, "delivered")


class Moved(House):
    """A relay that drains: another is open before this one is left."""

    def move(self, within: int = 4000) -> None:
        self.manager.relay = RELAY_2
        self.relay.pipe.tell({"type": "move", "component": [], "within": within})

    def test_a_session_elsewhere_is_open_before_the_old_one_is_left(self) -> None:
        session = self.online()
        (old,) = self.relay.pipes
        self.relay2.refuse = {"error": True, "code": 503, "msg": "not now"}
        self.move()
        self.turn(4)
        self.assertTrue(old.open)
        self.assertGreater(len(self.relay2.pipes), 1)
        self.relay2.refuse = None
        self.assertEqual(self.run_(session.send("fajar", "halo")).status, "delivered")
        self.assertEqual(len(self.relay.said(stanza="message")), 1)
        self.turn(4)
        self.assertEqual((session.relay, old.open), ("relay2", False))
        self.assertEqual(self.events(session), [])  # the application has not noticed
        self.assertEqual(self.run_(session.send("fajar", "halo")).status, "delivered")
        self.assertEqual(len(self.relay2.said(stanza="message")), 1)

    def test_it_goes_at_some_moment_of_the_first_half(self) -> None:
        self.online()
        self.move(100_000)
        self.turn(50.1)
        self.assertEqual(self.relay2.opened, 1)
        asked = self.manager.said(type="get_relay_less_connection")
        self.assertEqual(len(asked), 1)

    def test_what_has_no_outcome_is_sent_again_there(self) -> None:
        session = self.online()
        self.relay.outcome = lambda message: None
        sending = [self.spawn(session.send("fajar", n, id=n)) for n in "12"]
        self.move()
        self.turn(2.5)
        self.assertEqual([value["id"] for value in self.relay2.said(stanza="message")], ["1", "2"])
        self.assertEqual([one.result.status for one in sending], ["delivered"] * 2)

    def test_what_was_taken_is_acknowledged_before_it_leaves(self) -> None:
        session = self.online()
        self.move(0)
        for number in range(3):
            self.relay.message(str(number), id=str(number))
        reading = self.spawn(self.take_two(session))
        self.turn()
        self.assertEqual(reading.result, ["0", "1"])
        self.assertEqual(self.relay.said(stanza="ack"), [{"stanza": "ack", "h": 2}])
        self.relay2.message("2", id="2")  # handed over
        self.turn(0.5)
        bodies = [event.body for event in self.events(session) if isinstance(event, Message)]
        self.assertEqual(bodies, ["2"])
        self.turn(0.5)
        self.assertEqual(self.relay2.said(stanza="ack"), [{"stanza": "ack", "h": 1}])

    async def take_two(self, session: Session) -> list[str]:
        bodies: list[str] = []
        async for message in session.messages():
            bodies.append(message.body)
            if len(bodies) == 2:
                break
        return bodies

    def test_what_the_old_one_says_afterwards_is_not_heard(self) -> None:
        session = self.online()
        old = self.relay.pipe
        self.move(0)
        self.turn(0.3)
        old.open = True
        old.tell({"stanza": "message", "from": "fajar", "to": "esa", "body": "late", "id": "9"})
        self.turn()
        self.relay2.message("first", id="1")
        self.turn()
        bodies = [event.body for event in self.events(session) if isinstance(event, Message)]
        self.assertEqual(bodies, ["first"])
        old.open = False

    def test_with_the_manager_away_it_stays_as_long_as_it_can(self) -> None:
        session = self.online()
        self.manager.stop()
        self.move(0)
        self.turn(3)
        self.assertEqual(self.run_(session.send("fajar", "halo")).status, "delivered")
        self.relay.stop()
        self.manager.start()
        self.turn(40)
        self.assertEqual(session.relay, "relay2")

    def test_one_that_was_lost_first_is_not_moved_twice(self) -> None:
        self.online()
        self.move(60_000)
        self.turn()
        self.manager.relay = RELAY_2
        self.relay.stop()
        self.turn(100)
        self.assertEqual((self.relay2.opened, len(self.relay2.pipes)), (1, 1))


class HalfOpen(House):
    """Found by pings, in two looks."""

    def test_it_is_given_up_when_a_ping_has_no_answer(self) -> None:
        self.online()
        self.turn(1)
        pipe = self.relay.pipe
        pipe.silent = True
        self.turn(28.5)
        self.assertTrue(pipe.open)
        self.turn(1)
        self.assertFalse(pipe.open)
        self.turn(0.3)
        self.assertEqual(len(self.relay.said(resume="key1")), 1)

    def test_messages_under_way_are_sent_again(self) -> None:
        session = self.online()
        self.relay.pipe.silent = True
        sending = self.spawn(session.send("fajar", "halo", timeout=60.0))
        self.turn(31)
        self.assertEqual(sending.result.status, "delivered")

    def test_a_loop_that_was_kept_from_running_blames_nobody(self) -> None:
        """The answer may be there, not yet read."""
        self.online()
        self.turn(16)
        pipe = self.relay.pipe
        pipe.pause()
        self.turn(0)
        self.network.clock.rightNow += 60
        self.turn(0)
        pipe.resume()
        self.turn(1)
        self.assertTrue(pipe.open)
        self.assertEqual(len(self.relay.pipes), 1)


class ManagerLost(House):
    """In the background."""

    def test_messages_go_on_while_the_manager_is_away(self) -> None:
        session = self.online()
        self.manager.stop()
        self.turn(5)
        self.assertEqual(self.run_(session.send("fajar", "halo")).status, "delivered")
        self.relay.message("hi")
        self.turn()
        self.assertTrue(any(isinstance(event, Message) for event in self.events(session)))

    def test_one_that_is_lost_during_the_start_is_tried_again(self) -> None:
        session = self.session()
        self.manager.mute = True  # says nothing after the login
        starting = self.spawn(session.start())
        self.turn()
        self.assertFalse(starting.done)
        self.manager.mute = False
        self.manager.pipe.cut()
        self.turn(1)
        self.assertIsNone(starting.result)
        self.assertEqual(self.run_(session.send("fajar", "halo")).status, "delivered")

    def test_logs_in_again_and_greets(self) -> None:
        session = self.online()
        self.manager.heard.clear()
        self.manager.items["fajar"] = {"jid": "fajar", "name": "fajar", "subscription": "both"}
        self.manager.pipe.cut()
        self.turn(1)
        kinds = [value.get("type") for value in self.manager.heard if value.get("stanza") is None]
        self.assertEqual(kinds[:3], ["client", "auth", "auth"])
        self.assertEqual(len(self.manager.said(stanza="presence")), 1)
        self.assertIn("fajar", session.contacts)
        self.assertEqual(self.relay.opened, 1)  # the session there is left be

    def test_after_registering_it_logs_in_by_scram(self) -> None:
        self.online(username="gita", register=True)
        self.manager.heard.clear()
        self.manager.pipe.cut()
        self.turn(1)
        self.assertEqual(self.manager.said(register=True), [])
        self.assertEqual(len(self.manager.said(replace=True)), 1)

    def test_a_manager_that_moved_is_found_through_the_tracker(self) -> None:
        session = self.online()
        moved = FakeManager(self.network, ("10.0.0.7", 5001), ["esa"])
        self.manager.stop()
        self.turn(0.2)
        self.tracker.components[1]["ip_local"] = "10.0.0.7"
        self.turn(5)
        self.assertEqual(str(session.manager), "10.0.0.7:5001")
        self.assertTrue(moved.pipe.open)

    def test_where_the_manager_was_is_tried_first_and_the_tracker_asked_now_and_then(self) -> None:
        self.online()
        self.network.dialled.clear()
        self.manager.stop()
        self.turn(20)
        tries = [place for place in self.network.dialled if place in (TRACKER, MANAGER)]
        self.assertEqual(tries[:8], [MANAGER, MANAGER, TRACKER, MANAGER] * 2)
        self.network.dialled.clear()
        self.manager.start()
        self.turn(60)
        self.assertTrue(self.manager.pipe.open)
        self.network.dialled.clear()
        self.manager.pipe.cut()
        self.turn(2)
        self.assertEqual(self.network.dialled, [MANAGER])

    def test_an_old_grant_is_not_used_for_a_relay_lost_later(self) -> None:
        self.online()
        self.manager.pipe.cut()
        self.turn(100)  # the second login's token is old by now
        self.relay.forget()
        self.relay.pipe.cut()
        self.turn(1)
        self.assertEqual(len(self.manager.said(type="get_relay_less_connection")), 1)

    def test_a_half_open_manager_is_found_by_silence(self) -> None:
        self.online()
        self.manager.pipe.silent = True
        self.turn(62)
        self.assertEqual(len([pipe for pipe in self.manager.pipes if pipe.open]), 1)
        self.assertEqual(len(self.manager.pipes), 2)


class TrackerLost(House):
    """It is needed only to find others."""

    def test_a_lost_tracker_hurts_nobody_who_knows_the_manager(self) -> None:
        session = self.online()
        self.tracker.stop()
        self.turn(60)
        self.assertEqual(self.run_(session.send("fajar", "halo")).status, "delivered")
        self.manager.pipe.cut()
        self.turn(2)
        self.assertEqual(self.network.dialled[-1], MANAGER)
        self.assertEqual(len(self.run_(session.roster.get())), 0)


class Delays(House):
    """Full jitter, also the first time."""

    def test_delays_grow_to_the_ceiling_and_are_random_from_the_first(self) -> None:
        backoff = Backoff(self.network)
        delays = [backoff.next() for _ in range(40)]
        bounds = [min(0.25 * 1.6**n, 30.0) for n in range(40)]
        self.assertTrue(all(0 <= delay <= bound for delay, bound in zip(delays, bounds, strict=True)))
        self.assertGreater(max(delays), 15)
        self.assertLess(min(delays[12:]), 15)
        backoff.reset()
        self.assertLessEqual(backoff.next(), 0.25)

    def test_a_relay_that_is_away_is_not_hammered(self) -> None:
        self.online()
        self.relay.stop()
        self.network.dialled.clear()
        self.turn(120)
        self.assertLess(self.network.dialled.count(RELAY), 60)
        self.assertGreater(self.network.dialled.count(RELAY), 10)


class RelayLostOnTwisted(OnTwisted, RelayLost):
    """Under Twisted."""


class RelayLostOnAsyncio(OnAsyncio, RelayLost):
    """Under asyncio."""


class MovedOnTwisted(OnTwisted, Moved):
    """Under Twisted."""


class MovedOnAsyncio(OnAsyncio, Moved):
    """Under asyncio."""


class HalfOpenOnTwisted(OnTwisted, HalfOpen):
    """Under Twisted."""


class HalfOpenOnAsyncio(OnAsyncio, HalfOpen):
    """Under asyncio."""


class ManagerLostOnTwisted(OnTwisted, ManagerLost):
    """Under Twisted."""


class ManagerLostOnAsyncio(OnAsyncio, ManagerLost):
    """Under asyncio."""


class TrackerLostOnTwisted(OnTwisted, TrackerLost):
    """Under Twisted."""


class TrackerLostOnAsyncio(OnAsyncio, TrackerLost):
    """Under asyncio."""


class DelaysOnTwisted(OnTwisted, Delays):
    """Under Twisted."""


# The bases run no tests of their own.
del RelayLost, Moved, HalfOpen, ManagerLost, TrackerLost, Delays
