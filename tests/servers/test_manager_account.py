# SPDX-License-Identifier: MIT
"""An account changed or removed by its owner: what ends with it, and what never comes back."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail

from tests.servers.manager_rig import PASSWORD, Frame, ManagerCase, Rig, Slow, Wire, roster_get, said
from xjrelay.servers.manager.state import Policy
from xjrelay.storage.interfaces import StoreFailed
from xjrelay.wire.errors import CloseReason

NEW = "gunung-api"


def change(name: str, current: object = PASSWORD, new: object = NEW, **more: Any) -> Frame:
    """The question to change a password."""
    return account_set(name, {"current": current, "password": new}, **more)


def remove(name: str, current: object = PASSWORD, **more: Any) -> Frame:
    """The question to remove an account."""
    return account_set(name, {"current": current, "remove": True}, **more)


def account_set(name: str, query: object, **more: Any) -> Frame:
    """An iq about an account."""
    iq = {"stanza": "iq", "namespace": "account", "from": name, "type": "set", "query": query}
    return {**iq, **more}


class AccountCase(ManagerCase):
    """Esa is logged in on two devices, and there is a relay."""

    def setUp(self) -> None:
        super().setUp()
        self.relay, _ = self.rig.relay("a")
        self.esa = self.rig.register("Esa")
        self.phone, login = self.rig.log_in("Esa", resource="phone")
        self.old = self.rig.claims(login)

    def revoked(self, reason: str) -> None:
        """The relay was told to end every session there has been."""
        keys = {"message": "revoke", "username": "Esa", "session": self.old.session, "reason": reason}
        self.assertEqual(said(self.relay.take(), message="revoke"), [keys])

    def assertNewer(self, answer: Frame) -> None:
        """A token that no revocation covers."""
        self.assertGreater(self.rig.claims(answer).session, self.old.session)

    def log_in_with(self, password: str, wire: Wire | None = None) -> Frame:
        return self.rig.log_in("Esa", wire=wire, password=password, replace=True)[1]


class Changing(AccountCase):
    """Another password."""

    def test_the_new_password_holds_and_the_old_does_not(self) -> None:
        answer = self.esa.ask(change("Esa", id="1"))
        self.assertEqual(
            answer, {"stanza": "iq", "namespace": "account", "type": "result", "to": "Esa", "id": "1"}
        )
        self.assertEqual(self.log_in_with(PASSWORD)["code"], 400)
        self.assertEqual(self.log_in_with(NEW)["code"], 200)

    def test_every_session_ends_on_every_relay_and_every_other_device(self) -> None:
        other, _ = self.rig.relay("b", 5003)
        self.esa.say(change("Esa"))
        self.revoked("password changed")
        self.assertEqual(said(other.take(), message="revoke")[0]["session"], self.old.session)
        self.assertEqual([one["code"] for one in self.phone.take()], [401])
        self.assertFalse(self.phone.open)
        self.assertIs(self.phone.link.close_reason, CloseReason.PASSWORD_CHANGED)

    def test_who_changed_it_stays_and_gets_a_relay_again(self) -> None:
        self.esa.ask(change("Esa"))
        answer = self.esa.ask({"type": "get_relay_less_connection"})
        self.assertNewer(answer)

    def test_the_current_password_is_asked_for_and_guesses_are_counted(self) -> None:
        self.rig = Rig(policy=Policy(key_rounds=4096, login_failures=2))
        esa = self.rig.register("Esa")
        for _ in range(3):
            self.assert_condition(esa.ask(change("Esa", "wrong")), "not-authorized")
        self.assert_condition(esa.ask(change("Esa")), "resource-constraint")
        self.rig.advance(2)
        self.assertEqual(esa.ask(change("Esa"))["type"], "result")

    def test_what_is_wrong_is_answered_without_the_passwords(self) -> None:
        queries: tuple[object, ...] = (
            {},
            {"password": NEW},
            {"current": PASSWORD},
            {"current": PASSWORD, "password": ""},
            {"current": PASSWORD, "password": "a b"},
            {"current": PASSWORD, "password": "x" * 1025},
            {"current": PASSWORD, "password": 5},
            {"current": 5, "password": NEW},
            {"current": "", "password": NEW},
            {"current": "x" * 1025, "password": NEW},
            {"current": PASSWORD, "password": NEW, "remove": True},
            {"current": PASSWORD, "remove": False},
            {"current": PASSWORD, "remove": "yes"},
            None,
            [],
        )
        for query in queries:
            answer = self.esa.ask(account_set("Esa", query))
            self.assert_condition(answer, "bad-request")
            self.assertNotIn("query", answer)
        self.assert_condition(self.esa.ask(change("Esa", type="get")), "bad-request")
        self.assert_condition(self.esa.ask(change("fajar")), "forbidden")
        self.assert_condition(self.esa.ask(change("Esa", new="a\u0627")), "bad-request")
        self.assertEqual(self.log_in_with(PASSWORD)["code"], 200)

    def test_not_where_others_could_read_it(self) -> None:
        wire = self.rig.client("203.0.113.5")
        self.rig.scram(wire, "Esa", replace=True)
        self.assert_condition(wire.ask(change("Esa")), "policy-violation")
        self.assert_condition(wire.ask(remove("Esa")), "policy-violation")

    def test_a_login_that_began_with_the_old_password_does_not_end_with_it(self) -> None:
        slow = Slow()
        self.rig.manager.in_thread = slow
        wire = self.rig.client()
        wire.say({"type": "auth", "username": "Esa", "password": PASSWORD, "resource": "desk"})
        self.esa.say(change("Esa"))
        checked = slow.waiting.pop(0)
        while slow.waiting:
            slow.finish()
        self.assertEqual(self.esa.take()[-1]["type"], "result")
        done, function, args = checked
        done.callback(function(*args))
        self.assertEqual([one["code"] for one in wire.take()], [400])
        self.assertEqual(len(self.rig.manager.users.devices("esa")), 1)

    def test_a_store_that_fails_changes_nothing(self) -> None:
        accounts = self.rig.stores.accounts
        self.patch(accounts, "replace_credentials", lambda key, new: fail(StoreFailed("disk full")))
        self.assert_condition(self.esa.ask(change("Esa")), "resource-constraint")
        self.assertEqual(said(self.relay.take(), message="revoke"), [])
        self.assertTrue(self.phone.open)


class Removing(AccountCase):
    """The account itself."""

    def test_everything_ends(self) -> None:
        self.esa.say(remove("Esa"))
        answer, told = self.esa.take()
        self.assertEqual((answer["type"], told["code"]), ("result", 401))
        self.revoked("account removed")
        self.assertEqual((self.esa.open, self.phone.open), (False, False))
        self.assertEqual(self.log_in_with(PASSWORD)["code"], 404)
        self.assertEqual(len(self.rig.manager.users), 0)

    def test_only_with_the_password(self) -> None:
        self.assert_condition(self.esa.ask(remove("Esa", "wrong")), "not-authorized")
        self.assertEqual(self.log_in_with(PASSWORD)["code"], 200)

    def test_contacts_hear_that_it_went_and_have_it_no_more(self) -> None:
        fajar, gita = self.rig.online("Fajar", "Gita")
        self.rig.befriend(self.esa, "Esa", fajar, "Fajar")
        self.rig.add(self.esa, "Esa", "Gita")  # Gita never heard of Esa
        self.esa.say({"stanza": "presence"})
        for wire in (fajar, gita, self.esa, self.phone):
            wire.take()
        self.esa.say(remove("Esa"))
        gone, unsubscribed = fajar.take()
        self.assertEqual((gone["type"], gone["from"], gone["online"]), ("unavailable", "Esa", 0))
        item = {"jid": "Esa", "name": "Esa", "subscription": "remove"}
        self.assertEqual((unsubscribed["type"], unsubscribed["item"]), ("unsubscribed", item))
        self.assertEqual(gita.take(), [])
        self.assertEqual(fajar.ask(roster_get("Fajar"))["query"], {"items": []})

    def test_a_name_registered_again_revives_no_session_and_no_token(self) -> None:
        self.esa.say(remove("Esa"))
        wire = self.rig.client()
        answer = wire.ask({"type": "auth", "username": "esa", "password": "other", "register": True})
        self.assertEqual((answer["code"], answer["username"]), (201, "esa"))
        self.assertNewer(answer)


class ComingBack(AccountCase):
    """A relay that was out of reach when a session ended for good."""

    def report(self, relay: Wire, name: str, session: int, resource: str = "phone") -> None:
        notice = {"message": "ncir", "username": name, "resource": resource, "session": session}
        relay.say({**notice, "username_relay": "relay1"})

    def ends(self, relay: Wire) -> list[tuple[str, int, str]]:
        self.rig.advance(1)
        told = said(relay.take(), message="revoke")
        return [(one["username"], one["session"], one["resource"]) for one in told]

    def test_it_is_told_which_of_its_sessions_are_over(self) -> None:
        self.relay.hang_up()
        self.esa.ask(change("Esa"))
        newer = self.esa.ask({"type": "get_relay_less_connection"})
        self.assertEqual(newer["component"], [])
        back, _ = self.rig.relay("a")
        self.report(back, "Esa", self.old.session)
        self.report(back, "esa", self.old.session + 1, "desk")
        self.assertEqual(self.ends(back), [("Esa", self.old.session, "phone")])

    def test_sessions_of_accounts_that_are_gone_are_over(self) -> None:
        self.relay.hang_up()
        self.esa.say(remove("Esa"))
        back, _ = self.rig.relay("a")
        self.report(back, "Esa", self.old.session)
        self.assertEqual(self.ends(back), [("Esa", self.old.session, "phone")])

    def test_many_reports_are_one_question(self) -> None:
        asked: list[int] = []
        accounts = self.rig.stores.accounts
        ended = accounts.ended

        def counting(sessions: Any) -> Any:
            asked.append(len(sessions))
            return ended(sessions)

        self.patch(accounts, "ended", counting)
        for number in range(1, 1501):
            self.report(self.relay, "Esa", self.old.session + number)
        self.assertEqual(self.ends(self.relay), [])
        self.assertEqual((sum(asked), max(asked)), (1500, 1000))
