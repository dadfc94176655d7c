# SPDX-License-Identifier: MIT
"""Accounts and logins at a manager (M2, M8 to M14, M29 to M32; protocol, sections 6 and 9)."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail

from tests.servers.manager_rig import HELLO, PASSWORD, ManagerCase, Rig, Slow, roster_get, said
from xjrelay.domain.presence import DEFAULT_BIO
from xjrelay.net.context import Limits
from xjrelay.security.scram import MECHANISM
from xjrelay.servers.manager.state import Policy
from xjrelay.storage.interfaces import StoreFailed
from xjrelay.wire.errors import CloseReason
from xjrelay.wire.framing import ORIGINAL


class Accepting(ManagerCase):
    """Anybody may connect; who says nothing doesn't stay."""

    def test_M02_accepts_every_connection(self) -> None:
        wires = [self.rig.client(f"10.0.0.{number}") for number in range(1, 101)]
        self.assertEqual(len(self.rig.factory.links), 100)
        self.assertEqual({wire.ask({"type": "ping"})["type"] for wire in wires}, {"pong"})

    def test_M02_a_connection_without_a_hello_is_closed(self) -> None:
        wire = self.rig.dial()
        self.rig.advance(10)
        self.assertFalse(wire.open)
        self.assertIs(wire.link.close_reason, CloseReason.HELLO_TIMEOUT)

    def test_M02_a_hello_without_a_login_is_closed_later(self) -> None:
        wire = self.rig.client()
        self.rig.advance(59)
        self.assertTrue(wire.open)
        self.rig.advance(2)
        self.assertFalse(wire.open)

    def test_M02_a_login_may_take_its_time_to_be_used(self) -> None:
        wire = self.rig.register("esa")
        self.rig.advance(600)
        self.assertTrue(wire.open)

    def test_M02_a_second_manager_is_sent_away(self) -> None:
        wire = self.rig.dial()
        self.assertEqual(wire.ask({**HELLO, "type": "manager"})["code"], 400)
        self.assertFalse(wire.open)


