# SPDX-License-Identifier: MIT
"""Acknowledged sessions at a relay: counts, receipts, resumption, and what becomes of the rest."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.servers.relay_house import House, Line, house_with, message
from xjrelay.net.context import Limits
from xjrelay.servers.relay.outcomes import Origin
from xjrelay.servers.relay.service import Relay
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.servers.relay.switch import RelaySettings
from xjrelay.wire import codec

ONE, TWO = "10.0.1.1", "10.0.1.2"


def receipt(to: str, status: str, *ids: str, **more: Any) -> dict[str, Any]:
    """A receipt stanza."""
    return {"stanza": "receipt", "to": to, "ids": list(ids), "status": status, **more}


def ack(h: int) -> dict[str, Any]:
    """An acknowledgement."""
    return {"stanza": "ack", "h": h}


def bodies(line: Line) -> list[str]:
    """The bodies of the messages a line has heard, acknowledgements left out."""
    return [frame["body"] for frame in line.take() if frame.get("stanza") == "message"]


def outcomes(line: Line) -> list[dict[str, Any]]:
    """What a line has heard, acknowledgements and pings left out."""
    return [frame for frame in line.take() if frame.get("stanza") != "ack" and frame.get("type") != "ping"]


class Delivery(SynchronousTestCase):
    """The base: two relays; whoever is acknowledged by whom is the test's."""

    settings = RelaySettings(resume=60.0, max_queue=5)
    limits = Limits()

    def setUp(self) -> None:
        self.house: House = house_with(2, self.settings, self.limits)
        self.one, self.two = self.house.relays.values()

    def acked(self, relay: Relay, username: str, resource: str = "") -> tuple[Line, str]:
        """A user with acknowledgement, and its resume key."""
        line = self.house.user(relay, username, resource, ack=True)
        [welcome] = line.take()
        return line, welcome["resume_key"]

    def resume(self, address: str, username: str, key: str, h: int) -> Line:
        """A connection that asks to go on."""
        line = self.house.dial(address)
        line.say({"username": username, "message": "hello!", "resume": key, "h": h})
        return line


class LongReceiptTests(Delivery):
    """A receipt is a frame, and no frame is longer than the limit."""

    settings = RelaySettings(max_queue=100)
    limits = Limits(max_frame=1024)

    def test_ids_that_make_too_long_a_frame_are_told_in_several(self) -> None:
        for relay in (self.one, self.two):
            esa, _ = self.acked(self.one, "Esa")
            fajar, _ = self.acked(relay, "Fajar")
            ids = [f"{number:02}" + "\x01" * 62 for number in range(20)]  # of 374 bytes each, as JSON
            esa.say(*(message("Fajar", "halo", id=one) for one in ids))
            self.assertEqual(len(bodies(fajar)), 20)
            fajar.say(ack(20))
            told = outcomes(esa)
            self.assertEqual([one for frame in told for one in frame["ids"]], ids)
            self.assertEqual({len(frame["ids"]) for frame in told}, {1, 2})
            self.assertLessEqual(max(len(codec.encode(frame)) for frame in told), 1024)


