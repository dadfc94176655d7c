# SPDX-License-Identifier: MIT
"""A manager, its trackers and its relays (M1, M3 to M7; protocol, sections 4 and 5)."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import fail
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.servers.manager_rig import NOW, SECRET, Frame, ManagerCase, Rig, Wire
from xjrelay.net.context import Context
from xjrelay.net.proof import AdmittingLink
from xjrelay.sandbox.network import Network
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Verifier
from xjrelay.servers.listening import Place
from xjrelay.servers.manager.service import ManagerService
from xjrelay.servers.manager.state import Policy
from xjrelay.storage.interfaces import StoreFailed
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.grammar import Phase
from xjrelay.wire.stanzas import ComponentHello, Stanza


def report(kind: str, relay: str, user: str, session: int, resource: str = "") -> Frame:
    """A relay's ``ncir`` or ``ecir``."""
    return {
        "message": kind,
        "username_relay": relay,
        "username": user,
        "resource": resource,
        "session": session,
    }


class TrackerDouble(AdmittingLink):
    """As much of a tracker as a manager notices: lets it in, and answers with the array."""

    phase = Phase.TRACKER_HELLO
    seen: list[ComponentHello]

    def on_component_hello(self, hello: Stanza) -> None:
        assert isinstance(hello, ComponentHello)
        self.seen.append(hello)
        self.phase = Phase.TRACKER_PROOF
        self.demand_proof(SECRET.server, hello)

    def admitted(self) -> None:
        self.phase = Phase.TRACKER_OPEN
        self.established()
        self.send([self.seen[-1]])

    def on_watch_components(self, stanza: Stanza) -> None:
        self.send([self.seen[-1]])