class Registering(ManagerCase):
    """``"register": true``."""

    def ask(self, username: object, password: object, **extra: object) -> dict[str, object]:
        request = {"type": "auth", "username": username, "password": password, "register": True, **extra}
        return self.rig.client().ask(request)

    def test_M08_registers_and_logs_in(self) -> None:
        wire = self.rig.client()
        answer = wire.ask(
            {"type": "auth", "username": "Esa", "password": PASSWORD, "register": True, "id": "1"}
        )
        self.assertEqual(
            answer,
            {
                "error": False,
                "code": 201,
                "msg": "Account created",
                "id": "1",
                "component": [],
                "username": "Esa",
            },
        )
        self.assertEqual(wire.ask(roster_get("Esa"))["query"], {"items": []})

    def test_M09_refuses_an_empty_or_white_username_or_password(self) -> None:
        for name, password in (("", "x"), (" ", "x"), ("e sa", "x"), ("esa\t", "x")):
            self.assertEqual(self.ask(name, password)["code"], 400, name)
        for password in ("", " ", "ra hasia", "\n"):
            self.assertEqual(self.ask("esa", password)["code"], 400, password)

    def test_M09_refuses_what_is_no_text(self) -> None:
        for value in (None, 5, ["esa"], {"a": 1}, True):
            self.assertEqual(self.ask(value, "x")["code"], 400)
            self.assertEqual(self.ask("esa", value)["code"], 400)

    def test_M09_refuses_an_invalid_name(self) -> None:
        for name in ("a/b", "a@b", "x" * 65, "a\u0000"):
            self.assertEqual(self.ask(name, "x")["code"], 400, name)

    def test_M09_refuses_a_name_taken_in_any_spelling(self) -> None:
        self.rig.register("Esa")
        for name in ("Esa", "esa", "ESA", "relay", "Manager", "tracker", "cluster"):
            answer = self.ask(name, "x")
            self.assertEqual((answer["code"], answer["msg"]), (409, "Username used"))

    def test_M09_refuses_a_name_taken_while_its_key_was_derived(self) -> None:
        slow = Slow()
        self.rig = Rig(in_thread=slow)
        wires = [self.rig.client() for _ in range(2)]
        for wire in wires:
            wire.say({"type": "auth", "username": "esa", "password": "x", "register": True})
        slow.finish()
        slow.finish()
        self.assertEqual([wire.take()[0]["code"] for wire in wires], [201, 409])

    def test_M09_refused_links_may_try_again(self) -> None:
        wire = self.rig.client()
        wire.ask({"type": "auth", "username": "", "password": "x", "register": True})
        answer = wire.ask({"type": "auth", "username": "esa", "password": "x", "register": True})
        self.assertEqual(answer["code"], 201)

    def test_M10_stores_the_account_and_no_password(self) -> None:
        self.rig.register("Esa")
        account = self.successResultOf(self.rig.stores.accounts.get("esa"))
        assert account is not None
        self.assertEqual((account.profile.username, account.profile.bio), ("Esa", DEFAULT_BIO))
        self.assertEqual(account.credentials.iterations, 4096)
        self.assertNotIn(PASSWORD, repr(account))
        self.assertNotIn(PASSWORD.encode(), account.credentials.stored_key)
        self.assertNotIn(PASSWORD.encode(), account.credentials.server_key)

    def test_registration_can_be_closed(self) -> None:
        self.rig = Rig(policy=Policy(registration="closed"))
        self.assertEqual(self.ask("esa", "x")["code"], 403)

    def test_the_bio_is_the_operators(self) -> None:
        self.rig = Rig(policy=Policy(default_bio="hi", key_rounds=4096))
        self.rig.register("esa")
        account = self.successResultOf(self.rig.stores.accounts.get("esa"))
        assert account is not None
        self.assertEqual(account.profile.bio, "hi")

    def test_a_store_that_fails_is_not_now(self) -> None:
        full = lambda account, invitation: fail(StoreFailed("disk full"))  # noqa: E731
        self.patch(self.rig.stores.accounts, "create", full)
        answer = self.ask("esa", "x", id="7")
        self.assertEqual(answer, {"error": True, "code": 503, "msg": "not now, try again", "id": "7"})


