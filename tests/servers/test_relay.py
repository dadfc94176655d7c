# SPDX-License-Identifier: MIT
"""The relay's twenty-six functions, each by its number, on a whole suite in memory."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.servers.relay_house import MANAGER, RELAY_PORT, TRACKER, House, house_with, message
from xjrelay.domain.routing import User
from xjrelay.servers.relay.service import Relay
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.framing import ORIGINAL

LOGGED_OUT = CloseReason.LOGGED_OUT
ONE, TWO, THREE = "10.0.1.1", "10.0.1.2", "10.0.1.3"


def not_found(to: str, **more: Any) -> dict[str, Any]:
    """R15's error stanza."""
    body = "User not found or User not online"
    return {"stanza": "message", "from": "relay", "to": to, "error": True, "code": 404, "body": body, **more}


def users_of(relay: Relay, other: Relay) -> list[User]:
    """Whom a relay believes to be at another."""
    return relay.switch.table.users_of(other.identity.name)


class JoiningTests(SynchronousTestCase):
    """Tracker, manager, other relays."""

    def test_R1_connects_to_the_tracker(self) -> None:
        house = House()
        house.start_tracker()
        house.start_relay(ONE)
        house.wait(1.0)
        [listed] = house.rendezvous.directory.live()
        self.assertEqual((listed.type, listed.ip_local, listed.port), ("relay", ONE, RELAY_PORT))

    def test_R1_comes_back_after_a_tracker_restart(self) -> None:
        house = house_with(1)
        house.kill(TRACKER)
        house.start_tracker()
        house.wait(40.0)
        self.assertIn("relay", [one.type for one in house.rendezvous.directory.live()])

    def test_R2_connects_to_the_manager(self) -> None:
        house = house_with(1)
        [relay] = house.relays.values()
        self.assertEqual(relay.identity.name, "relay1")
        self.assertEqual(len(house.manager.relays), 1)

    def test_R2_keeps_its_name_over_a_restart(self) -> None:
        house = house_with(2)
        house.kill(ONE)
        house.wait(1.0)
        again = house.start_relay(THREE, relay_id=ONE)
        house.wait(3.0)
        self.assertEqual(again.identity.name, "relay1")

    def test_R3_asks_the_tracker_until_there_is_a_manager(self) -> None:
        house = House()
        house.start_tracker()
        relay = house.start_relay(ONE)
        house.wait(20.0)
        self.assertFalse(relay.is_ready)
        house.start_manager()
        house.wait(8.0)
        self.assertTrue(relay.is_ready)

    def test_R3_finds_a_manager_that_moved(self) -> None:
        house = house_with(1)
        house.kill(MANAGER)
        house.start_manager("10.0.0.3")
        house.wait(60.0)
        [relay] = house.relays.values()
        self.assertTrue(relay.upstream.linked)

    def test_readiness_is_told_once(self) -> None:
        house = House()
        house.start_tracker()
        relay = house.start_relay(ONE)
        told: list[Any] = []
        relay.on_ready = told.append
        house.start_manager()
        house.wait(8.0)
        house.kill(MANAGER)
        house.start_manager()
        house.wait(40.0)
        self.assertEqual([place.port for place in told], [RELAY_PORT])

    def test_R4_connects_to_every_relay_and_learns_its_users(self) -> None:
        house = house_with(2)
        one, two = house.relays.values()
        house.joined(one, "Esa", number=5)
        house.joined(two, "Fajar", "phone", number=6)
        three = house.start_relay(THREE)
        house.wait(3.0)
        self.assertEqual(three.peers.linked, ["relay1", "relay2"])
        self.assertEqual(users_of(three, one), [User("Esa", "", 5)])
        self.assertEqual(users_of(three, two), [User("Fajar", "phone", 6)])

    def test_R17_records_a_relay_that_connects(self) -> None:
        house = house_with(2)
        one, two = house.relays.values()
        self.assertEqual((one.peers.linked, two.peers.linked), (["relay2"], ["relay1"]))

    def test_R18_gives_a_new_relay_its_name_and_all_its_users(self) -> None:
        house = house_with(1)
        [one] = house.relays.values()
        names = [f"user{number}-{'x' * 40}" for number in range(60)]  # more than one frame holds
        for name in names:
            house.joined(one, name, "y" * 60)
        two = house.start_relay(TWO)
        house.wait(3.0)
        self.assertEqual([user.username for user in users_of(two, one)], names)

    def test_a_relay_renamed_by_a_new_manager_meshes_under_the_new_name(self) -> None:
        house = house_with(2)
        one, two = house.relays.values()
        house.kill(MANAGER)
        house.stores = House().stores
        house.signer.rotate()
        for relay in (two, one):  # the manager remembers nobody: names go by who comes first
            house.network.partition(MANAGER, relay.identity.place.host)
        house.start_manager()
        house.network.heal()
        house.network.partition(MANAGER, ONE)
        house.wait(60.0)
        house.network.heal()
        house.wait(90.0)
        self.assertEqual((two.identity.name, one.identity.name), ("relay1", "relay2"))
        self.assertEqual((one.peers.linked, two.peers.linked), (["relay1"], ["relay2"]))


