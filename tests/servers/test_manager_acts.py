# SPDX-License-Identifier: MIT
"""What an operator does to a manager: who may, what comes of it, and that it is written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, execute, fail, succeed

from tests.servers.manager_rig import PASSWORD, ManagerCase, Rig, Slow
from xjrelay.domain.audit import verify
from xjrelay.security.admission import SCOPES, TokenBook, issue
from xjrelay.security.secret import ClusterSecret
from xjrelay.servers.acting import MAX_SILENCED, Asked, Doorkeeper
from xjrelay.servers.manager.acts import FRESH_KEY, Acts
from xjrelay.servers.manager.rotation import Rotation
from xjrelay.servers.option_table import TABLE
from xjrelay.storage.interfaces import StoreFailed
from xjrelay.storage.memory import MemoryAudit
from xjrelay.wire.errors import Code, RemoteError

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "operating.md"
DAY_MS = 86_400_000


class ActsCase(ManagerCase):
    """A manager with a doorkeeper."""

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp()) / "admin-tokens.json"
        self.path.parent.mkdir()
        self.audit = MemoryAudit()
        self.steps: list[str] = []
        self.acts = Acts(
            self.rig.manager, Rotation(self.rig.manager), self.step, lambda: {"options": []}
        ).table()
        self.door = self.doorkeeper()
        self.token = self.made(*SCOPES)

    def doorkeeper(self, requests: int = 600, failures: int = 60) -> Doorkeeper:
        book = TokenBook(self.path, self.rig.clock.seconds)
        self.limited = self.rig.manager.context.counters.limited
        return Doorkeeper(self.acts, book, self.audit, self.rig.clock, requests, failures, self.limited)

    async def step(self, step: str) -> int:
        self.steps.append(step)
        return 2

    def made(self, *scopes: str, days: float = 1) -> str:
        return issue(self.path, scopes, days, self.rig.clock.seconds())[0]

    def asks(self, act: str, token: str | None = None, **arguments: Any) -> tuple[int, dict[str, Any]]:
        """One act, with every scope unless another token is shown."""
        body = msgspec.json.encode(arguments)
        asked = Asked(act, f"Bearer {token or self.token}", body, "127.0.0.1", True)
        return self.performs(asked)

    def performs(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        outcome: tuple[int, dict[str, Any]] = self.successResultOf(
            Deferred.fromCoroutine(self.door.perform(asked))
        )
        self.rig.settle()
        return outcome

    def does(self, act: str, **arguments: Any) -> dict[str, Any]:
        """One that is done."""
        code, answer = self.asks(act, **arguments)
        self.assertEqual(code, 200, answer)
        return answer

    def written(self) -> list[dict[str, Any]]:
        """The audit log."""
        self.assertEqual(verify(self.audit.lines, self.audit.head).problems, [])
        return [json.loads(line) for line in self.audit.lines]


class BanTests(ActsCase):
    """An account that may not log in."""

    def test_its_devices_and_sessions_end_at_once_and_it_is_told_why(self) -> None:
        relay, _ = self.rig.relay("a")
        esa = self.rig.register("esa")
        phone, answer = self.rig.log_in("esa", resource="phone")
        number = self.rig.claims(answer).session
        relay.take()
        said = self.does("ban", user="ESA", reason="spam")
        self.assertEqual(said, {"user": "esa", "until": None, "devices": 2})
        for wire in (esa, phone):
            self.assertEqual(wire.take()[-1], {"error": True, "code": 403, "msg": "Banned: spam"})
            self.assertFalse(wire.open)
        told = {"message": "revoke", "username": "esa", "session": number, "reason": "banned"}
        self.assertEqual(relay.take(), [told])

    def test_a_login_is_refused_with_the_reason_to_whoever_has_the_password(self) -> None:
        self.rig.register("esa").hang_up()
        self.does("ban", user="esa", reason="spam")
        refused = {"error": True, "code": 403, "msg": "Banned: spam"}
        self.assertEqual(self.rig.log_in("esa")[1], refused)
        heard = self.rig.scram(self.rig.client(), "esa")
        self.assertEqual(heard[-1], refused)
        wire = self.rig.client()
        answer = wire.ask({"type": "auth", "username": "esa", "password": "wrong"})
        self.assertEqual(answer["msg"], "Wrong password")
        self.assertEqual(len(self.rig.manager.users), 0)
        again = wire.ask({"type": "auth", "username": "esa", "password": PASSWORD, "register": True})
        self.assertEqual(again["code"], 409)

    def test_a_login_under_way_is_refused_too(self) -> None:
        """The password was looked at before the ban, the answer comes after it."""
        self.rig.register("esa").hang_up()
        real = self.rig.stores.accounts.next_session
        gates: list[Deferred[None]] = []

        def slow(key: str) -> Deferred[int]:
            gates.append(Deferred())
            numbered: Deferred[int] = gates[-1].addCallback(lambda _: real(key))
            return numbered

        self.patch(self.rig.stores.accounts, "next_session", slow)
        wire = self.rig.client()
        wire.say({"type": "auth", "username": "esa", "password": PASSWORD})
        self.does("ban", user="esa")
        gates[0].callback(None)
        codes = [frame["code"] for frame in wire.take()]
        self.assertEqual(set(codes), {403})
        self.assertEqual(len(self.rig.manager.users), 0)

    def test_a_password_that_is_still_being_looked_at_opens_nothing(self) -> None:
        """The account was read before the ban, and its device is nobody's yet when the ban ends them."""
        self.rig.register("esa").hang_up()
        slow = Slow()
        rig = Rig(self.rig.stores, in_thread=slow)
        wire = rig.client()
        wire.say({"type": "auth", "username": "esa", "password": PASSWORD})
        self.does("ban", user="esa")
        slow.finish()
        self.assertEqual([frame["code"] for frame in wire.take()], [403])
        self.assertEqual(len(rig.manager.users), 0)

    def test_a_refused_login_is_given_no_session(self) -> None:
        self.rig.register("esa").hang_up()
        self.does("ban", user="esa")
        self.assertEqual(self.rig.log_in("esa")[1]["code"], 403)
        self.assertEqual(self.successResultOf(self.rig.stores.accounts.next_session("esa")), 2)

    def test_it_is_lifted_or_ends_by_itself(self) -> None:
        self.rig.register("esa").hang_up()
        self.does("ban", user="esa")
        self.assertEqual(self.rig.log_in("esa")[1]["msg"], "Banned")
        self.assertEqual(self.does("lift", user="esa"), {"user": "esa"})
        self.rig.log_in("esa")[0].hang_up()
        self.assertEqual(self.asks("lift", user="esa")[0], 404)
        said = self.does("ban", user="esa", days=0.5)
        self.assertEqual(said["until"], self.rig.manager.now_ms() + DAY_MS // 2)
        self.rig.clock.rightNow += 86400 / 2 - 1
        self.assertEqual(self.rig.log_in("esa")[1]["code"], 403)
        self.rig.clock.rightNow += 1
        self.assertEqual(self.rig.log_in("esa")[1]["code"], 200)

    def test_it_survives_a_restart(self) -> None:
        self.rig.register("esa")
        self.does("ban", user="esa", reason="spam")
        again = Rig(self.rig.stores)
        self.assertEqual(again.log_in("esa")[1]["msg"], "Banned: spam")

    def test_those_that_hold_are_listed_in_pages(self) -> None:
        for name in ("esa", "fajar", "gita"):
            self.rig.register(name)
            self.does("ban", user=name, reason="x")
        page = self.does("bans", most=2)
        self.assertEqual(([one["user"] for one in page["bans"]], page["next"]), (["esa", "fajar"], "fajar"))
        page = self.does("bans", most=2, after="fajar")
        self.assertEqual(([one["user"] for one in page["bans"]], page["next"]), (["gita"], None))

    def test_who_is_not_there_or_can_not_be_and_reasons_that_are_none(self) -> None:
        self.rig.register("esa")
        self.assertEqual(self.asks("ban", user="nobody")[0], 404)
        self.assertEqual(self.asks("ban", user="a/b")[0], 400)
        self.assertEqual(self.asks("ban", user="esa", reason="x" * 201)[0], 400)
        self.assertEqual(self.asks("ban", user="esa", reason="a\nb")[0], 400)
        self.assertEqual(self.asks("ban", user="esa", days=-1)[0], 400)
        self.assertEqual(self.does("bans")["bans"], [])


class SessionTests(ActsCase):
    """Who is there, and no more."""

    def test_they_are_listed_with_their_relay(self) -> None:
        relay, welcome = self.rig.relay("a")
        self.rig.register("fajar")
        _, answer = self.rig.log_in("esa", wire=self.rig.register("esa") and None, resource="phone")
        number = self.rig.claims(answer).session
        report = {
            "username_relay": welcome["username"],
            "username": "esa",
            "resource": "phone",
            "session": number,
        }
        relay.say({"message": "ncir", **report}, {"message": "reported"})
        rows = self.does("sessions")["sessions"]
        self.assertEqual(
            [(row["user"], row["resource"], row["relay"]) for row in rows],
            [
                ("esa", "", None),
                ("esa", "phone", "relay1"),
                ("fajar", "", None),
            ],
        )
        self.assertEqual(
            (rows[1]["session"], rows[1]["state"], rows[1]["from"]), (number, "here", "127.0.0.1")
        )
        self.assertEqual(self.does("sessions", user="ESA")["sessions"], rows[:2])
        page = self.does("sessions", most=1)
        self.assertEqual((page["sessions"], page["next"]), (rows[:2], "esa"))
        self.assertEqual(self.does("sessions", most=1, after="esa")["sessions"], rows[2:])
        self.assertEqual(self.does("sessions", after="fajar"), {"sessions": [], "next": None})

    def test_all_of_a_user_s_end_and_it_may_log_in_again(self) -> None:
        relay, _ = self.rig.relay("a")
        esa = self.rig.register("esa")
        relay.take()
        self.assertEqual(self.does("end", user="esa"), {"user": "esa", "devices": 1})
        self.assertEqual(esa.take()[-1]["msg"], "Ended by an operator")
        self.assertEqual(relay.take()[0]["reason"], "ended by an operator")
        _, answer = self.rig.log_in("esa")
        self.assertEqual(answer["code"], 200)
        self.assertEqual(
            self.successResultOf(self.rig.stores.accounts.ended([("esa", 1), ("esa", 2)])), [("esa", 1)]
        )

    def test_those_of_one_device_end_and_the_others_do_not(self) -> None:
        relay, _ = self.rig.relay("a")
        esa = self.rig.register("esa")
        phone, _ = self.rig.log_in("esa", resource="phone")
        relay.take()
        self.assertEqual(self.does("end", user="esa", resource="phone")["devices"], 1)
        self.assertEqual((esa.open, phone.open), (True, False))
        told = relay.take()
        self.assertEqual([(one["session"], one["resource"]) for one in told], [(2, "phone")])
        self.assertEqual(self.asks("end", user="esa", resource="tablet")[0], 404)
        self.assertEqual(self.asks("end", user="nobody")[0], 404)


class AccountTests(ActsCase):
    """A password for who has forgotten it."""

    def test_one_that_is_made_is_told_once_and_ends_every_session(self) -> None:
        relay, _ = self.rig.relay("a")
        esa = self.rig.register("esa")
        relay.take()
        said = self.does("password", user="esa")
        self.assertFalse(esa.open)
        self.assertEqual(relay.take()[0]["reason"], "password changed")
        self.assertEqual(self.rig.log_in("esa")[1]["code"], 400)
        answer = self.rig.client().ask({"type": "auth", "username": "esa", "password": said["password"]})
        self.assertEqual(answer["code"], 200)
        self.assertNotIn(said["password"], b"".join(self.audit.lines).decode())

    def test_one_that_is_said_is_not_repeated_anywhere(self) -> None:
        self.rig.register("esa")
        said = self.does("password", user="esa", password="gunung-api")
        self.assertIsNone(said["password"])
        answer = self.rig.client().ask({"type": "auth", "username": "esa", "password": "gunung-api"})
        self.assertEqual(answer["code"], 200)
        self.assertNotIn("gunung-api", b"".join(self.audit.lines).decode())
        self.assertEqual(self.written()[0]["args"], {"user": "esa", "password": "(not shown)"})

    def test_one_that_can_not_be(self) -> None:
        self.rig.register("esa")
        self.assertEqual(self.asks("password", user="esa", password="a b")[0], 400)
        self.assertEqual(self.asks("password", user="nobody")[0], 404)


class RelayTests(ActsCase):
    """Users sent elsewhere."""

    def test_relays_are_listed(self) -> None:
        self.rig.relay("a")
        self.rig.relay("b", 5003)
        rows = self.does("relays")["relays"]
        self.assertEqual(
            [(row["username"], row["port"], row["connection"]) for row in rows],
            [("relay1", 5002, 0), ("relay2", 5003, 0)],
        )

    def test_a_relay_is_asked_to_drain_or_to_send_some_away(self) -> None:
        one, _ = self.rig.relay("a")
        self.assertEqual(self.asks("move", relay="relay1", users=1)[0], 409)
        self.rig.relay("b", 5003)
        one.take()
        self.assertEqual(self.does("move", relay="relay1", users=3), {"relay": "relay1", "users": 0})
        self.does("drain", relay="relay1", within=30)
        self.assertEqual(
            [(frame["within"], frame.get("users")) for frame in one.take()], [(10000, 3), (30000, None)]
        )
        self.assertEqual(self.asks("drain", relay="relay9")[0], 404)
        self.assertEqual(self.asks("move", relay="relay1", users=0)[0], 400)


class KeyTests(ActsCase):
    """Keys, the secret, invitations."""

    def test_the_signing_key_is_changed_and_relays_hear_of_it(self) -> None:
        relay, _ = self.rig.relay("a")
        relay.take()
        self.assertEqual(self.asks("rotate-keys")[0], 409)
        self.rig.clock.rightNow += FRESH_KEY
        self.assertEqual(self.does("rotate-keys"), {"keys": 2})
        self.assertEqual([len(frame["keys"]) for frame in relay.take()], [2])
        self.assertEqual(self.asks("rotate-keys")[0], 409)

    def test_the_secret_is_changed_in_steps(self) -> None:
        self.assertEqual(self.does("rotate-secret", step="begin"), {"step": "begin", "accepted": 2})
        self.assertEqual(self.asks("rotate-secret", step="all")[0], 400)
        self.assertEqual(self.steps, ["begin"])

    def test_an_invitation_is_good(self) -> None:
        said = self.does("invite", count=3, days=2)
        invitation = self.rig.manager.invitation(said["code"])
        self.assertEqual((invitation.most, invitation.expires_at), (3, said["expires"] * 1000))
        self.assertEqual(self.asks("invite", count=0)[0], 400)
        self.assertEqual(self.asks("invite", days=36500)[0], 400)


class DoorTests(ActsCase):
    """Who is let in."""

    def test_each_act_needs_its_scope_and_no_other_will_do(self) -> None:
        for name, act in self.acts.items():
            others = self.made(*(set(SCOPES) - {act.scope}))
            self.assertEqual(self.asks(name, others)[0], 403, name)
            self.assertNotIn(self.asks(name, self.made(act.scope))[0], (401, 403), name)

    def test_no_token_a_wrong_one_and_an_expired_one(self) -> None:
        expired = self.made("read", days=0.001)
        self.rig.clock.rightNow += 100
        for header in (
            "",
            "Bearer",
            "Bearer x",
            f"Basic {self.token}",
            f"Bearer {self.token}0",
            f"Bearer {expired}",
        ):
            code, answer = self.performs(Asked("relays", header, b"", "127.0.0.1", True))
            self.assertEqual((code, answer["error"]), (401, True), header)
        self.assertEqual([one["outcome"] for one in self.written()], ["refused"] * 6)
        self.assertEqual(self.written()[-1]["who"], expired.split("_")[1])
        self.assertNotIn(self.token.rpartition("_")[2], b"".join(self.audit.lines).decode())

    def test_a_token_is_not_looked_at_where_others_could_read_it(self) -> None:
        asked = Asked("relays", f"Bearer {self.token}", b"", "192.0.2.1", False)
        self.assertEqual(self.performs(asked)[0], 426)

    def test_a_stranger_is_held_up_after_so_many_and_an_operator_beside_it_is_not(self) -> None:
        self.door = self.doorkeeper(failures=5)
        codes = [self.asks("relays", f"xja1_00000000_{n}")[0] for n in range(8)]
        self.assertEqual(codes, [401] * 5 + [429] * 3)
        self.assertEqual(self.limited["admin-failures"], 3)
        self.does("relays")
        self.assertEqual([one.get("silenced") for one in self.written()], [None] * 5 + [3])

    def test_strangers_do_not_fill_the_log(self) -> None:
        for number in range(MAX_SILENCED + 40):
            self.performs(Asked("relays", "", b"", f"192.0.2.{number}", True))
        self.assertEqual(len(self.written()), MAX_SILENCED)
        self.assertEqual(self.asks("relays", self.made("keys"))[0], 403)
        self.assertEqual(self.written()[-1]["silenced"], 40)

    def test_a_token_does_so_much_a_minute(self) -> None:
        self.door = self.doorkeeper(requests=3)
        self.assertEqual([self.asks("relays")[0] for _ in range(5)], [200] * 3 + [429] * 2)
        self.assertEqual(self.limited["admin-requests"], 2)
        self.rig.clock.rightNow += 20
        self.does("relays")

    def test_what_is_no_act_or_not_its_arguments(self) -> None:
        self.assertEqual(self.asks("nothing")[0], 404)
        self.assertEqual(self.asks("ban")[0], 400)
        self.assertEqual(self.asks("relays", surplus=1)[0], 400)
        for body in (b"[]", b"\xff", b"[" * 9999, b'{"user": 1}'):
            code, _ = self.performs(Asked("end", f"Bearer {self.token}", body, "127.0.0.1", True))
            self.assertEqual(code, 400, body[:9])
        self.assertEqual(self.written()[0]["act"], "?")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


class HostileTests(ActsCase):
    """Whatever is said with a token, or in its place."""

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_no_request_is_a_bug(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*self.acts, "nothing", ""]))
        act = self.acts.get(name)
        fields = list(act.takes.__struct_fields__) if act is not None else []
        said = data.draw(st.dictionaries(st.sampled_from([*fields, "x"]), JSON, max_size=4))
        body = data.draw(st.binary(max_size=20) | st.just(json.dumps(said).encode()))
        header = data.draw(st.just(f"Bearer {self.token}") | st.text(max_size=90))
        code, answer = self.performs(Asked(name, header, body, "127.0.0.1", True))
        self.assertIn(code, (200, 400, 401, 404, 409, 429), answer)
        self.assertEqual(answer.get("error", False), code != 200)
        self.rig.clock.rightNow += 60
        self.assertEqual(verify(self.audit.lines, self.audit.head).problems, [])