class LoggingIn(ManagerCase):
    """By plain password and by SCRAM."""

    def setUp(self) -> None:
        super().setUp()
        self.rig.register("Esa").hang_up()

    def test_M11_logs_in_by_password_in_any_spelling(self) -> None:
        wire, answer = self.rig.log_in("eSA", id="9")
        self.assertEqual(
            answer,
            {
                "error": False,
                "code": 200,
                "msg": "Login successful",
                "id": "9",
                "component": [],
                "username": "Esa",
            },
        )
        self.assertEqual(wire.ask(roster_get("esa"))["type"], "result")

    def test_M11_logs_in_by_scram(self) -> None:
        wire = self.rig.client("203.0.113.5")
        final, answer = self.rig.scram(wire, "ESA", id="3")
        self.assertTrue(final["data"].startswith("v="))
        self.assertEqual((answer["code"], answer["id"], answer["username"]), (200, "3", "Esa"))
        self.assertEqual(wire.ask(roster_get("Esa"))["type"], "result")

    def test_M12_refuses_what_is_empty_white_unknown_or_wrong(self) -> None:
        for name, password, code in (
            ("", PASSWORD, 400),
            ("e sa", PASSWORD, 400),
            ("Esa", "", 400),
            ("Esa", "ra hasia", 400),
            ("Esa", "wrong", 400),
            ("nobody", PASSWORD, 404),
        ):
            wire = self.rig.client()
            answer = wire.ask({"type": "auth", "username": name, "password": password})
            self.assertEqual((answer["error"], answer["code"]), (True, code), (name, password))
            self.assertEqual(self.rig.log_in("Esa", wire=wire)[1]["code"], 200)
            wire.hang_up()

    def test_M12_refuses_by_scram(self) -> None:
        wire = self.rig.client()
        self.assertEqual(self.rig.scram(wire, "Esa", "wrong")[0]["code"], 400)
        unknown = self.rig.scram(wire, "nobody")[0]
        self.assertEqual((unknown["code"], unknown["msg"]), (404, "User not found"))
        self.assertEqual(self.rig.scram(wire, "Esa")[1]["code"], 200)

    def test_M12_refuses_scram_that_is_malformed(self) -> None:
        wire = self.rig.client()
        for step in (
            {"data": "what?"},
            {"data": ""},
            {},
            {"data": "n,,n=Esa,r=abc", "register": True},
            {"data": "n,,n=Esa,r=abc", "resource": "x" * 65},
        ):
            self.assertEqual(wire.ask({"type": "auth", "mechanism": MECHANISM, **step})["code"], 400)
        self.assertEqual(wire.ask({"type": "auth", "mechanism": "PLAIN", "data": "x"})["code"], 400)
        challenge = wire.ask({"type": "auth", "mechanism": MECHANISM, "data": "n,,n=Esa,r=abc"})
        self.assertIn("data", challenge)
        self.assertEqual(wire.ask({"type": "auth", "mechanism": MECHANISM, "data": "c=biws"})["code"], 400)

    def test_M12_an_unknown_user_and_a_wrong_password_can_look_the_same(self) -> None:
        self.rig = Rig(policy=Policy(hide_accounts=True, key_rounds=4096))
        self.rig.register("Esa").hang_up()
        for scram in (False, True):
            answers = []
            for name in ("Esa", "nobody"):
                wire = self.rig.client()
                if scram:
                    answers.append(self.rig.scram(wire, name, "wrong"))
                else:
                    answers.append([wire.ask({"type": "auth", "username": name, "password": "wrong"})])
            self.assertEqual(answers[0], answers[1])
            self.assertEqual(answers[0][0]["code"], 401)

    def test_a_plain_password_needs_a_private_connection(self) -> None:
        for register in (False, True):
            wire = self.rig.client("203.0.113.5")
            request = {"type": "auth", "username": "gita", "password": "x", "register": register}
            self.assertEqual(wire.ask(request)["code"], 426)
        wire, answer = self.rig.log_in("Esa", wire=self.rig.client("::ffff:127.0.0.1"))
        self.assertEqual(answer["code"], 200)
        self.rig = Rig(policy=Policy(allow_plaintext=True, key_rounds=4096))
        wire = self.rig.client("203.0.113.5")
        request = {"type": "auth", "username": "gita", "password": "x", "register": True}
        self.assertEqual(wire.ask(request)["code"], 201)

    def test_the_original_framing_says_it_as_the_original_did(self) -> None:
        self.rig.relay("a")
        wire = self.rig.client(delimiter=ORIGINAL)
        _, answer = self.rig.log_in("Esa", wire=wire)
        self.assertEqual((answer["code"], answer["msg"]), (200, "Login successfull"))
        wire.say({"type": "get_relay_less_connection"})
        ((inside,),) = wire.take()
        self.assertEqual((inside["code"], inside["msg"]), (200, "Relay Less Connection"))

    def test_nothing_but_a_login_is_heard_before_it(self) -> None:
        wire = self.rig.client()
        for stanza in ({"stanza": "presence"}, roster_get("Esa"), {"type": "get_relay_less_connection"}):
            self.assertEqual(wire.ask(stanza)["code"], 400)