class SessionTests(SynchronousTestCase):
    """Users come and go."""

    def setUp(self) -> None:
        self.house = house_with(2)
        self.one, self.two = self.house.relays.values()

    def count(self) -> list[int]:
        return [self.house.manager.relays.count(name) for name in ("relay1", "relay2")]

    def test_R5_accepts_every_connection(self) -> None:
        lines = [self.house.dial(ONE) for _ in range(50)]
        self.assertFalse(any(line.ended for line in lines))
        self.house.wait(11.0)
        self.assertTrue(all(line.ended for line in lines))

    def test_R6_records_a_user_that_connects(self) -> None:
        line = self.house.user(self.one, "Esa", "phone", number=7)
        self.assertEqual(line.take(), [{"message": "hello!", "relay_username": "relay1", "session": 7}])
        self.assertEqual([route.user for route in self.one.switch.table.local()], [User("Esa", "phone", 7)])

    def test_R7_tells_the_manager(self) -> None:
        self.house.joined(self.one, "Esa")
        self.assertEqual(self.count(), [1, 0])

    def test_R7_tells_a_manager_that_returns_the_whole_list(self) -> None:
        self.house.joined(self.one, "Esa")
        self.house.joined(self.two, "Fajar")
        self.house.kill(MANAGER)
        self.house.joined(self.two, "Gita")
        self.house.start_manager()
        self.house.wait(40.0)
        self.assertEqual(self.count(), [1, 2])

    def test_R8_tells_the_other_relays(self) -> None:
        self.house.joined(self.one, "Esa", "phone", number=7)
        self.assertEqual(users_of(self.two, self.one), [User("Esa", "phone", 7)])

    def test_R9_forgets_a_user_that_logged_out(self) -> None:
        line = self.house.joined(self.one, "Esa")
        self.house.manager.relays.revoke("Esa", 1, LOGGED_OUT, None)
        self.house.settle()
        self.assertEqual(line.take(), [{"error": True, "code": 401, "msg": "logged out"}])
        self.assertTrue(line.ended)
        self.assertEqual(len(self.one.switch.table), 0)

    def test_R9_a_token_handed_out_before_opens_nothing_any_more(self) -> None:
        token = self.house.token(self.one, "Esa", number=4)
        self.house.manager.relays.revoke("esa", 4, LOGGED_OUT, "")
        line = self.house.dial(ONE)
        line.say({"username": "Esa", "message": "hello!", "token": token})
        self.assertEqual([answer["code"] for answer in line.take()], [401])
        self.assertEqual(len(self.one.switch.table), 0)

    def test_R9_leaves_newer_sessions_and_other_devices_alone(self) -> None:
        old = self.house.joined(self.one, "Esa", "phone", number=3)
        new = self.house.joined(self.one, "Esa", "desk", number=4)
        self.house.manager.relays.revoke("Esa", 3, LOGGED_OUT, None)
        self.house.settle()
        self.assertEqual((old.ended, new.ended), (True, False))
        other = self.house.joined(self.one, "Esa", "phone", number=5)
        self.house.manager.relays.revoke("Esa", 9, LOGGED_OUT, "desk")
        self.house.settle()
        self.assertEqual((new.ended, other.ended), (True, False))

    def test_R10_tells_the_manager_that_a_user_left(self) -> None:
        line = self.house.joined(self.one, "Esa")
        line.leave()
        self.assertEqual(self.count(), [0, 0])

    def test_R11_tells_the_other_relays_that_a_user_left(self) -> None:
        line = self.house.joined(self.one, "Esa")
        line.leave()
        self.assertEqual(users_of(self.two, self.one), [])

    def test_R12_a_user_whose_connection_fails_is_gone_everywhere(self) -> None:
        line = self.house.joined(self.one, "Esa")
        line.vanish()
        self.assertEqual(self.count(), [0, 0])
        self.assertEqual(users_of(self.two, self.one), [])

    def test_R12_a_user_that_falls_silent_is_gone_everywhere(self) -> None:
        self.house.joined(self.one, "Esa")
        self.house.network.partition(ONE, self.house.users.address)
        self.house.wait(70.0)
        self.assertEqual(self.count(), [0, 0])
        self.assertEqual(users_of(self.two, self.one), [])

    def test_a_newer_session_of_the_same_device_ends_the_older_as_replaced(self) -> None:
        old = self.house.joined(self.one, "Esa", "phone")
        here = self.house.joined(self.one, "Esa", "phone")
        self.assertEqual(old.take(), [{"error": True, "code": 409, "msg": "replaced"}])
        self.assertTrue(old.ended)
        self.house.joined(self.two, "Esa", "phone")
        self.assertEqual(here.take(), [{"error": True, "code": 409, "msg": "replaced"}])
        self.assertTrue(here.ended)
        self.assertEqual((users_of(self.two, self.one), self.count()), ([], [0, 1]))

    def test_an_older_session_cannot_take_the_place_of_a_newer_one(self) -> None:
        new = self.house.joined(self.two, "Esa", number=8)
        line = self.house.user(self.one, "Esa", number=7)
        self.assertEqual([answer["code"] for answer in line.take()], [409])
        self.assertTrue(line.ended)
        self.assertFalse(new.ended)