class Trackers(SynchronousTestCase):
    """The service, on a network of fake machines."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = NOW
        self.network = Network(self.clock, random.Random(3))
        self.seen: list[ComponentHello] = []
        self.serving: list[Place] = []
        self.tracker = self.network.machine("10.0.0.1")
        self.listen()
        rig = Rig(policy=Policy(allow_plaintext=True))
        self.service = ManagerService(
            self.network.machine("10.0.0.2"),
            rig.manager,
            ["tcp:5001:interface=10.0.0.2"],
            [Address("10.0.0.1", 5000)],
            "m-1",
            serving=self.serving.append,
        )
        rig.manager.context.clock = self.network.machine("10.0.0.2")
        self.service.startService()

    def listen(self) -> None:
        context = Context(self.tracker, random.Random(1))

        def build() -> TrackerDouble:
            link = TrackerDouble(context)
            link.seen = self.seen
            return link

        factory: Any = ServerFactory.forProtocol(build)
        self.tracker.listenTCP(5000, factory)

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.01] * int(seconds * 100))

    def test_M01_registers_as_manager(self) -> None:
        self.assertFalse(self.service.is_ready)
        self.advance(2)
        (hello,) = self.seen
        self.assertEqual(
            (hello.type, hello.ip_local, hello.port, hello.component_id, hello.is_private),
            ("manager", "10.0.0.2", 5001, "m-1", True),
        )
        self.assertEqual(self.serving, [Place("10.0.0.2", 5001)])
        self.assertTrue(self.service.is_ready)

    def test_M01_comes_back_after_a_tracker_restart(self) -> None:
        self.advance(2)
        self.tracker.kill()
        self.advance(1)
        self.assertFalse(self.service.is_ready)
        self.listen()
        self.advance(60)
        self.assertTrue(self.service.is_ready)
        self.assertEqual([hello.component_id for hello in self.seen[:2]], ["m-1", "m-1"])
        self.assertEqual(len(self.serving), 1)

    def test_M01_stops_in_order(self) -> None:
        self.advance(2)
        stopped = self.service.stopService()
        self.advance(3)
        self.successResultOf(stopped)
        self.assertFalse(self.service.is_ready)
        self.assertEqual(self.network.machine("10.0.0.2").ports, {})


class Names(ManagerCase):
    """Who is a relay, and what it is called."""

    def test_M03_names_each_relay_and_keeps_the_name(self) -> None:
        one, welcome = self.rig.relay("a", 5002)
        self.assertEqual(welcome["username"], "relay1")
        self.assertEqual(self.rig.relay("b", 5003)[1]["username"], "relay2")
        one.hang_up()
        self.assertEqual(self.rig.relay("a", 6000)[1]["username"], "relay1")
        self.rig = Rig(stores=self.rig.stores)
        self.assertEqual(self.rig.relay("b", 5003)[1]["username"], "relay2")

    def test_M03_a_relay_without_an_identity_is_known_by_its_address(self) -> None:
        wire = self.rig.dial("10.0.0.5")
        proof = SECRET.client()
        wire.say({"ip_local": "10.0.0.5", "port": 7000, "type": "relay"})
        wire.say({"type": "auth", "mechanism": "SCRAM-SHA-256", "data": proof.first()})
        (challenge,) = wire.take()
        final = proof.final(challenge["data"])
        wire.say({"type": "auth", "mechanism": "SCRAM-SHA-256", "data": final})
        self.assertEqual(wire.take()[1]["username"], "relay1")
        (row,) = self.successResultOf(self.rig.stores.relays.rows())
        self.assertEqual(row.relay_id, "relay@10.0.0.5:7000")

    def test_M03_the_same_identity_replaces_the_older_link(self) -> None:
        one, _ = self.rig.relay("a", 5002)
        _, welcome = self.rig.relay("a", 5002)
        self.assertEqual(welcome["username"], "relay1")
        self.assertFalse(one.open)
        self.assertIs(one.link.close_reason, CloseReason.REPLACED)
        self.assertEqual(len(self.rig.manager.relays), 1)

    def test_M03_another_identity_at_an_address_in_use_is_refused(self) -> None:
        one, _ = self.rig.relay("a", 5002)
        wire = self.rig.dial_relay("b", 5002)
        _, answer = wire.take()
        self.assertEqual(
            answer,
            {
                "error": True,
                "error_msg": True,
                "code": 409,
                "msg": "IP address and port already registered",
                "error-type": "bad request",
            },
        )
        self.assertFalse(wire.open)
        one.hang_up()
        self.assertEqual(self.rig.relay("b", 5002)[1]["username"], "relay2")

    def test_M03_a_stranger_is_not_let_in(self) -> None:
        stranger = ClusterSecret("a secret of somebody else")
        wire = self.rig.dial_relay("a", 5002, secret=stranger)
        (answer,) = wire.take()
        self.assertEqual((answer["error"], answer["code"]), (True, 401))
        self.assertFalse(wire.open)
        wire = self.rig.dial()
        wire.say({"ip_local": "10.0.0.5", "port": 5002, "type": "relay"}, report("ncir", "relay1", "esa", 1))
        self.assertEqual(wire.take()[0]["code"], 401)
        self.assertFalse(wire.open)
        self.assertEqual(self.successResultOf(self.rig.stores.relays.rows()), [])
        self.assertEqual(len(self.rig.manager.relays), 0)

    def test_M04_records_relays(self) -> None:
        self.rig.relay("a", 5002)
        self.rig.advance(3)
        self.rig.relay("b", 5003)
        rows = self.successResultOf(self.rig.stores.relays.rows())
        self.assertEqual(
            [(row.relay_id, row.name, row.ip_local, row.port, row.seen_at) for row in rows],
            [
                ("a", "relay1", "10.0.0.5", 5002, int(NOW * 1000)),
                ("b", "relay2", "10.0.0.5", 5003, int(NOW * 1000) + 3000),
            ],
        )

    def test_M04_a_relay_that_can_not_be_recorded_comes_again(self) -> None:
        self.patch(self.rig.stores.relays, "name", lambda *args: fail(StoreFailed("disk full")))
        wire = self.rig.dial_relay("a", 5002)
        self.assertEqual(wire.take()[1]["code"], 503)
        self.assertFalse(wire.open)

    def test_M05_a_new_relay_is_given_the_relays_there_are(self) -> None:
        one, welcome = self.rig.relay("a", 5002)
        self.assertEqual(welcome["components"], [])
        one.say(report("ncir", "relay1", "esa", 1))
        _, welcome = self.rig.relay("b", 5003)
        self.assertEqual(
            welcome["components"],
            [
                {
                    "username": "relay1",
                    "ip_local": "10.0.0.5",
                    "port": 5002,
                    "type": "relay",
                    "connection": 1,
                    "is_private": True,
                }
            ],
        )

    def test_M05_with_its_token_and_the_keys(self) -> None:
        _, welcome = self.rig.relay("a")
        verifier = Verifier(self.rig.clock.seconds)
        verifier.set_keys(welcome["keys"])
        self.assertEqual(verifier.relay(welcome["token"], "relay1").exp, NOW + 24 * 3600)

    def test_the_token_is_renewed_at_half_its_life(self) -> None:
        wire, welcome = self.rig.relay("a")
        for _ in range(12 * 60):
            self.rig.clock.advance(60)
            wire.say({"type": "pong"})
        (push,) = wire.take()
        self.assertEqual((push["message"], push["keys"]), ("keys", welcome["keys"]))
        self.assertEqual(self.rig.verifier.relay(push["token"], "relay1").iat, NOW + 12 * 3600)

    def test_rotated_keys_reach_every_relay(self) -> None:
        wires = [self.rig.relay("a", 5002)[0], self.rig.relay("b", 5003)[0]]
        keys = self.rig.signer.rotate()
        self.rig.manager.relays.push_keys()
        self.assertEqual([wire.take()[0]["keys"] for wire in wires], [keys, keys])


class Counts(ManagerCase):
    """How many users each relay has."""

    def setUp(self) -> None:
        super().setUp()
        self.relay, _ = self.rig.relay("a")

    def count(self) -> int:
        return self.rig.manager.relays.count("relay1")

    def test_M06_counts_by_ncir_and_ecir(self) -> None:
        self.relay.say(report("ncir", "relay1", "esa", 1), report("ncir", "relay1", "fajar", 1))
        self.assertEqual(self.count(), 2)
        self.relay.say(report("ncir", "relay1", "ESA", 1), report("ncir", "relay1", "esa", 2, "phone"))
        self.assertEqual(self.count(), 3)
        self.relay.say(report("ecir", "relay1", "esa", 1), report("ecir", "relay1", "esa", 1))
        self.assertEqual(self.count(), 2)
        self.assertEqual(self.relay.take(), [])

    def test_M06_a_user_counts_once_from_the_login_to_the_session(self) -> None:
        self.rig.register("esa")
        self.assertEqual(self.count(), 1)
        self.relay.say(report("ncir", "relay1", "esa", 1))
        self.assertEqual(self.count(), 1)

    def test_M06_one_who_never_arrives_counts_for_thirty_seconds(self) -> None:
        self.rig.register("esa")
        self.relay.say({"type": "pong"})
        self.rig.advance(31)
        self.assertEqual(self.count(), 0)

    def test_M06_the_full_list_after_a_reconnect_sets_the_count_right(self) -> None:
        for number in range(5):
            self.relay.say(report("ncir", "relay1", f"u{number}", 1))
        self.relay.pipe.cut()
        self.relay, _ = self.rig.relay("a")
        self.assertEqual(self.count(), 0)
        self.relay.say(*[report("ncir", "relay1", f"u{number}", 1) for number in (1, 7)])
        self.assertEqual(self.count(), 2)

    def test_M06_a_relay_reports_its_own_users_only(self) -> None:
        self.rig.relay("b", 5003)
        self.relay.say(report("ncir", "relay2", "esa", 1))
        self.assertEqual(self.relay.take()[0]["code"], 403)
        self.assertEqual(self.rig.manager.relays.count("relay2"), 0)

    def test_M07_a_relay_that_fails_is_given_nobody(self) -> None:
        other, _ = self.rig.relay("b", 5003)
        self.relay.pipe.cut()
        self.assertEqual(len(self.rig.manager.relays), 1)
        for number in range(3):
            answer = self.first_login(f"u{number}")
            self.assertEqual(answer["component"][0]["username"], "relay2")
        other.hang_up()
        self.assertEqual(self.first_login("last")["component"], [])

    def test_M07_a_relay_that_goes_silent_fails(self) -> None:
        self.rig.advance(60)
        self.assertFalse(self.relay.open)
        self.assertIs(self.relay.link.close_reason, CloseReason.SILENT)
        self.assertEqual(len(self.rig.manager.relays), 0)

    def first_login(self, name: str) -> Frame:
        wire = self.rig.client()
        return wire.ask({"type": "auth", "username": name, "password": "x", "register": True})


class Who(ManagerCase):
    """Is a user logged in from an address? For hellos without a token."""

    def setUp(self) -> None:
        super().setUp()
        self.relay, _ = self.rig.relay("a")
        self.esa: Wire = self.rig.register("Esa")

    def who(self, username: str, ip: str) -> Frame:
        return self.relay.ask({"message": "who", "username": username, "ip": ip, "id": "w1"})

    def test_one_who_is_logged_in_from_there(self) -> None:
        self.assertEqual(
            self.who("esa", "127.0.0.1"), {"online": True, "id": "w1", "username": "Esa", "session": 2}
        )
        self.assertEqual(self.who("esa", "::ffff:127.0.0.1")["session"], 3)

    def test_one_who_is_not(self) -> None:
        for username, ip in (("esa", "10.0.0.1"), ("esa", ""), ("nobody", "127.0.0.1")):
            self.assertEqual(self.who(username, ip), {"online": False, "id": "w1"})
        self.esa.hang_up()
        self.assertEqual(self.who("esa", "127.0.0.1"), {"online": False, "id": "w1"})

    def test_a_log_out_ends_the_session_that_was_opened_so(self) -> None:
        self.who("esa", "127.0.0.1")
        self.esa.say({"stanza": "presence", "type": "unavailable"})
        (revoke,) = self.relay.take()
        self.assertEqual((revoke["message"], revoke["session"]), ("revoke", 2))

    def test_a_name_that_can_not_be(self) -> None:
        answer = self.who("no body", "127.0.0.1")
        self.assertEqual((answer["code"], answer["id"]), (400, "w1"))
