# SPDX-License-Identifier: MIT
"""Who one is comes from the login, never from a stanza: every name on every link, held against it.

One row a stanza that names who speaks, with a name that isn't the speaker's.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.servers.relay_house import MANAGER, MANAGER_PORT, SECRET, Line, house_with, message
from xjrelay.security.secret import ClusterSecret
from xjrelay.servers.manager.protocol import ManagerProtocol
from xjrelay.wire.grammar import HEARD, Phase
from xjrelay.wire.stanzas import CLASSES, Kind

Frame = dict[str, Any]

PROOF = {"type": "auth", "mechanism": "SCRAM-SHA-256"}
ROSTER = {"stanza": "iq", "namespace": "roster", "type": "get", "query": {"items": None}}
ACCOUNT = {"stanza": "iq", "namespace": "account", "type": "set", "query": {"current": "x", "remove": True}}
JINGLE = {"stanza": "iq", "namespace": "jingle", "type": "set", "query": {}, "id": "1"}
CROSSED = {"activity": "message from another relay", "error": 1}

OTHERS = ("Gita", "gita/phone", "relay", "Esa/desk", "Esa ", "")
"""Names that aren't those of a session of Esa without a resource."""

NAMING = ("from_", "username", "username_relay", "username_user", "relay_username")
"""Keys that say who speaks, or whom one speaks of."""

HELD: dict[Phase, set[Kind]] = {
    Phase.RELAY_HELLO: {Kind.USER_HELLO, Kind.COMPONENT_HELLO},
    Phase.RELAY_USER: {Kind.MESSAGE, Kind.IQ},
    Phase.MANAGER_USER: {Kind.IQ, Kind.PRESENCE},
    Phase.MANAGER_RELAY: {Kind.NCIR, Kind.ECIR, Kind.TAKEN},
    Phase.MESH_WELCOME: {Kind.MESH_WELCOME},
    Phase.MESH_OPEN: {Kind.MESSAGE, Kind.IQ, Kind.NEW_USER, Kind.END_USER, Kind.ACTIVITY},
}
"""What is held against whom, by the tests below."""

CLAIMS_NOTHING = {Kind.COMPONENT_HELLO, Kind.AUTH, Kind.WHO, Kind.ANSWER}
"""Kinds whose names are a claim that a proof follows, a question, or nobody's."""