class ReceiptTests(Delivery):
    """What a sender is told."""

    def test_delivered_is_what_the_recipient_acknowledged(self) -> None:
        for relay in (self.one, self.two):
            esa, _ = self.acked(self.one, "Esa")
            fajar, _ = self.acked(relay, "Fajar")
            esa.say(*(message("Fajar", str(number), id=str(number)) for number in range(3)))
            self.assertEqual((bodies(fajar), outcomes(esa)), (["0", "1", "2"], []))
            fajar.say(ack(2))
            self.assertEqual(outcomes(esa), [receipt("Esa", "delivered", "0", "1")])
            fajar.say(ack(3))
            self.assertEqual(outcomes(esa), [receipt("Esa", "delivered", "2")])
            esa.leave()
            fajar.leave()

    def test_to_a_recipient_without_acknowledgement_written_is_delivered(self) -> None:
        esa, _ = self.acked(self.one, "Esa", "phone")
        for relay in (self.one, self.two):
            self.house.joined(relay, "Fajar")
            esa.say(message("Fajar", "1", id="1"), message("Fajar", "2", id="2"))
            told = outcomes(esa)
            self.assertEqual({frame["status"] for frame in told}, {"delivered"})
            self.assertEqual([one for frame in told for one in frame["ids"]], ["1", "2"])
            self.assertEqual({frame["to"] for frame in told}, {"Esa/phone"})

    def test_a_message_to_nobody_has_the_error_stanza_as_its_one_outcome(self) -> None:
        esa, _ = self.acked(self.one, "Esa")
        esa.say(message("Nobody", "1", id="7"))
        [told] = outcomes(esa)
        self.assertEqual((told["from"], told["code"], told["id"]), ("relay", 404, "7"))

    def test_without_an_id_or_acknowledgement_there_is_no_receipt(self) -> None:
        esa, _ = self.acked(self.one, "Esa")
        gita = self.house.joined(self.one, "Gita")
        fajar, _ = self.acked(self.two, "Fajar")
        esa.say(message("Fajar", "1"))
        gita.say(message("Fajar", "2", id="2"))
        fajar.say(ack(2))
        self.assertEqual((outcomes(esa), outcomes(gita)), ([], []))

    def test_a_full_queue_is_handed_over_and_its_session_ends(self) -> None:
        for relay in (self.one, self.two):
            esa, _ = self.acked(self.one, "Esa")
            fajar, _ = self.acked(relay, "Fajar")
            esa.say(*(message("Fajar", str(number), id=str(number)) for number in range(7)))
            self.assertCountEqual(
                outcomes(esa),
                [
                    receipt("Esa", "failed", "5", "6", code=503),
                    receipt("Esa", "stored", "0", "1", "2", "3", "4"),
                ],
            )
            told = [frame["code"] for frame in fajar.take() if "error" in frame]
            self.assertEqual((told, fajar.ended), ([503], True))
            self.assertEqual(self.house.mailbox("Fajar"), ["0", "1", "2", "3", "4"])
            self.house.empty("Fajar")

    def test_a_full_queue_is_told_to_a_sender_without_acknowledgement_too(self) -> None:
        gita = self.house.joined(self.one, "Gita")
        self.acked(self.one, "Fajar")
        gita.say(*(message("Fajar", str(number)) for number in range(6)))
        self.assertEqual([(frame["from"], frame["code"]) for frame in gita.take()], [("relay", 503)] * 6)

    def test_what_is_in_flight_on_a_lost_mesh_link_fails_with_503(self) -> None:
        esa, _ = self.acked(self.one, "Esa")
        gita = self.house.joined(self.one, "Gita")
        fajar, _ = self.acked(self.two, "Fajar")
        esa.say(message("Fajar", "1", id="1"), message("Fajar", "2", id="2"))
        gita.say(message("Fajar", "3", id="3"))
        self.house.network.cut(ONE, TWO)
        self.house.settle()
        self.assertEqual(outcomes(esa), [receipt("Esa", "failed", "1", "2", code=503)])
        self.assertEqual([(frame["code"], frame["id"]) for frame in gita.take()], [(503, "3")])
        self.house.wait(3.0)
        fajar.say(ack(3))
        self.assertEqual(outcomes(esa), [])

    def test_each_of_two_devices_hears_of_its_own_messages(self) -> None:
        phone, _ = self.acked(self.one, "Esa", "phone")
        desk, _ = self.acked(self.one, "Esa", "desk")
        fajar, _ = self.acked(self.two, "Fajar")
        phone.say(message("Fajar", "1", id="1"))
        desk.say(message("Fajar", "2", id="2"))
        fajar.say(ack(2))
        self.assertEqual(outcomes(phone), [receipt("Esa/phone", "delivered", "1")])
        self.assertEqual(outcomes(desk), [receipt("Esa/desk", "delivered", "2")])


