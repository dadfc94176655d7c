# SPDX-License-Identifier: MIT
"""Conversations that leave the relay and come back: in order, once, and only between friends who want it."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.sandbox.friends import Application, Friends
from xjrelay.client.direct_link import PING
from xjrelay.client.errors import BadAddress
from xjrelay.client.model import Direct
from xjrelay.domain.direct import IDLE
from xjrelay.wire.stanzas import Iq


class MovingTests(SynchronousTestCase):
    """Esa and Fajar."""

    def setUp(self) -> None:
        self.world = Friends("esa", "fajar")
        self.esa, self.fajar = self.world.applications["esa"], self.world.applications["fajar"]

    def test_a_conversation_moves_both_ways_and_stays_there(self) -> None:
        self.world.linked("esa", "fajar")
        self.assertEqual(self.world.between("esa", "fajar"), 1)
        for relay in ("relay1", "relay2"):
            self.world.kill(relay)
        self.assertEqual(self.esa.say("fajar", "one", "two"), ["delivered"] * 2)
        self.assertEqual(self.fajar.say("Esa", "three"), ["delivered"])
        self.assertEqual(self.fajar.bodies, ["hello", "one", "two"])
        self.assertEqual(self.esa.bodies, ["three"])
        self.assertEqual((self.esa.roads, self.fajar.roads), ([True], [True]))

    def test_relays_that_come_and_go_don_t_disturb_it(self) -> None:
        self.world.linked("esa", "fajar")
        for relay in ("relay1", "relay2"):
            self.world.kill(relay)
        self.world.advance(1)
        for relay in ("relay1", "relay2"):
            self.world.restart(relay)
        self.world.advance(60)
        self.assertEqual(self.esa.say("fajar", "one"), ["delivered"])
        self.assertEqual((self.esa.roads, self.fajar.roads), ([True], [True]))

    def test_the_sender_is_the_relay_s_spelling_and_other_keys_travel(self) -> None:
        self.world.linked("esa", "fajar")
        self.world.run(self.esa.client.send("FAJAR", "x", subject="s", app=[1]))
        message = self.fajar.messages[-1]
        self.assertEqual((message.from_, message.subject, message.extra), ("esa", "s", {"app": [1]}))

    def test_when_the_link_breaks_what_it_lost_goes_by_the_relay(self) -> None:
        self.world.linked("esa", "fajar")
        sent = self.esa.send("fajar", *"12345")
        self.world.cut("user esa", "user fajar")
        sent += self.esa.send("fajar", *"678")
        self.assertEqual([self.world.run(one).status for one in sent], ["delivered"] * 8)
        self.assertEqual(self.fajar.bodies, ["hello", *"12345678"])
        self.assertEqual(self.esa.roads, [True, False])

    def test_what_had_arrived_without_a_receipt_is_not_shown_twice(self) -> None:
        self.world.linked("esa", "fajar")
        sent = self.esa.send("fajar", *"123")
        self.world.until(lambda: self.fajar.bodies[-1] == "3")
        self.world.cut("user esa", "user fajar")
        self.assertEqual([self.world.run(one).status for one in sent], ["delivered"] * 3)
        self.assertEqual(self.fajar.bodies, ["hello", *"123"])

    def test_a_link_that_is_silent_is_given_up(self) -> None:
        self.world.linked("esa", "fajar")
        self.world.partition("user esa", "user fajar")
        [sent] = self.esa.send("fajar", "into the void")
        self.assertEqual(self.world.run(sent, 3 * PING).status, "delivered")
        self.world.heal()
        self.world.advance(60)
        self.assertEqual(self.fajar.bodies, ["hello", "into the void"])

    def test_and_made_again_when_they_talk_on(self) -> None:
        self.world.linked("esa", "fajar")
        self.world.cut("user esa", "user fajar")
        self.world.advance(5)
        self.world.linked("esa", "fajar")
        self.assertEqual(self.esa.roads, [True, False, True])

    def test_what_waits_in_the_mailbox_comes_first(self) -> None:
        fajar = self.fajar.client
        self.world.run(fajar.close())
        self.assertEqual(self.esa.say("fajar", *"123"), ["stored"] * 3)
        back = self.world.run(self.world.connect("fajar", direct=Direct()))
        self.world.clients["fajar"] = back
        application = Application(self.world, back)
        application.dawdle()
        sent = self.esa.send("fajar", *"4567")
        self.world.advance(20)
        application.hurry()
        self.assertEqual([self.world.run(one).status for one in sent], ["delivered"] * 4)
        self.assertEqual(application.bodies, list("1234567"))

    def test_a_slow_application_is_waited_for(self) -> None:
        self.world.linked("esa", "fajar")
        self.fajar.dawdle()
        sent = self.esa.send("fajar", *(str(number) for number in range(900)))
        self.world.advance(30)
        self.assertEqual([one for one in sent if one.called][1:], [])
        self.fajar.hurry()
        self.assertEqual({self.world.run(one).status for one in sent}, {"delivered"})
        self.assertEqual(self.fajar.bodies[1:], [str(number) for number in range(900)])

    def test_what_is_taken_when_the_link_is_gone_costs_no_timer(self) -> None:
        self.world.linked("esa", "fajar")
        self.fajar.dawdle()
        self.esa.send("fajar", "1", "2")
        self.world.advance(1)
        session = self.fajar.side._sessions["esa"]
        link = session._chosen
        assert link is not None
        self.world.cut("user esa", "user fajar")
        self.world.advance(1)
        link.taken("1")
        self.assertEqual((link._taken, link._receipt_timer), ([], None))
        self.fajar.hurry()
        self.world.advance(5)
        self.assertEqual(self.fajar.bodies, ["hello", "1", "2"])

    def test_nothing_said_for_long_closes_it_and_the_next_word_opens_it(self) -> None:
        self.world.linked("esa", "fajar")
        self.world.advance(IDLE + 60)
        self.assertEqual(self.esa.roads, [True, False])
        self.assertEqual(self.world.between("esa", "fajar"), 0)
        self.world.linked("esa", "fajar")

    def test_who_leaves_is_at_the_mailbox(self) -> None:
        self.world.linked("esa", "fajar")
        self.world.run(self.fajar.client.close())
        self.assertEqual(self.esa.say("fajar", "later"), ["stored"])

    def test_a_file_keeps_what_a_link_did_not_bring(self) -> None:
        path = Path(self.mktemp()).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        gita = self.world.applications["gita"] = self.world.application("gita", outbox=str(path))
        self.world.befriend("gita", "fajar")
        self.world.befriend("fajar", "gita")
        self.world.linked("gita", "fajar")
        self.fajar.dawdle()
        gita.send("fajar", *"123")
        self.world.advance(1)
        self.world.machine("user gita").kill()
        next_path = path.with_suffix(".next")
        next_path.write_bytes(path.read_bytes())
        self.fajar.hurry()
        next_life = self.world.connect("gita", machine="gita again", outbox=str(next_path), direct=Direct())
        self.world.run(next_life)
        self.world.advance(30)
        self.assertEqual(self.fajar.bodies, ["hello", *"123"])
        self.assertEqual(path.with_suffix(".next").read_text().count('"done"'), 4)


class WhoTests(SynchronousTestCase):
    """With whom, and with whom not."""

    def world(self, **esa: object) -> Friends:
        world = Friends("fajar")
        world.applications["esa"] = world.application("esa", **esa)
        return world

    def talk(self, world: Friends) -> None:
        for _ in range(3):
            self.assertEqual(world.applications["esa"].say("fajar", "x"), ["delivered"])
            self.assertEqual(world.applications["fajar"].say("esa", "y"), ["delivered"])
            world.advance(5)

    def test_not_with_who_is_a_contact_one_way_only(self) -> None:
        for way in (("esa", "fajar"), ("fajar", "esa")):
            world = self.world()
            world.befriend(*way)
            self.talk(world)
            self.assertEqual(world.between("esa", "fajar"), 0)

    def test_not_with_a_stranger_who_offers_all_the_same(self) -> None:
        world = self.world()
        esa = world.applications["esa"]
        esa.side._house.is_mutual = lambda user: True  # type: ignore[method-assign]
        self.talk(world)
        self.assertEqual((world.between("esa", "fajar"), esa.roads), (0, []))
        self.assertEqual(world.applications["fajar"].side._sessions, {})

    def test_not_with_who_did_not_ask_for_it(self) -> None:
        world = self.world(direct=None)
        world.befriend("esa", "fajar")
        world.befriend("fajar", "esa")
        self.talk(world)
        self.assertEqual(world.between("esa", "fajar"), 0)

    def test_no_more_when_no_longer_a_contact(self) -> None:
        world = Friends("esa", "fajar")
        world.linked("esa", "fajar")
        world.run(world.clients["fajar"].roster.remove("esa"))
        world.advance(1)
        self.assertEqual(world.between("esa", "fajar"), 0)
        self.talk(world)
        self.assertEqual(world.between("esa", "fajar"), 0)

    def test_not_with_a_key_that_is_none(self) -> None:
        connecting = self.world().connect("esa", direct=Direct(key=b"no key"))
        self.failureResultOf(connecting, BadAddress)

    def test_never_with_oneself(self) -> None:
        world = self.world()
        world.applications["esa"].say("esa", "memo")
        self.assertEqual(world.applications["esa"].side._offers, {})

    def test_where_none_can_reach_the_other_the_relay_stays(self) -> None:
        world = Friends("esa", "fajar")
        world.partition("user esa", "user fajar")
        self.talk(world)
        world.advance(60)
        esa = world.applications["esa"]
        self.assertEqual((esa.roads, esa.side._sessions), ([], {}))

    def test_one_that_can_be_reached_is_enough(self) -> None:
        for deaf in ("esa", "fajar"):
            world = Friends("esa", "fajar")
            side = world.applications[deaf].side
            assert side.door._listening is not None
            side.door._listening.close()
            world.linked("esa", "fajar")


class DeviceTests(SynchronousTestCase):
    """Fajar has two devices."""

    def setUp(self) -> None:
        self.world = Friends("esa", "fajar")
        self.esa, self.fajar = self.world.applications["esa"], self.world.applications["fajar"]
        self.world.linked("esa", "fajar")

    def second(self) -> Application:
        client = self.world.run(self.world.connect("fajar", resource="phone", machine="phone"))
        self.world.advance(20)
        return Application(self.world, client)

    def test_the_one_that_comes_gets_what_follows_as_by_the_relay(self) -> None:
        phone = self.second()
        self.assertEqual(self.esa.roads, [True, False])
        self.assertEqual(self.esa.say("fajar", "to the newest"), ["delivered"])
        self.assertEqual((phone.bodies, self.fajar.bodies), (["to the newest"], ["hello"]))

    def test_another_presence_of_the_same_one_changes_nothing(self) -> None:
        self.world.run(self.fajar.client.presence.set(bio="tea"))
        self.world.advance(20)
        self.assertEqual(self.esa.roads, [True])

    def test_one_that_comes_while_our_relay_is_away_is_found_when_it_is_back(self) -> None:
        relays = ("relay1", "relay2")
        for relay in relays:
            self.world.partition("user esa", relay)
        self.world.until(lambda: not self.esa.side._house.say_iq(Iq()), 120)
        phone = self.second()
        self.assertEqual(self.esa.roads, [True])
        self.world.heal()
        self.world.until(lambda: self.esa.roads == [True, False], 120)
        self.assertEqual(self.esa.say("fajar", "x"), ["delivered"])
        self.assertEqual(phone.bodies, ["x"])

    def test_a_message_to_the_other_device_goes_to_it(self) -> None:
        self.esa.side.presence_heard = lambda user: None  # type: ignore[method-assign]
        phone = self.second()
        self.assertEqual(self.esa.roads, [True])
        sent = [self.esa.client.send("fajar", "1"), self.esa.client.send("fajar/phone", "2")]
        self.assertEqual([self.world.run(one).status for one in sent], ["delivered"] * 2)
        self.assertIn("2", phone.bodies)
        self.assertEqual(self.esa.roads[:2], [True, False])

    def test_one_that_replaces_the_other_is_linked_with_anew(self) -> None:
        again = self.world.run(self.world.connect("fajar", machine="again", direct=Direct()))
        application = Application(self.world, again)
        self.world.clients["fajar"] = again
        self.world.until(lambda: self.esa.roads == [True, False])
        self.world.linked("esa", "fajar")
        self.assertEqual(self.esa.say("fajar", "x"), ["delivered"])
        self.assertEqual(application.bodies[-1], "x")