class EveryLink(SynchronousTestCase):
    """A suite with a user at each, and a relay that speaks the wire by hand."""

    def setUp(self) -> None:
        self.house = house_with(1)
        [self.relay] = self.house.relays.values()
        self.gita = self.house.joined(self.relay, "Gita", "phone")
        self.esa = self.house.joined(self.relay, "Esa")

    def manager_user(self) -> Line:
        """Esa's link to the manager."""
        line = self.house.dial(MANAGER, MANAGER_PORT)
        line.say({"ip_local": "10.0.9.9", "port": 0, "type": "client"})
        line.say({"type": "auth", "username": "Hadi", "password": "rahasia", "register": True})
        line.take()
        return line

    def proved(self, host: str, at: int, **hello: Any) -> Line:
        """A component's link, its proof done."""
        line = self.house.dial(host, at)
        client = ClusterSecret(SECRET).client()
        line.say({"ip_local": "10.0.9.9", "port": 5002, "type": "relay", **hello})
        line.say({**PROOF, "data": client.first()})
        [challenge] = line.take()
        line.say({**PROOF, "data": client.final(challenge["data"])})
        return line

    def mesh(self, *users: str) -> Line:
        """Another relay's link to ours, its users announced."""
        line = self.proved("10.0.1.1", 5002, relay_username="relay9")
        line.take()
        announced = [{"username": user, "resource": "", "session": 1} for user in users]
        token = self.house.signer.for_relay("relay9")
        line.say({"relay_username": "relay9", "username_users": [*users], "users": announced, "token": token})
        return line

    def assertRefused(self, line: Line, frame: Frame, code: int) -> None:
        line.say(frame)
        self.assertEqual([answer.get("code") for answer in line.take()], [code], frame)
        self.assertEqual((self.gita.take(), self.esa.take()), ([], []), frame)

    # -- users -------------------------------------------------------------------------------

    def test_a_message_at_a_relay(self) -> None:
        for other in OTHERS:
            code = 400 if other == "" else 403
            self.assertRefused(self.esa, message("Gita", "x", **{"from": other}), code)

    def test_a_message_says_who_wrote_it_whatever_it_said(self) -> None:
        for own in ("Esa", "ESA", "esa", None):
            self.esa.say(message("Gita", "x", **({} if own is None else {"from": own})))
            self.assertEqual([frame["from"] for frame in self.gita.take()], ["Esa"], own)
        self.gita.say(message("Esa", "x", **{"from": "gita/phone"}))
        self.assertEqual([frame["from"] for frame in self.esa.take()], ["Gita/phone"])

    def test_an_iq_at_a_relay_says_who_asked_whatever_it_said(self) -> None:
        hadi = self.house.joined(self.relay, "Hadi", "desk", ack=True)
        for claimed in (*OTHERS, "Hadi/desk", None):
            self.esa.say({**JINGLE, "to": "Hadi", "from": claimed})
            self.assertEqual([one["from"] for one in hadi.take()], ["Esa"], claimed)

    def test_an_iq_and_a_presence_at_the_manager(self) -> None:
        hadi = self.manager_user()
        for other in ("Gita", "Hadi/desk", "relay", "manager", "x y"):
            for iq in (ROSTER, ACCOUNT):
                hadi.say({**iq, "from": other})
                [answer] = hadi.take()
                self.assertEqual(answer["error"]["stanza_error"], "forbidden", other)
            for presence in ({}, {"bio": "x"}, {"to": "Hadi"}, {"type": "unavailable"}):
                hadi.say({"stanza": "presence", **presence, "from": other})
                self.assertEqual([one["code"] for one in hadi.take()], [403], other)
        hadi.say({**ROSTER, "from": "HADI"})
        self.assertEqual([one["type"] for one in hadi.take()], ["result"])

    def test_a_hello_at_a_relay(self) -> None:
        for other in ("Gita", "relay", "Esa2"):
            line = self.house.dial("10.0.1.1")
            line.say({"username": other, "message": "hello!", "token": self.house.token(self.relay, "Esa")})
            self.assertEqual(([one["code"] for one in line.take()], line.ended), ([401], True), other)

    def test_a_session_is_resumed_by_nobody_else(self) -> None:
        line = self.house.user(self.relay, "Hadi", ack=True)
        key = line.take()[0]["resume_key"]
        line.vanish()
        for other in ("Gita", "Esa"):
            thief = self.house.dial("10.0.1.1")
            thief.say({"username": other, "message": "hello!", "resume": key, "h": 0})
            self.assertEqual([one["code"] for one in thief.take()], [404])
        back = self.house.dial("10.0.1.1")
        back.say({"username": "hadi", "message": "hello!", "resume": key, "h": 0})
        self.assertTrue(back.take()[0]["resumed"])

    # -- components --------------------------------------------------------------------------

    def test_a_relay_at_the_manager_reports_its_own_users_only(self) -> None:
        line = self.proved(MANAGER, MANAGER_PORT, relay_id="9" * 32, port=5009)
        name = line.take()[-1]["username"]
        count = self.house.manager.relays.count("relay1")
        for kind in ("ncir", "ecir"):
            for other in ("relay1", "relay99", "", name.upper()):
                notice = {"message": kind, "username_relay": other, "username": "Esa", "session": 1}
                self.assertRefused(line, notice, 403)
        self.assertEqual(self.house.manager.relays.count("relay1"), count)

    def test_a_relay_takes_mail_of_its_own_users_only(self) -> None:
        line = self.proved(MANAGER, MANAGER_PORT, relay_id="9" * 32, port=5009)
        line.take()
        for other in ("Esa", "Gita", "nobody"):
            self.assertRefused(line, {"message": "taken", "username": other, "rows": [1]}, 403)

    def test_a_relay_speaks_for_users_it_announced(self) -> None:
        line = self.mesh("Hadi")
        self.assertEqual(self.relay.peers.linked, ["relay9"])
        for other in ("Gita", "Esa", "nobody", "relay"):
            line.say(message("Esa", "x", id="1", **{"from": other}))
            self.assertEqual(line.take(), [{"from": other, "to": "Esa", **CROSSED, "id": "1"}], other)
            self.assertEqual(self.esa.take(), [], other)
        line.say(message("Esa", "halo", **{"from": "Hadi"}))
        self.assertEqual([one["from"] for one in self.esa.take()], ["Hadi"])

    def test_a_relay_carries_iqs_of_users_it_announced(self) -> None:
        indra = self.house.joined(self.relay, "Indra", ack=True)
        line = self.mesh("Hadi")
        for other in ("Gita", "Esa", "nobody", "relay", "", None):
            self.assertRefused(line, {**JINGLE, "to": "Indra", "from": other}, 403)
            self.assertEqual(indra.take(), [], other)
        line.say({**JINGLE, "to": "Indra", "from": "Hadi"})
        self.assertEqual([one["from"] for one in indra.take()], ["Hadi"])

    def test_a_relay_announces_its_own_users_only(self) -> None:
        line = self.mesh()
        for kind in ("new user", "end user"):
            for other in ("relay1", "relay8", ""):
                notice = {"message": kind, "username_user": "Esa", "relay_username": other, "session": 99}
                self.assertRefused(line, notice, 403)
        self.esa.say(message("Gita", "still here"))
        self.assertEqual(len(self.gita.take()), 1)

    def test_a_relay_shows_the_name_it_was_given(self) -> None:
        for shown, token in (("relay9", "relay8"), ("relay1", "relay1"), ("relay8", "relay8")):
            line = self.proved("10.0.1.1", 5002, relay_username="relay9")
            line.take()
            signed = self.house.signer.for_relay(token)
            line.say({"relay_username": shown, "username_users": [], "users": [], "token": signed})
            self.assertIn([one["code"] for one in line.take()], ([401], [409]), shown)
            self.assertEqual((line.ended, self.relay.peers.linked), (True, []), shown)

    def test_outcomes_of_messages_that_never_crossed_tell_nobody_anything(self) -> None:
        line = self.mesh("Hadi")
        line.say({"from": "Esa", "to": "Hadi", **CROSSED, "id": "1"})
        line.say({"stanza": "receipt", "to": "Esa", "ids": ["1"], "status": "delivered"})
        self.assertEqual((self.esa.take(), line.take()), ([], []))

    # -- and nothing else names anybody ------------------------------------------------------

    def test_every_kind_that_a_server_hears_and_that_names_somebody_is_held(self) -> None:
        # Whoever is at the other end of a direct link is one user, and what it says is held against that by
        # tests of the client's.
        served = [phase for phase in Phase if not phase.name.startswith(("AT_", "DIRECT"))]
        loose = {
            (phase.name, kind.value)
            for phase in served
            for kind in HEARD[phase] - HELD.get(phase, set()) - CLAIMS_NOTHING
            if set(CLASSES[kind].__struct_fields__) & set(NAMING)
            if not phase.name.startswith("MANAGER") or hasattr(ManagerProtocol, f"on_{kind.name.lower()}")
        }
        self.assertEqual(loose, set())