class AlreadyLoggedIn(ManagerCase):
    """One live link an account and resource; no dead one keeps anybody out."""

    def setUp(self) -> None:
        super().setUp()
        self.first = self.rig.register("esa")

    def test_a_second_login_is_refused_only_with_the_right_password(self) -> None:
        wire, answer = self.rig.log_in("esa")
        self.assertEqual((answer["code"], answer["msg"]), (409, "Already logged in"))
        wrong = wire.ask({"type": "auth", "username": "esa", "password": "wrong"})
        self.assertEqual(wrong["code"], 400)
        self.assertEqual(self.rig.scram(wire, "esa")[1]["code"], 409)
        self.assertTrue(self.first.open)
        self.assertEqual(self.first.ask(roster_get("esa"))["type"], "result")

    def test_another_device_logs_in_beside_it(self) -> None:
        self.assertEqual(self.rig.log_in("esa", resource="phone")[1]["code"], 200)
        self.assertTrue(self.first.open)

    def test_replace_ends_the_older_one_everywhere(self) -> None:
        relay, _ = self.rig.relay("a")
        _, answer = self.rig.log_in("esa", replace=True)
        self.assertEqual(answer["code"], 200)
        (told,) = self.first.take()
        self.assertEqual((told["code"], told["msg"]), (409, "Replaced by another login"))
        self.assertFalse(self.first.open)
        self.assertEqual(
            relay.take(),
            [{"message": "revoke", "username": "esa", "session": 1, "reason": "replaced", "resource": ""}],
        )
        self.assertEqual(self.rig.claims(answer).session, 2)
        self.assertEqual(len(self.rig.manager.users), 1)

    def test_replace_by_scram(self) -> None:
        wire = self.rig.client("203.0.113.5")
        self.assertEqual(self.rig.scram(wire, "esa", replace=True)[1]["code"], 200)
        self.assertFalse(self.first.open)

    def test_a_crashed_manager_leaves_no_account_locked_out(self) -> None:
        self.rig = Rig(stores=self.rig.stores)
        self.assertEqual(self.rig.log_in("esa")[1]["code"], 200)

    def test_a_login_lost_while_its_password_was_checked_is_nobodys(self) -> None:
        slow = Slow()
        self.rig = Rig(stores=self.rig.stores, in_thread=slow)
        wire = self.rig.client()
        wire.say({"type": "auth", "username": "esa", "password": PASSWORD})
        wire.hang_up()
        slow.finish()
        self.rig.settle()
        self.assertEqual(len(self.rig.manager.users), 0)

    def test_a_login_lost_while_its_session_was_counted_is_freed(self) -> None:
        counting: Deferred[int] = Deferred()
        self.patch(self.rig.stores.accounts, "next_session", lambda key: counting)
        wire = self.rig.client()
        wire.say({"type": "auth", "username": "esa", "password": PASSWORD, "resource": "x"})
        self.assertEqual(len(self.rig.manager.users.devices("esa")), 2)
        wire.hang_up()
        counting.callback(9)
        self.rig.settle()
        self.assertEqual([user.resource for user in self.rig.manager.users.devices("esa")], [""])

    def test_a_login_whose_session_can_not_be_counted_is_freed(self) -> None:
        self.patch(self.rig.stores.accounts, "next_session", lambda key: fail(StoreFailed("disk full")))
        wire, answer = self.rig.log_in("esa", resource="x")
        self.assertEqual(answer["code"], 503)
        self.assertEqual([user.resource for user in self.rig.manager.users.devices("esa")], [""])
        self.assertTrue(wire.open)