class OrderTests(Delivery):
    """Nothing overtakes on the way between two relays."""

    def setUp(self) -> None:
        super().setUp()
        self.esa, _ = self.acked(self.two, "Esa")
        self.mesh = self.two.switch.way_to("relay1")
        assert self.mesh is not None

    def cross(self, message_id: str, **more: Any) -> None:
        """A message of Esa's that was under way before her relay knew better."""
        origin = Origin(self.esa_session(), "Esa", "Fajar", message_id)
        frame = json.dumps({**message("Fajar", message_id, id=message_id, **more), "from": "Esa"}).encode()
        assert self.mesh is not None
        self.mesh.forward(frame, origin)
        self.house.settle()

    def esa_session(self) -> UserSession:
        found = self.two.switch.table.find_local("Esa")
        assert found is not None and found.handle is not None
        return found.handle

    def test_what_follows_a_refused_message_over_a_link_goes_back_until_begun_again(self) -> None:
        self.cross("1")  # nobody is there
        self.assertEqual([frame["code"] for frame in outcomes(self.esa)], [404])
        fajar, _ = self.acked(self.one, "Fajar")
        self.cross("2")
        self.assertEqual((bodies(fajar), outcomes(self.esa)), ([], [receipt("Esa", "failed", "2", code=503)]))
        self.cross("1", again=True)
        self.cross("2")
        self.assertEqual(bodies(fajar), ["1", "2"])

    def test_a_sender_that_begins_a_new_session_begins_anew(self) -> None:
        self.cross("1")
        fajar, _ = self.acked(self.one, "Fajar")
        self.esa.leave()
        self.house.wait(61)
        self.esa, _ = self.acked(self.two, "Esa")
        self.cross("2")
        self.assertEqual(bodies(fajar), ["2"])

    def test_what_follows_a_message_that_is_handed_over_goes_back(self) -> None:
        self.acked(self.one, "Fajar")
        self.esa.say(message("Fajar", "1", id="1"))
        self.house.network.partition("10.0.0.2", ONE)  # the manager's answer will take its time
        again, _ = self.acked_without_manager("Fajar")
        self.cross("2")
        self.assertEqual(outcomes(self.esa), [receipt("Esa", "failed", "2", code=503)])
        self.house.network.heal()
        self.house.settle()
        self.assertEqual(bodies(again), ["1"])

    def acked_without_manager(self, username: str) -> tuple[Line, str]:
        """A new session, its opening unanswered."""
        line = self.house.user(self.one, username, ack=True)
        [welcome] = line.take()
        return line, welcome["resume_key"]

    def test_a_session_hears_nothing_but_the_welcome_before_the_manager_answered(self) -> None:
        self.house.network.partition("10.0.0.2", ONE)
        fajar, _ = self.acked_without_manager("Fajar")
        self.esa.say(message("Fajar", "1", id="1"), message("Fajar", "2"))
        self.assertEqual((bodies(fajar), outcomes(self.esa)), ([], []))
        self.house.network.heal()
        self.house.settle()
        self.assertEqual(bodies(fajar), ["1", "2"])

    def test_with_the_manager_away_a_hello_gets_503_and_a_resume_does_not(self) -> None:
        fajar, key = self.acked(self.one, "Fajar")
        self.house.kill("10.0.0.2")
        self.house.settle()
        self.esa.say(message("Fajar", "1", id="1"), message("Nobody", "2", id="2"))
        self.assertEqual(outcomes(self.esa), [receipt("Esa", "failed", "2", code=503)])
        fajar.vanish()
        again = self.resume(ONE, "Fajar", key, 0)
        self.assertEqual(bodies(again), ["1"])
        refused = self.house.user(self.one, "Gita", ack=True)
        self.assertEqual([frame["code"] for frame in refused.take()], [503])

    def test_messages_to_one_device_are_not_for_the_other(self) -> None:
        phone, _ = self.acked(self.one, "Fajar", "phone")
        phone.vanish()
        self.house.wait(61)
        self.esa.say(message("Fajar/phone", "1", id="1"), message("Fajar", "2", id="2"))
        self.assertEqual(outcomes(self.esa), [receipt("Esa", "stored", "1", "2")])
        desk = self.house.user(self.one, "Fajar", "desk", ack=True)
        self.assertEqual([frame["body"] for frame in desk.take()[1:]], ["2"])
        phone = self.house.user(self.two, "Fajar", "phone", ack=True)
        self.assertEqual([frame["body"] for frame in phone.take()[1:]], ["1", "2"])


class LongIdTests(Delivery):
    """Receipts stay within a frame, whatever the ids."""

    settings = RelaySettings()

    def test_ids_that_take_most_room_never_make_a_frame_too_long(self) -> None:
        esa, _ = self.acked(self.one, "Esa")
        fajar, _ = self.acked(self.two, "Fajar")
        ids = [f"{number:03}\x80\x81\x82" + "\U0001f600" * 58 for number in range(300)]
        for one in ids:
            esa.say(message("Fajar", "x", id=one))
        fajar.say(ack(300))
        self.assertEqual([one for frame in outcomes(esa) for one in frame["ids"]], ids)
        self.assertEqual(self.one.peers.linked, ["relay2"])