class AuditTests(ActsCase):
    """What is written, and when."""

    def test_what_changes_something_is_written_before_and_after(self) -> None:
        self.rig.register("esa")
        self.does("ban", user="esa", reason="spam")
        self.does("bans")
        self.asks("end", user="nobody")
        said = [(one["act"], one["outcome"], one.get("code")) for one in self.written()]
        self.assertEqual(
            said,
            [
                ("ban", "begun", None),
                ("ban", "done", None),
                ("bans", "done", None),
                ("end", "begun", None),
                ("end", "failed", 404),
            ],
        )
        first = self.written()[0]
        self.assertEqual(
            (first["args"], first["from"], first["who"]),
            ({"user": "esa", "reason": "spam"}, "127.0.0.1", self.token.split("_")[1]),
        )

    def test_what_can_not_be_written_is_not_done(self) -> None:
        self.rig.register("esa")
        self.audit.append = lambda act: fail(StoreFailed("the disk is full"))  # type: ignore[method-assign]
        code, answer = self.asks("ban", user="esa")
        self.assertEqual((code, "nothing was done" in answer["msg"]), (503, True))
        self.assertEqual(self.does("bans")["bans"], [])

    def test_what_can_not_be_written_any_more_was_done(self) -> None:
        self.rig.register("esa")
        outcomes = [succeed(1), fail(StoreFailed("the disk is full"))]
        self.audit.append = lambda act: outcomes.pop(0)  # type: ignore[method-assign]
        self.assertEqual(self.asks("ban", user="esa")[0], 200)

    def test_a_store_that_fails_is_no_answer_and_an_entry(self) -> None:
        self.rig.register("esa")
        self.rig.stores.accounts.lift = lambda key: fail(StoreFailed("the disk is full"))  # type: ignore[method-assign]
        self.assertEqual(self.asks("lift", user="esa")[0], 503)
        self.assertEqual([one["outcome"] for one in self.written()], ["begun", "failed"])

    def test_a_bug_is_said_and_written(self) -> None:
        async def broken(asked: Any) -> dict[str, Any]:
            raise KeyError("rahasia")

        act = self.acts["relays"]
        self.acts["relays"] = type(act)(act.scope, act.doc, act.takes, broken)
        code, answer = self.asks("relays")
        self.assertEqual((code, "rahasia" in answer["msg"]), (500, False))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(self.written()[-1]["outcome"], "failed")


