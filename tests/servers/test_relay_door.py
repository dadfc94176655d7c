# SPDX-License-Identifier: MIT
"""Who is let in at a relay, and who is not: tokens, addresses, other relays."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from tests.servers.relay_house import (
    MANAGER,
    MANAGER_PORT,
    SECRET,
    House,
    Line,
    house_with,
    message,
)
from xjrelay.security.secret import ClusterSecret
from xjrelay.security.tokens import Signer
from xjrelay.servers.relay.switch import RelaySettings
from xjrelay.wire.framing import ORIGINAL

ONE = "10.0.1.1"
MESH_HELLO = {"ip_local": "10.0.9.9", "port": 5002, "type": "relay", "relay_username": "relay9"}


def codes(line: Line) -> list[int]:
    """The codes of what a line has heard."""
    return [frame["code"] for frame in line.take()]


class TokenTests(SynchronousTestCase):
    """A token opens one session, once."""

    def setUp(self) -> None:
        self.house = house_with(1)
        [self.relay] = self.house.relays.values()

    def hello(self, **keys: Any) -> Line:
        line = self.house.dial(ONE)
        line.say({"username": "Esa", "message": "hello!", **keys})
        return line

    def refused(self, **keys: Any) -> None:
        line = self.hello(**keys)
        self.assertEqual((codes(line), line.ended), ([401], True))
        self.assertEqual(len(self.relay.switch.table), 0)

    def test_any_spelling_of_the_name_will_do_and_the_registered_one_is_kept(self) -> None:
        line = self.house.dial(ONE)
        line.say({"username": "ESA", "message": "hello!", "token": self.house.token(self.relay, "Esa")})
        self.assertEqual([frame["message"] for frame in line.take()], ["hello!"])
        self.assertEqual([route.username for route in self.relay.switch.table.local()], ["Esa"])

    def test_no_token_is_refused(self) -> None:
        self.refused()

    def test_an_altered_token_is_refused(self) -> None:
        token = self.house.token(self.relay, "Esa")
        for index in range(0, len(token), 7):
            self.refused(token=token[:index] + chr(ord(token[index]) ^ 1) + token[index + 1 :])
        self.refused(token=token[:-1] + chr(ord(token[-1]) ^ 1))
        self.assertEqual(self.hello(token=token).take()[0]["message"], "hello!")

    def test_a_token_signed_by_another_is_refused(self) -> None:
        stranger = Signer([Ed25519PrivateKey.from_private_bytes(b"x" * 32)], self.house.clock.seconds)
        self.refused(token=stranger.for_user("Esa", "relay1", "", 1))

    def test_a_token_for_another_user_is_refused(self) -> None:
        self.refused(token=self.house.token(self.relay, "Fajar"))

    def test_a_token_for_another_resource_is_refused(self) -> None:
        self.refused(token=self.house.token(self.relay, "Esa", "phone"), resource="desk")

    def test_a_token_for_another_relay_or_role_is_refused(self) -> None:
        self.refused(token=self.house.signer.for_user("Esa", "relay2", "", 1))
        self.refused(token=self.house.signer.for_relay("relay1"))

    def test_an_expired_token_is_refused(self) -> None:
        token = self.house.token(self.relay, "Esa")
        self.house.clock.advance(331.0)
        self.house.wait(1.0)
        self.refused(token=token)

    def test_a_spent_token_is_refused(self) -> None:
        token = self.house.token(self.relay, "Esa")
        self.hello(token=token).leave()
        self.refused(token=token)

    def test_keys_change_without_anybody_being_ended(self) -> None:
        line = self.house.joined(self.relay, "Esa")
        self.house.signer.rotate()
        self.house.manager.relays.push_keys()
        self.house.settle()
        other = self.house.joined(self.relay, "Fajar")
        line.say(message("Fajar", "still here"))
        self.assertEqual([frame["body"] for frame in other.take()], ["still here"])

    def test_before_there_is_a_manager_nobody_is_let_in(self) -> None:
        house = House()
        house.start_tracker()
        relay = house.start_relay(ONE)
        house.wait(1.0)
        line = house.dial(ONE)
        line.say({"username": "Esa", "message": "hello!", "token": house.token(relay, "Esa")})
        self.assertEqual((codes(line), line.ended), ([503], False))

    def test_a_second_hello_is_refused(self) -> None:
        line = self.house.joined(self.relay, "Esa")
        line.say({"username": "Esa", "message": "hello!", "token": self.house.token(self.relay, "Esa")})
        self.assertEqual((codes(line), line.ended), ([400], False))


class LegacyTests(SynchronousTestCase):
    """A hello without a token, where that is allowed."""

    def setUp(self) -> None:
        self.house = house_with(2, RelaySettings(allow_legacy_clients=True))
        self.relay, self.other = self.house.relays.values()

    def log_in(self) -> Line:
        line = self.house.dial(MANAGER, MANAGER_PORT, ORIGINAL)
        line.say({"ip_local": "10.0.9.9", "port": 1, "type": "client"})
        line.say({"type": "auth", "username": "Esa", "password": "secret", "register": True})
        self.assertEqual(codes(line), [201])
        return line

    def test_a_user_logged_in_from_the_same_address_is_let_in_without_an_answer(self) -> None:
        self.log_in()
        line = self.house.dial(ONE, delimiter=ORIGINAL)
        line.say({"username": "esa", "message": "hello!"})
        self.assertEqual((line.take(), line.ended), ([], False))
        fajar = self.house.joined(self.other, "Fajar")
        fajar.say(message("Esa", "halo"))
        line.say(message("fajar", "balas"))
        self.assertEqual([frame["body"] for frame in line.take()], ["halo"])
        self.assertEqual([(frame["from"], frame["body"]) for frame in fajar.take()], [("Esa", "balas")])

    def test_messages_in_the_same_write_as_the_hello_wait_for_it(self) -> None:
        self.log_in()
        fajar = self.house.joined(self.other, "Fajar")
        line = self.house.dial(ONE)
        line.say({"username": "Esa", "message": "hello!"}, message("Fajar", "1"), message("Fajar", "2"))
        self.assertEqual([frame["body"] for frame in fajar.take()], ["1", "2"])

    def test_a_user_who_is_not_logged_in_is_refused(self) -> None:
        line = self.house.dial(ONE)
        line.say({"username": "Esa", "message": "hello!"})
        self.assertEqual((codes(line), line.ended), ([401], True))

    def test_a_user_logged_in_from_elsewhere_is_refused(self) -> None:
        self.log_in()
        self.house.users = self.house.machine("10.0.9.8")
        line = self.house.dial(ONE)
        line.say({"username": "Esa", "message": "hello!"})
        self.assertEqual((codes(line), line.ended), ([401], True))

    def test_without_the_manager_nobody_is_let_in(self) -> None:
        self.log_in()
        self.house.kill(MANAGER)
        self.house.settle()
        line = self.house.dial(ONE)
        line.say({"username": "Esa", "message": "hello!"})
        self.assertEqual((codes(line), line.ended), ([503], False))

    def test_a_manager_that_does_not_answer_is_not_waited_for_for_ever(self) -> None:
        self.log_in()
        self.house.network.partition(MANAGER, ONE)
        line = self.house.dial(ONE)
        line.say({"username": "Esa", "message": "hello!"})
        self.house.wait(6.0)
        self.assertEqual(codes(line), [503])

    def test_one_who_gives_up_waiting_is_not_let_in(self) -> None:
        self.log_in()
        self.house.network.partition(MANAGER, ONE)
        line = self.house.dial(ONE)
        line.say({"username": "Esa", "message": "hello!"})
        line.vanish()
        self.house.network.heal()
        self.house.settle()
        self.assertEqual(len(self.relay.switch.table), 0)


class MeshDoorTests(SynchronousTestCase):
    """Who is believed to be a relay."""

    def setUp(self) -> None:
        self.house = house_with(1)
        [self.relay] = self.house.relays.values()
        self.esa = self.house.joined(self.relay, "Esa")

    def prove(self, secret: str = SECRET, **hello: Any) -> Line:
        """A stranger's link, up to the end of its proof."""
        line = self.house.dial(ONE)
        client = ClusterSecret(secret).client()
        step = {"type": "auth", "mechanism": "SCRAM-SHA-256"}
        line.say(MESH_HELLO | hello, {**step, "data": client.first()})
        [challenge] = line.take()
        line.say({**step, "data": client.final(challenge["data"])})
        return line

    def mesh(self, users: list[dict[str, Any]], name: str = "relay9") -> Line:
        """A relay of the cluster, its list said."""
        line = self.prove(relay_username=name)
        line.take()
        names = [user["username"] for user in users]
        token = self.house.signer.for_relay(name)
        line.say({"relay_username": name, "username_users": names, "users": users, "token": token})
        return line

    def test_a_stranger_is_refused_and_told_nothing(self) -> None:
        line = self.prove("another secret altogether")
        self.assertEqual((codes(line), line.ended), ([401], True))
        line = self.house.dial(ONE)
        line.say(MESH_HELLO, {"message": "new user", "username_user": "Gita", "relay_username": "relay9"})
        self.assertEqual((codes(line), line.ended), ([401], True))
        self.assertEqual(self.relay.peers.linked, [])

    def test_a_manager_or_a_nameless_relay_is_refused(self) -> None:
        for hello in ({"type": "manager"}, {"type": "client"}, {"relay_username": None}):
            line = self.house.dial(ONE)
            line.say(MESH_HELLO | hello)
            self.assertEqual((codes(line), line.ended), ([400], True))

    def test_a_relay_hears_of_our_users_and_shows_its_name(self) -> None:
        line = self.prove()
        final, welcome = line.take()
        self.assertIn("v=", final["data"])
        self.assertEqual((welcome["relay_username"], welcome["username_users"]), ("relay1", ["Esa"]))
        self.assertEqual(welcome["users"], [{"username": "Esa", "resource": "", "session": 1}])
        self.assertEqual(self.relay.peers.linked, [])

    def test_a_token_for_another_name_is_refused(self) -> None:
        line = self.prove()
        line.take()
        list_ = {"relay_username": "relay9", "username_users": [], "users": []}
        line.say({**list_, "token": self.house.signer.for_relay("relay8")})
        self.assertEqual((codes(line), line.ended), ([401], True))

    def test_a_name_other_than_the_hellos_and_our_own_are_refused(self) -> None:
        line = self.prove()
        line.take()
        list_ = {"relay_username": "relay8", "username_users": [], "users": []}
        line.say({**list_, "token": self.house.signer.for_relay("relay8")})
        self.assertEqual((codes(line), line.ended), ([409], True))
        line = self.mesh([], "relay1")
        self.assertEqual((codes(line), line.ended), ([409], True))

    def test_a_relay_speaks_only_for_users_it_announced(self) -> None:
        line = self.mesh([{"username": "Gita", "resource": "phone", "session": 1}])
        self.assertEqual(self.relay.peers.linked, ["relay9"])
        line.say(message("Esa", "1", **{"from": "gita"}), message("Esa", "2", **{"from": "Hana"}, id="7"))
        self.assertEqual([frame["body"] for frame in self.esa.take()], ["1"])
        activity = {"activity": "message from another relay", "error": 1}
        self.assertEqual(line.take(), [{"from": "Hana", "to": "Esa", **activity, "id": "7"}])
        line.say(message("Esa", "3"))
        self.assertEqual(codes(line), [400])

    def test_a_relay_announces_only_its_own_users(self) -> None:
        line = self.mesh([])
        for notice in ("new user", "end user"):
            line.say({"message": notice, "username_user": "Gita", "relay_username": "relay8"})
            self.assertEqual(codes(line), [403])
        self.assertIsNone(self.relay.switch.table.find("Gita"))

    def test_an_older_end_does_not_remove_a_newer_session(self) -> None:
        line = self.mesh([])
        notice = {"username_user": "Gita", "relay_username": "relay9", "resource": ""}
        line.say({"message": "new user", **notice, "session": 5})
        line.say({"message": "end user", **notice, "session": 4})
        self.assertIsNotNone(self.relay.switch.table.find("Gita"))
        line.say({"message": "end user", **notice, "session": 5})
        self.assertIsNone(self.relay.switch.table.find("Gita"))

    def test_outcomes_of_what_was_never_sent_change_nothing(self) -> None:
        line = self.mesh([{"username": "Gita", "resource": "", "session": 1}])
        activity = {"activity": "message from another relay"}
        line.say({"from": "Esa", "to": "Gita", **activity, "error": 1, "id": "7"})
        line.say({"from": "Nobody", "to": "Gita", **activity, "error": 1})
        line.say({"stanza": "receipt", "to": "Esa", "ids": ["7"], "status": "failed", "code": 503})
        self.assertEqual((self.esa.take(), line.take()), ([], []))

    def test_an_answer_is_not_answered(self) -> None:
        line = self.mesh([])
        line.say({"error": True, "code": 400, "msg": "what?"})
        self.assertEqual((line.take(), line.ended), ([], False))