class Relays(ManagerCase):
    """Which relay a user gets, and the token that opens a session there."""

    def test_M13_a_login_gives_the_relay_with_the_fewest_users(self) -> None:
        one, _ = self.rig.relay("a", 5002)
        self.rig.relay("b", 5003)
        for number in range(3):
            one.say({"message": "ncir", "username_relay": "relay1", "username": f"u{number}", "session": 1})
        self.rig.register("esa").hang_up()
        _, answer = self.rig.log_in("esa")
        (component,) = answer["component"]
        self.assertEqual(
            (component["username"], component["ip_local"], component["port"], component["type"]),
            ("relay2", "10.0.0.5", 5003, "relay"),
        )

    def test_M13_users_are_spread_before_any_has_arrived(self) -> None:
        self.rig.relay("a", 5002)
        self.rig.relay("b", 5003)
        names = []
        for number in range(6):
            wire = self.rig.client()
            answer = wire.ask(
                {"type": "auth", "username": f"u{number}", "password": "x", "register": True}
            )
            names.append(answer["component"][0]["username"])
        self.assertEqual(sorted(names), ["relay1"] * 3 + ["relay2"] * 3)

    def test_M13_the_token_opens_that_session_at_that_relay(self) -> None:
        self.rig.relay("a")
        self.rig.register("Esa").hang_up()
        _, answer = self.rig.log_in("esa", resource="phone")
        claims = self.rig.claims(answer)
        self.assertEqual(
            (claims.sub, claims.role, claims.aud, claims.resource, claims.session),
            ("Esa", "user", "relay1", "phone", 2),
        )
        self.assertEqual(claims.exp - claims.iat, 300)

    def test_M14_a_user_online_gets_another_relay(self) -> None:
        relay, _ = self.rig.relay("a", 5002)
        wire = self.rig.register("esa")
        self.rig.relay("b", 5003)
        relay.hang_up()
        answer = wire.ask({"type": "get_relay_less_connection", "id": "4"})
        self.assertEqual(
            (answer["code"], answer["msg"], answer["id"]), (200, "Relay Less Connection", "4")
        )
        claims = self.rig.claims(answer)
        self.assertEqual((claims.aud, claims.session), ("relay2", 2))

    def test_M14_with_no_relay_the_list_is_empty(self) -> None:
        answer = self.rig.register("esa").ask({"type": "get_relay_less_connection"})
        self.assertEqual((answer["code"], answer["component"]), (200, []))
        self.assertNotIn("token", answer)


class Leaving(ManagerCase):
    """Log-out, lost links, silence."""

    def setUp(self) -> None:
        super().setUp()
        self.relay, _ = self.rig.relay("a")
        self.esa, self.fajar, self.gita = self.rig.online("esa", "fajar", "gita")
        self.rig.befriend(self.esa, "esa", self.fajar, "fajar")
        self.rig.add(self.gita, "gita", "esa")  # gita hears esa, esa doesn't hear gita
        for wire in (self.esa, self.fajar, self.gita, self.relay):
            wire.take()

    def assert_told(self) -> None:
        for wire, name in ((self.fajar, "fajar"), (self.gita, "gita")):
            (told,) = wire.take()
            self.assertEqual(
                (told["stanza"], told["from"], told["to"], told["online"], told["type"]),
                ("presence", "esa", name, 0, "unavailable"),
            )

    def test_M29_unavailable_logs_out(self) -> None:
        self.esa.say({"stanza": "presence", "from": "esa", "type": "unavailable"})
        self.assertFalse(self.esa.open)
        self.assertIs(self.esa.link.close_reason, CloseReason.LOGGED_OUT)
        self.assertEqual(
            self.relay.take(),
            [{"message": "revoke", "username": "esa", "session": 1, "reason": "logged out", "resource": ""}],
        )
        self.assertEqual(self.rig.log_in("esa")[1]["code"], 200)

    def test_M30_contacts_that_hear_a_user_are_told_it_went(self) -> None:
        self.rig.add(self.esa, "esa", "gita")  # both now: hears, and is told once
        self.rig.register("hadi")
        self.gita.take()
        self.esa.say({"stanza": "presence", "type": "unavailable"})
        self.assert_told()

    def test_M31_a_connection_that_ends_logs_out_and_leaves_the_relay_be(self) -> None:
        self.esa.hang_up()
        self.assert_told()
        self.assertEqual(self.relay.take(), [])
        self.assertEqual(self.rig.log_in("esa")[1]["code"], 200)

    def test_M31_a_connection_that_is_reset_logs_out(self) -> None:
        self.esa.pipe.cut()
        self.assert_told()

    def test_M31_a_client_that_answered_pings_and_goes_silent_is_logged_out(self) -> None:
        self.esa.say({"type": "pong"})
        self.rig.advance(60)
        self.assertFalse(self.esa.open)
        self.assertIs(self.esa.link.close_reason, CloseReason.SILENT)
        self.assert_told()

    def test_M31_a_client_that_never_answered_a_ping_stays_while_its_machine_does(self) -> None:
        self.rig.advance(600)
        self.assertTrue(self.esa.open)
        self.esa.pipe.hold()  # its machine is gone: what we write is never acknowledged
        self.rig.advance(60)
        self.assert_told()

    def test_M31_a_device_that_goes_leaves_the_others(self) -> None:
        phone, _ = self.rig.log_in("esa", resource="phone")
        phone.say({"stanza": "presence", "show": "away"})
        self.assertEqual(self.fajar.take()[0]["show"], "away")
        phone.hang_up()
        (told,) = self.fajar.take()
        self.assertEqual((told["online"], told.get("show"), told.get("type")), (1, None, None))

    def test_M31_a_user_that_was_never_available_went_without_a_word(self) -> None:
        phone, _ = self.rig.log_in("esa", resource="phone")
        phone.hang_up()
        self.assertEqual(self.fajar.take(), [])

    def test_a_manager_that_stops_tells_nobody_that_everybody_went(self) -> None:
        self.rig.manager.stopping = True
        self.esa.hang_up()
        self.assertEqual(self.fajar.take(), [])