class CountingTests(Delivery):
    """Both sides' counts."""

    def test_the_relay_says_what_it_has_had(self) -> None:
        esa, key = self.acked(self.one, "Esa")
        self.house.joined(self.one, "Fajar")
        esa.say(message("Fajar", "1"), message("Fajar", "2"))
        esa.say(message("Fajar", "forged", **{"from": "Fajar"}))  # 403 counts
        esa.say(message("a b", "no address"), {"stanza": "message"})  # 400 does not
        self.house.wait(1.5)
        self.assertEqual([frame for frame in esa.take() if frame.get("stanza") == "ack"], [ack(3)])
        esa.vanish()
        [welcome] = self.resume(ONE, "Esa", key, 0).take()
        self.assertEqual(welcome["h"], 3)

    def test_an_h_that_falls_or_is_too_high_closes(self) -> None:
        for h in ([1, 0], [2]):
            esa, _ = self.acked(self.one, "Esa")
            self.house.joined(self.one, "Fajar").say(message("Esa", "1"))
            esa.say(*map(ack, h))
            [answer] = [frame for frame in esa.take() if "error" in frame]
            self.assertEqual((answer["code"], esa.ended), (400, True))
            self.assertIsNone(self.one.switch.table.find("Esa"))

    def test_outcomes_and_messages_count_alike(self) -> None:
        esa, _ = self.acked(self.one, "Esa")
        fajar, _ = self.acked(self.one, "Fajar")
        esa.say(message("Fajar", "1", id="1"), message("Nobody", "2"))
        fajar.say(ack(1), message("Esa", "3", id="3"))
        self.assertEqual(len(outcomes(esa)), 3)
        esa.say(ack(3))
        got, told = outcomes(fajar)
        self.assertEqual((got["body"], told), ("1", receipt("Fajar", "delivered", "3")))

    def test_one_that_never_takes_its_outcomes_is_ended(self) -> None:
        esa, _ = self.acked(self.one, "Esa")
        esa.say(*(message("Nobody", str(number)) for number in range(11)))
        self.assertTrue(esa.ended)
        self.assertEqual(len(outcomes(esa)), 10 + 1)