class SecretStepTests(ManagerCase):
    """The file of the cluster's secret, changed by its program."""

    def test_two_programs_open_to_each_other_at_every_step(self) -> None:
        from xjrelay.security.secret import load_secret, rotate

        path = Path(self.mktemp()) / "cluster.secret"
        one, other = load_secret(path), load_secret(path)
        first = path.read_text()
        for step, accepted in (("begin", 2), ("switch", 2), ("finish", 1)):
            self.assertEqual(rotate(path, step), accepted)
            for reader in (one, other):
                reader.become(load_secret(path))
                self.assertEqual((self.opens(one, other), self.opens(other, one)), (True, True), step)
        self.assertNotIn(path.read_text(), first)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def opens(self, one: ClusterSecret, other: ClusterSecret) -> bool:
        client, server = one.client(), other.server()
        client.finish(server.final(client.final(server.first(client.first(), client.mechanism))))
        return True

    def test_a_step_out_of_turn_changes_nothing(self) -> None:
        from xjrelay.security.secret import SecretError, load_secret, rotate

        path = Path(self.mktemp()) / "cluster.secret"
        self.assertRaises(SecretError, rotate, path, "begin")
        load_secret(path)
        before = path.read_bytes()
        for step in ("switch", "finish"):
            self.assertRaises(SecretError, rotate, path, step)
        self.assertEqual(path.read_bytes(), before)
        rotate(path, "begin")
        self.assertRaises(SecretError, rotate, path, "begin")

    def test_a_file_that_can_not_be_written_says_what_to_do(self) -> None:
        from xjrelay.servers.reloading import SecretChange
        from xjrelay.servers.startup import Program

        options = {"cluster-secret-file": Path(self.mktemp()) / "none", "log-format": "text"}
        change = SecretChange(Program("manager", options), execute)
        error = self.failureResultOf(Deferred.fromCoroutine(change.step("begin")), RemoteError).value
        self.assertEqual((error.code, "no cluster secret" in error.msg), (Code.CONFLICT, True))


class PageTests(ActsCase):
    """``docs/operating.md``."""

    def test_the_table_is_the_code_s(self) -> None:
        text = PAGE.read_text(encoding="utf-8")
        for name, act in self.acts.items():
            self.assertIn(f"| `{name}` | {act.scope} | {act.doc} |\n", text)
        asked = {option.name: option.default for option in TABLE}
        flat = " ".join(text.split())
        for said in (
            f"{asked['admin-failures']} refusals an hour (`--admin-failures`)",
            f"does {asked['admin-requests']} acts a minute (`--admin-requests`)",
            f"fill it with {MAX_SILENCED} lines an hour at most",
        ):
            self.assertIn(said, flat)