class Surviving(ManagerCase):
    """Nothing a stranger says ends a manager, or anybody else's link."""

    JUNK = (
        b"\xff\xfe\n",
        b"hello\n",
        b"5\n",
        b"[]\n",
        b'"x"\n',
        b"null\n",
        b"{}\n",
        b'{"type":"nothing"}\n',
        b'{"stanza":"nothing"}\n',
        b'{"message":"nothing"}\n',
        b'{"type":"auth"}\n',
        b'{"type":"auth","username":"a","username":"b"}\n',
        b'{"type":"auth","username":"esa","password":NaN}\n',
        b'{"stanza":"iq"}\n',
        b'{"stanza":"presence","show":"dancing"}\n',
        b'{"ip_local":"x","port":-1,"type":"client"}\n',
        b'{"ip_local":"x","port":99999999999999999999999,"type":"relay"}\n',
        b'{"message":"ncir","username_relay":"relay1","username":"esa"}\n',
        b"[" * 10_000 + b"\n",
    )

    def test_M32_survives_any_message_in_any_phase(self) -> None:
        quiet = self.rig.register("quiet")
        phases = {
            "before the hello": self.rig.dial,
            "before the login": self.rig.client,
            "logged in": lambda: self.rig.log_in("quiet", resource=str(self.rig.random.random()))[0],
            "a relay": lambda: self.rig.relay("a")[0],
        }
        for phase, dial in phases.items():
            for junk in self.JUNK:
                wire = dial()
                wire.say_bytes(junk)
                for answer in wire.take():
                    refused = answer.get("code") or answer.get("type")
                    self.assertIn(refused, (400, 401, 403, "error"), (phase, junk))
                wire.hang_up()
        self.assertTrue(quiet.open)
        self.assertEqual(quiet.take(), [])
        self.assertEqual(quiet.ask({"type": "ping"})["type"], "pong")

    def test_M32_ten_bad_frames_in_a_row_close_the_link(self) -> None:
        wire = self.rig.client()
        wire.say_bytes(b"junk\n" * 10)
        self.assertEqual([answer["code"] for answer in wire.take()], [400] * 10)
        self.assertFalse(wire.open)

    def test_M32_a_frame_too_long_closes_the_link(self) -> None:
        self.rig = Rig(limits=Limits(max_frame=1000))
        wire = self.rig.client()
        wire.say_bytes(b"x" * 1001)
        for _ in range(10):
            wire.say_bytes(b"x")
        self.assertEqual([answer["code"] for answer in wire.take()], [413])
        self.assertFalse(wire.open)

    def test_M32_stanzas_of_one_link_are_answered_in_order(self) -> None:
        slow = Slow()
        self.rig = Rig(in_thread=slow)
        wire = self.rig.client()
        wire.say(
            {"type": "auth", "username": "esa", "password": "x", "register": True},
            roster_get("esa", id="1"),
            {"type": "ping"},
        )
        self.assertEqual(wire.take(), [])
        slow.finish()
        heard = wire.take()
        self.assertEqual(heard[0]["code"], 201)
        self.assertEqual(said(heard, id="1")[0]["type"], "result")
        self.assertEqual(heard[2], {"type": "pong"})