class ResumeTests(Delivery):
    """A lost connection, and the same session on another."""

    def test_a_resumed_session_gets_what_it_has_not_acknowledged_in_order(self) -> None:
        for relay in (self.one, self.two):
            esa, _ = self.acked(relay, "Esa")
            fajar, key = self.acked(self.one, "Fajar")
            esa.say(message("Fajar", "1", id="1"), message("Fajar", "2", id="2"))
            fajar.vanish()
            esa.say(message("Fajar", "3", id="3"))
            self.assertEqual(outcomes(esa), [])
            again = self.resume(ONE, "fajar", key, 1)
            welcome, *frames = again.take()
            self.assertEqual((welcome["resumed"], welcome["h"]), (True, 0))
            self.assertEqual([frame["body"] for frame in frames], ["2", "3"])
            self.assertEqual(outcomes(esa), [receipt("Esa", "delivered", "1")])
            esa.say(message("Fajar", "4", id="4"))
            self.assertEqual(bodies(again), ["4"])
            again.say(ack(4))
            self.assertEqual(outcomes(esa), [receipt("Esa", "delivered", "2", "3", "4")])

    def test_a_key_is_for_one_use_and_the_next_one_works(self) -> None:
        fajar, key = self.acked(self.one, "Fajar")
        fajar.vanish()
        again = self.resume(ONE, "Fajar", key, 0)
        [welcome] = again.take()
        self.assertNotEqual(welcome["resume_key"], key)
        self.assertEqual(len(bytes.fromhex(welcome["resume_key"])), 16)
        again.vanish()
        [answer] = self.resume(ONE, "Fajar", key, 0).take()
        self.assertEqual(answer["code"], 404)
        [welcome] = self.resume(ONE, "Fajar", welcome["resume_key"], 0).take()
        self.assertTrue(welcome["resumed"])

    def test_an_unknown_key_or_another_users_is_404_and_an_ordinary_hello_may_follow(self) -> None:
        _, key = self.acked(self.one, "Fajar")
        line = self.house.dial(ONE)
        for username, resume in (("Fajar", "0" * 32), ("Esa", key)):
            line.say({"username": username, "message": "hello!", "resume": resume, "h": 0})
            self.assertEqual([frame["code"] for frame in line.take()], [404])
        line.say({"username": "Esa", "message": "hello!", "token": self.house.token(self.one, "Esa")})
        self.assertEqual([frame["message"] for frame in line.take()], ["hello!"])

    def test_a_connection_that_only_seemed_alive_is_cut_when_its_session_is_resumed(self) -> None:
        fajar, key = self.acked(self.one, "Fajar")
        again = self.resume(ONE, "Fajar", key, 0)
        self.assertTrue(fajar.ended)
        self.house.wait(1.0)
        self.house.joined(self.one, "Esa").say(message("Fajar", "1"))
        self.assertEqual(bodies(again), ["1"])

    def test_a_wrong_h_closes_and_the_session_waits_on(self) -> None:
        fajar, key = self.acked(self.one, "Fajar")
        fajar.vanish()
        line = self.resume(ONE, "Fajar", key, 1)
        self.assertEqual(([frame["code"] for frame in line.take()], line.ended), ([400], True))
        [welcome] = self.resume(ONE, "Fajar", key, 0).take()
        self.assertTrue(welcome["resumed"])

    def test_what_is_never_resumed_is_stored_and_the_session_is_gone_everywhere(self) -> None:
        esa, _ = self.acked(self.two, "Esa")
        gita = self.house.joined(self.one, "Gita")
        fajar, key = self.acked(self.one, "Fajar")
        fajar.vanish()
        esa.say(message("Fajar", "1", id="1"), message("Fajar", "2"))
        gita.say(message("Fajar", "3"))
        self.house.wait(59.0)
        self.assertEqual((outcomes(esa), outcomes(gita)), ([], []))
        self.assertEqual(self.house.manager.relays.count("relay1"), 2)
        self.house.wait(2.0)
        told = outcomes(esa)
        self.assertEqual(told[0]["code"], 404)  # the one without an id, as R20 has it
        self.assertEqual(told[1], receipt("Esa", "stored", "1"))
        self.assertEqual(self.house.mailbox("Fajar"), ["1"])
        self.assertEqual([frame["code"] for frame in outcomes(gita)], [503])
        self.assertEqual(self.house.manager.relays.count("relay1"), 1)
        [answer] = self.resume(ONE, "Fajar", key, 0).take()
        self.assertEqual(answer["code"], 404)

    def test_a_new_session_elsewhere_ends_one_that_waits(self) -> None:
        esa, _ = self.acked(self.one, "Esa")
        fajar, _ = self.acked(self.one, "Fajar")
        fajar.vanish()
        esa.say(message("Fajar", "1", id="1"))
        here = self.house.user(self.two, "Fajar")
        self.assertEqual(outcomes(esa), [receipt("Esa", "stored", "1")])
        self.assertEqual(bodies(here), ["1"])
        esa.say(message("Fajar", "2", id="2"))
        self.assertEqual(bodies(here), ["2"])

    def test_many_waiting_sessions_and_their_timers_leave_nothing(self) -> None:
        for number in range(20):
            line, _ = self.acked(self.one, f"user{number}")
            line.vanish()
        self.house.wait(61.0)
        self.assertEqual(len(self.one.switch.table), 0)
        self.assertEqual(self.house.manager.relays.count("relay1"), 0)

    def test_a_relay_that_stops_ends_its_sessions_and_says_so(self) -> None:
        esa, _ = self.acked(self.two, "Esa")
        fajar, _ = self.acked(self.one, "Fajar")
        waiting, _ = self.acked(self.one, "Gita")
        waiting.vanish()
        esa.say(message("Fajar", "1", id="1"), message("Gita", "2", id="2"))
        done: list[None] = []
        self.one.stop().addCallback(done.append)
        self.house.wait(3.0)
        self.assertEqual(outcomes(esa), [receipt("Esa", "stored", "1", "2")])
        self.assertEqual([frame["code"] for frame in outcomes(fajar) if "error" in frame], [503])
        self.assertEqual((done, fajar.ended), ([None], True))


class SlowReaderTests(Delivery):
    """Somebody who doesn't read."""

    settings = RelaySettings(max_queue=1000)
    limits = Limits(max_outgoing=50_000)

    def test_it_is_cut_and_what_it_is_owed_is_kept(self) -> None:
        esa, _ = self.acked(self.one, "Esa")
        fajar, key = self.acked(self.one, "Fajar")
        fajar.transport.pauseProducing()
        for number in range(20):
            esa.say(message("Fajar", "x" * 10_000, id=str(number)))
        self.assertTrue(fajar.ended)
        self.assertEqual(outcomes(esa), [])
        again = self.resume(ONE, "Fajar", key, 0)
        self.house.wait(1.0)
        _, *frames = again.take()
        self.assertEqual([frame["id"] for frame in frames], [str(number) for number in range(20)])

    def test_without_acknowledgement_the_sender_hears_that_it_is_gone(self) -> None:
        esa = self.house.joined(self.one, "Esa")
        fajar = self.house.joined(self.one, "Fajar")
        fajar.transport.pauseProducing()
        for _ in range(20):
            esa.say(message("Fajar", "x" * 10_000))
        self.assertTrue(fajar.ended)
        self.assertEqual({frame["code"] for frame in esa.take()}, {404})