class MessageTests(SynchronousTestCase):
    """Messages on one relay and across two."""

    def setUp(self) -> None:
        self.house = house_with(2)
        self.one, self.two = self.house.relays.values()
        self.esa = self.house.joined(self.one, "Esa")

    def test_R13_takes_message_stanzas(self) -> None:
        fajar = self.house.joined(self.one, "Fajar")
        said = message("Fajar", "halo", type="chat", subject="s", thread="t", lang="id", extra={"kept": [1]})
        self.esa.say({**said, "from": "Esa"})
        self.assertEqual(fajar.take(), [{**said, "from": "Esa"}])
        self.assertEqual(self.esa.take(), [])

    def test_R13_fills_in_and_corrects_the_sender(self) -> None:
        fajar = self.house.joined(self.one, "Fajar")
        phone = self.house.joined(self.one, "Esa", "phone")
        self.esa.say(message("fajar", "1"), message("fajar", "2", **{"from": "ESA"}))
        phone.say(message("fajar", "3", **{"from": "eSa/phone"}), message("fajar", "4", **{"from": "Esa"}))
        self.assertEqual([m["from"] for m in fajar.take()], ["Esa", "Esa", "Esa/phone", "Esa"])

    def test_R13_refuses_a_sender_that_is_another(self) -> None:
        fajar = self.house.joined(self.one, "Fajar")
        for sender in ("Fajar", "Esa/phone", "relay", "a b", "Esa/"):
            self.esa.say(message("Fajar", "x", **{"from": sender}, id="1"))
            self.assertEqual([(a["code"], a["id"]) for a in self.esa.take()], [(403, "1")], sender)
        self.assertEqual(fajar.take(), [])

    def test_R13_forwards_the_frame_as_it_came(self) -> None:
        fajar = self.house.joined(self.one, "Fajar")
        seen: list[bytes] = []
        fajar.dataReceived = seen.append  # type: ignore[method-assign, assignment]
        frame = '{ "stanza":"message", "from":"Esa","to":"Fajar","body":"\\u0041 é", "n":1.50 }'.encode()
        self.esa.write(frame)
        self.assertEqual(seen, [frame + b"\n"])

    def test_R13_encodes_again_what_holds_a_delimiter(self) -> None:
        fajar = self.house.joined(self.one, "Fajar")
        original = self.house.joined(self.one, "Gita", delimiter=ORIGINAL)
        inside = "\x80\x81\x82"
        self.esa.write(f'{{"stanza":"message","from":"Esa","to":"Gita","body":"{inside}"}}'.encode())
        self.assertEqual([m["body"] for m in original.take()], [inside])
        original.write(b'{"stanza":"message",\n"from":"Gita","to":"Fajar","body":"x"}')
        self.assertEqual([m["body"] for m in fajar.take()], ["x"])

    def test_R14_finds_the_recipient_here_or_on_another_relay(self) -> None:
        here, there = self.house.joined(self.one, "Fajar"), self.house.joined(self.two, "Gita")
        self.esa.say(message("FAJAR", "1"), message("gita", "2"))
        self.assertEqual([m["body"] for m in here.take()], ["1"])
        self.assertEqual([m["body"] for m in there.take()], ["2"])

    def test_R14_a_bare_address_is_the_newest_session(self) -> None:
        old = self.house.joined(self.one, "Fajar", "phone")
        new = self.house.joined(self.two, "Fajar", "desk")
        self.esa.say(message("Fajar", "1"), message("Fajar/phone", "2"))
        self.assertEqual([m["body"] for m in new.take()], ["1"])
        self.assertEqual([m["body"] for m in old.take()], ["2"])

    def test_R15_answers_a_message_to_nobody(self) -> None:
        self.esa.say(message("Nobody", "1"), message("Esa/none", "2", id="7"))
        self.assertEqual(self.esa.take(), [not_found("Esa"), not_found("Esa", id="7")])

    def test_R15_refuses_what_is_no_address(self) -> None:
        for to in ("", "a b", "x" * 200, ["Fajar"], None, 5, "/phone"):
            self.esa.say(message("", "x", id="1") | {"to": to})
            self.assertEqual([(a["code"], a["id"]) for a in self.esa.take()], [(400, "1")], to)
        self.esa.say({"stanza": "message", "body": "x"})
        self.assertEqual([answer["code"] for answer in self.esa.take()], [400])

    def test_R16_delivers_in_order(self) -> None:
        fajar = self.house.joined(self.one, "Fajar")
        self.esa.say(*(message("Fajar", str(number)) for number in range(100)))
        self.assertEqual([m["body"] for m in fajar.take()], [str(number) for number in range(100)])

    def test_R16_delivers_to_oneself(self) -> None:
        self.esa.say(message("Esa", "note"))
        self.assertEqual([m["body"] for m in self.esa.take()], ["note"])

    def test_R19_takes_messages_from_relays_in_order(self) -> None:
        fajar = self.house.joined(self.two, "Fajar")
        self.esa.say(*(message("Fajar", str(number)) for number in range(100)))
        self.assertEqual([m["body"] for m in fajar.take()], [str(number) for number in range(100)])
        fajar.say(message("esa", "back"))
        self.assertEqual([m["body"] for m in self.esa.take()], ["back"])

    def test_R20_R23_a_recipient_that_has_just_gone_is_told_to_the_sender(self) -> None:
        fajar = self.house.joined(self.two, "Fajar")
        self.house.network.partition(ONE, TWO)
        fajar.leave()
        self.esa.say(message("fajar", "1"), message("fajar", "2", id="7"))
        self.assertEqual(self.esa.take(), [])
        self.house.network.heal()  # the news of its end and the messages cross
        self.house.settle()
        self.assertEqual(self.esa.take(), [not_found("Esa"), not_found("Esa", id="7")])

    def test_R21_a_new_user_elsewhere_is_reachable_at_once(self) -> None:
        self.house.joined(self.two, "Fajar", number=50)
        self.assertEqual(users_of(self.one, self.two), [User("Fajar", "", 50)])

    def test_R22_an_ended_user_elsewhere_is_forgotten(self) -> None:
        self.house.joined(self.two, "Fajar").leave()
        self.assertEqual(users_of(self.one, self.two), [])

    def test_what_is_too_large_to_go_on_is_refused(self) -> None:
        fajar = self.house.joined(self.one, "Fajar")
        room = 65536 - len('{"stanza":"message","to":"Fajar","body":""}')
        self.esa.write(b'{"stanza":"message","to":"Fajar","body":"' + b"x" * room + b'"}')
        self.assertEqual([answer["code"] for answer in self.esa.take()], [413])
        self.assertFalse(self.esa.ended)
        self.esa.say(message("Fajar", "after"))
        self.assertEqual([m["body"] for m in fajar.take()], ["after"])


