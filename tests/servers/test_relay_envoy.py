# SPDX-License-Identifier: MIT
"""Iqs between users: carried on one relay and across two, vouched for, bounded, never counted."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.servers.relay_house import House, Line, house_with, message
from xjrelay.servers.relay.switch import RelaySettings

ONE, TWO = "10.0.1.1", "10.0.1.2"


def iq(to: str, type: str = "set", **more: Any) -> dict[str, Any]:
    """An iq as a user says it."""
    return {"stanza": "iq", "namespace": "jingle", "to": to, "type": type, "id": "d1", **more}


def iqs(line: Line) -> list[dict[str, Any]]:
    """The iqs a line has heard."""
    return [frame for frame in line.take() if frame.get("stanza") == "iq"]


class EnvoyTests(SynchronousTestCase):
    """Esa asks Fajar something."""

    def setUp(self) -> None:
        self.house: House = house_with(2)

    def join(self, username: str, address: str, resource: str = "", ack: bool = True) -> Line:
        return self.house.joined(self.house.relays[address], username, resource, ack)

    def carried(self, there: str) -> None:
        esa, fajar = self.join("esa", ONE, "phone"), self.join("fajar", there, "desk")
        esa.say(iq("fajar", query={"action": "x"}))
        asked = {**iq("fajar"), "from": "esa/phone", "query": {"action": "x"}}
        self.assertEqual(iqs(fajar), [asked])
        fajar.say(iq("esa/phone", "result", query={"action": "y"}))
        self.assertEqual(
            iqs(esa), [{**iq("esa/phone", "result"), "from": "fajar/desk", "query": {"action": "y"}}]
        )

    def test_on_one_relay_there_and_back(self) -> None:
        self.carried(ONE)

    def test_across_two_relays_there_and_back(self) -> None:
        self.carried(TWO)

    def test_nobody_speaks_for_another(self) -> None:
        esa, fajar = self.join("esa", ONE, "phone"), self.join("fajar", TWO)
        esa.say({**iq("fajar"), "from": "gita", "more": "x"})
        self.assertEqual(iqs(fajar), [{**iq("fajar"), "from": "esa/phone"}])

    def test_whoever_is_not_there_or_knows_no_iqs_comes_back_as_an_error(self) -> None:
        esa = self.join("esa", ONE)
        self.join("gita", ONE, ack=False)
        self.join("hadi", TWO, ack=False)
        error = {"type": "cancel", "stanza_error": "item-not-found", "stanza_error_ns": "xmpp-stanzas"}
        for name in ("nobody", "gita", "hadi"):
            esa.say(iq(name))
            self.assertEqual(iqs(esa), [{**iq("esa", "error"), "from": name, "error": error}], name)

    def test_an_answer_to_nobody_gets_none(self) -> None:
        esa = self.join("esa", ONE)
        esa.say(iq("nobody", "result"), iq("nobody", "error"))
        self.assertEqual(esa.take(), [])

    def test_what_is_no_such_iq_is_refused(self) -> None:
        esa = self.join("esa", ONE)
        for bad, why in (
            ({"namespace": "roster"}, "namespace jingle"),
            ({"type": "shout"}, "namespace jingle"),
            ({"to": None}, "`to`"),
            ({"to": 5}, "`to`"),
            ({"to": "a b"}, "white space"),
            ({"id": 7}, "`id`"),
            ({"id": "x" * 65}, "`id`"),
        ):
            esa.say({**iq("fajar"), **bad})
            [answer] = esa.take()
            self.assertEqual((answer["error"], answer["code"]), (True, 400), bad)
            self.assertIn(why, answer["msg"])

    def test_it_takes_no_number(self) -> None:
        esa, fajar = self.join("esa", ONE), self.join("fajar", ONE)
        esa.say(iq("fajar"), message("fajar", "halo", id="m1"))
        self.house.wait(2)
        self.assertEqual([one["h"] for one in esa.take() if one.get("stanza") == "ack"], [1])
        fajar.take()
        fajar.say({"stanza": "ack", "h": 1})
        self.assertEqual(fajar.take(), [])
        self.assertEqual([one["status"] for one in esa.take()], ["delivered"])

    def test_a_session_may_say_and_hear_so_many(self) -> None:
        many = RelaySettings().max_iqs
        esa, gita, fajar = self.join("esa", ONE), self.join("gita", TWO), self.join("fajar", ONE)
        esa.say(*(iq("fajar") for _ in range(2 * many)))
        self.assertLess(len(iqs(fajar)), many + 3)
        self.assertGreaterEqual({one["code"] for one in esa.take()}, {429})
        gita.say(iq("fajar"))
        self.assertEqual([one["error"]["stanza_error"] for one in iqs(gita)], ["resource-constraint"])
        self.house.wait(2)
        gita.say(iq("fajar"))
        self.assertEqual(len(iqs(fajar)), 1)
        esa.say(message("fajar", "halo"))
        self.assertEqual([one["body"] for one in fajar.take()], ["halo"])

    def test_a_relay_that_speaks_for_another_s_user_is_refused(self) -> None:
        fajar = self.join("fajar", ONE)
        two = self.house.relays[TWO]
        [(name, _)] = [one for one in two.peers.others]
        end: Any = two.switch.way_to(name)
        end._link.send_frame(b'{"stanza":"iq","namespace":"jingle","from":"esa","to":"fajar","type":"set"}')
        self.house.settle()
        self.assertEqual(iqs(fajar), [])