class LossTests(SynchronousTestCase):
    """Relays fail and return; strangers say anything."""

    def test_R24_R25_a_lost_relay_is_forgotten_and_learnt_again(self) -> None:
        house = house_with(2)
        one, two = house.relays.values()
        esa, fajar = house.joined(one, "Esa"), house.joined(two, "Fajar")
        house.network.cut(ONE, TWO)
        house.clock.advance(0)
        self.assertEqual((users_of(one, two), users_of(two, one)), ([], []))
        esa.say(message("Fajar", "1"))
        house.wait(3.0)
        self.assertEqual(len(users_of(one, two)), 1)
        esa.take()
        esa.say(message("Fajar", "2"))
        self.assertEqual([m["body"] for m in fajar.take()][-1:], ["2"])

    def test_R24_a_killed_relay_is_forgotten(self) -> None:
        house = house_with(2)
        one, two = house.relays.values()
        esa = house.joined(one, "Esa")
        house.joined(two, "Fajar")
        house.kill(TWO)
        house.settle()
        esa.say(message("Fajar", "1"))
        self.assertEqual(esa.take(), [not_found("Esa")])

    def test_R24_a_relay_that_falls_silent_is_forgotten(self) -> None:
        house = house_with(2)
        one, two = house.relays.values()
        house.joined(two, "Fajar")
        house.network.partition(ONE, TWO)
        house.wait(60.0)
        self.assertEqual((one.peers.linked, users_of(one, two)), ([], []))
        house.network.heal()
        house.wait(60.0)
        self.assertEqual((one.peers.linked, len(users_of(one, two))), (["relay2"], 1))

    def test_R25_a_relay_that_returns_elsewhere_is_found(self) -> None:
        house = house_with(2)
        one, _ = house.relays.values()
        house.kill(TWO)
        house.wait(5.0)
        two = house.start_relay(THREE, relay_id=TWO)
        house.wait(5.0)
        house.joined(two, "Fajar", number=90)
        self.assertEqual(users_of(one, two), [User("Fajar", "", 90)])

    def test_R25_the_mesh_outlives_the_manager_and_the_tracker(self) -> None:
        house = house_with(2)
        one, two = house.relays.values()
        house.kill(MANAGER)
        house.kill(TRACKER)
        house.network.cut(ONE, TWO)
        house.wait(5.0)
        self.assertEqual((one.peers.linked, two.peers.linked), (["relay2"], ["relay1"]))

    def test_when_both_dial_at_once_one_link_stays_and_nobody_is_lost(self) -> None:
        house = house_with(3)
        relays = list(house.relays.values())
        lines = [house.joined(relay, f"user{number}") for number, relay in enumerate(relays)]
        for _ in range(5):
            for one, other in ((ONE, TWO), (ONE, THREE), (TWO, THREE)):
                house.network.cut(one, other)
            house.wait(10.0)
            for relay in relays:  # its tracker, its manager, two relays, one user
                self.assertEqual((relay.context.counters.links_open, len(relay.peers.linked)), (5, 2))
            for number, line in enumerate(lines):
                line.say(message(f"user{(number + 1) % 3}", "x"))
            self.assertEqual([[m["body"] for m in line.take() if "body" in m] for line in lines], [["x"]] * 3)

    def test_R26_survives_any_message(self) -> None:
        house = house_with(2)
        one, two = house.relays.values()
        esa, fajar = house.joined(one, "Esa"), house.joined(two, "Fajar")
        deep = b'{"stanza":"message","to":"Fajar","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
        for frame in (
            b"\xff\xfe", b"nonsense", b"5", b"[]", b"null", b'"x"', b"{}", deep,
            b'{"stanza":"message","to":"Fajar","from":"Esa","from":"Gita"}',
            b'{"stanza":"message","to":"Fajar","body":NaN}',
            b'{"stanza":"message","to":"Fajar","body":"\\ud800"}',
            b'{"stanza":"message","to":"Fajar","body":5}',
            b'{"stanza":"message","to":"Fajar","type":"loud"}',
            b'{"stanza":"message","to":"Fajar","id":' + b"7" * 5000 + b"}",
            b'{"stanza":"presence"}', b'{"stanza":"iq"}',
            b'{"stanza":"ack","h":-1}', b'{"stanza":"ack","h":1}',
            b'{"message":"new user","username_user":"Gita","relay_username":"relay2"}',
            b'{"message":"ncir","username_relay":"relay1","username":"Gita"}',
            b'{"message":"hello!","username":"Gita"}', b'{"type":"auth"}', b'{"type":"relay"}',
            b'{"stanza":"receipt","to":"Fajar","ids":["1"],"status":"delivered"}', b'{"activity":5}',
        ):  # fmt: skip
            esa.write(frame)
            self.assertEqual([answer["code"] for answer in esa.take()], [400], frame[:60])
            esa.say({"type": "ping"})  # ten bad frames in a row would close the link
            self.assertEqual(esa.take(), [{"type": "pong"}])
        self.assertEqual(fajar.take(), [])
        esa.say({"type": "ping", "id": "9"}, message("Fajar", "still here"))
        self.assertEqual(esa.take(), [{"type": "pong", "id": "9"}])
        self.assertEqual([m["body"] for m in fajar.take()], ["still here"])

    def test_R26_survives_any_first_message(self) -> None:
        house = house_with(1)
        for frame in (b"{}", b"5", b"\xff", b'{"stanza":"message","to":"Esa"}', b'{"type":"auth"}'):
            line = house.dial(ONE)
            line.write(frame)
            self.assertEqual([answer["code"] for answer in line.take()], [400], frame)
            self.assertFalse(line.ended)
        line = house.dial(ONE)
        line.write(*[b"x"] * 12)
        self.assertEqual((len(line.take()), line.ended), (10, True))
        line = house.dial(ONE)
        line.write(b"x" * 70_000)
        self.assertEqual(([answer["code"] for answer in line.take()], line.ended), ([413], True))
