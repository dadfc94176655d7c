# SPDX-License-Identifier: MIT
"""How often a password may be guessed, an account made, a contact added; and by whose leave."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, execute

from tests.servers.manager_rig import PASSWORD, SECRET, Frame, ManagerCase, Rig, Slow, Wire
from xjrelay.net.context import Limits
from xjrelay.security.invitations import PURPOSE, invite
from xjrelay.security.scram import MECHANISM
from xjrelay.servers.manager.state import Policy

HERE, THERE = "192.0.2.1", "192.0.2.2"
CHEAP: dict[str, Any] = {"key_rounds": 4096, "allow_plaintext": True}


class LimitCase(ManagerCase):
    """A manager that takes plain passwords from anywhere."""

    def start(self, limits: Limits | None = None, **policy: Any) -> None:
        self.rig = Rig(policy=Policy(**{**CHEAP, **policy}), limits=limits)

    def guess(self, name: str, password: str, host: str = HERE, wire: Wire | None = None) -> Frame:
        wire = wire or self.rig.client(host)
        _, answer = self.rig.log_in(name, wire=wire, password=password, replace=True)
        wire.hang_up()
        return answer

    def codes(self, count: int, name: str = "esa", password: str = "wrong", host: str = HERE) -> list[int]:
        return [self.guess(name, password, host)["code"] for _ in range(count)]

    def limited(self, option: str) -> int:
        return self.rig.manager.context.counters.limited[option]


class GuessingTests(LimitCase):
    """Back-off by account."""

    def setUp(self) -> None:
        self.start(login_failures=2, login_backoff=60.0)
        self.rig.register("esa").hang_up()

    def test_after_some_wrong_passwords_the_next_login_waits(self) -> None:
        self.assertEqual(self.codes(5), [400, 400, 400, 429, 429])
        answer = self.guess("esa", "wrong")
        self.assertEqual((answer["code"], answer["retry_after"]), (429, 1))
        self.assertEqual(self.limited("login-failures"), 3)

    def test_it_waits_twice_as_long_each_time_up_to_a_ceiling(self) -> None:
        self.codes(3)
        waits = []
        for _ in range(8):
            waits.append(self.guess("esa", "wrong")["retry_after"])
            self.rig.advance(waits[-1])
            self.assertEqual(self.guess("esa", "wrong")["code"], 400)
        self.assertEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60])

    def test_the_right_password_forgives(self) -> None:
        self.codes(2)
        self.assertEqual(self.guess("esa", PASSWORD)["code"], 200)
        self.assertEqual(self.codes(3, host=THERE), [400, 400, 400])

    def test_the_right_password_waits_too_where_the_account_is_not_at_home(self) -> None:
        self.codes(3)
        self.assertEqual(self.guess("esa", PASSWORD)["code"], 429)
        self.rig.advance(1)
        self.assertEqual(self.guess("esa", PASSWORD)["code"], 200)

    def test_nobody_is_locked_out_at_home_by_a_stranger_elsewhere(self) -> None:
        self.assertEqual(self.guess("esa", PASSWORD, HERE)["code"], 200)
        self.codes(4, host=THERE)
        self.assertEqual(self.guess("esa", PASSWORD, THERE)["code"], 429)
        self.assertEqual(self.guess("esa", PASSWORD, HERE)["code"], 200)

    def test_other_accounts_are_not_touched(self) -> None:
        self.rig.register("fajar").hang_up()
        self.codes(4)
        self.assertEqual(self.guess("fajar", PASSWORD)["code"], 200)

    def test_many_at_once_are_not_many_free_ones(self) -> None:
        slow = self.rig.manager.in_thread = Slow()
        wires = [self.rig.client(HERE) for _ in range(20)]
        for wire in wires:
            wire.say({"type": "auth", "username": "esa", "password": "wrong"})
        self.assertEqual(len(slow.waiting), 3)
        while slow.waiting:
            slow.finish()
        self.assertEqual(sorted(wire.take()[0]["code"] for wire in wires), [400] * 3 + [429] * 17)

    def test_scram_waits_at_its_first_step_and_counts_at_its_last(self) -> None:
        def scram(password: str) -> int:
            wire = self.rig.client(HERE)
            code = int(self.rig.scram(wire, "esa", password, replace=True)[-1]["code"])
            wire.hang_up()
            return code

        self.assertEqual([scram("wrong") for _ in range(4)], [400, 400, 400, 429])
        self.assertEqual(scram(PASSWORD), 429)
        self.rig.advance(1)
        self.assertEqual(scram(PASSWORD), 200)

    def test_a_conversation_that_is_given_up_costs_the_account_nothing(self) -> None:
        for _ in range(9):
            wire = self.rig.client(HERE)
            wire.say({"type": "auth", "mechanism": MECHANISM, "data": "n,,n=esa,r=abcdefgh"})
            self.assertIn("data", wire.take()[0])
            wire.hang_up()
        self.assertEqual(self.guess("esa", PASSWORD)["code"], 200)

    def test_last_steps_of_conversations_begun_before_wait_as_well(self) -> None:
        wires = [self.rig.client(HERE) for _ in range(9)]
        for wire in wires:
            wire.say({"type": "auth", "mechanism": MECHANISM, "data": "n,,n=esa,r=abcdefgh"})
        firsts = [wire.take()[0]["data"].split(",")[0] for wire in wires]
        answers = [
            wire.ask({"type": "auth", "mechanism": MECHANISM, "data": f"c=biws,{nonce},p={'A' * 43}="})
            for wire, nonce in zip(wires, firsts, strict=True)
        ]
        self.assertEqual([answer["code"] for answer in answers], [400] * 3 + [429] * 6)

    def test_names_nobody_has_wait_alike(self) -> None:
        self.assertEqual(self.codes(4, "nobody"), [404, 404, 404, 429])


class StormTests(LimitCase):
    """Many logins at once."""

    def test_who_is_there_and_who_logs_in_by_scram_does_not_wait(self) -> None:
        self.start(address_failures=10**6, login_failures=10**6)
        esa = self.rig.register("esa")
        self.rig.register("fajar").hang_up()
        slow = self.rig.manager.in_thread = Slow()
        storm = [self.rig.client(HERE) for _ in range(200)]
        for number, wire in enumerate(storm):
            wire.say({"type": "auth", "username": "esa", "password": "wrong", "resource": str(number)})
        self.assertEqual(len(slow.waiting), self.rig.manager.policy.logins_at_once)
        self.assertEqual(self.rig.manager.slow_turns.waiting, 200 - len(slow.waiting))
        self.assertEqual(esa.ask({"type": "ping"}), {"type": "pong"})
        self.assertEqual(self.rig.scram(self.rig.client(THERE), "fajar")[-1]["code"], 200)
        while slow.waiting:
            slow.finish()
        self.assertEqual({wire.take()[0]["code"] for wire in storm}, {400})

    def test_one_link_has_one_derivation_at_a_time(self) -> None:
        self.start()
        slow = self.rig.manager.in_thread = Slow()
        wire = self.rig.client(HERE)
        ask = {"type": "auth", "password": "x", "register": True}
        wire.say(*({**ask, "username": name} for name in "abcdef"))
        self.assertEqual(len(slow.waiting), 1)


class AddressTests(LimitCase):
    """Limits by address."""

    def test_so_many_wrong_passwords_an_hour(self) -> None:
        self.start(address_failures=3)
        for name in "abcde":
            self.rig.register(name).hang_up()
        answers = [self.guess(name, "wrong")["code"] for name in "abcde"]
        self.assertEqual(answers, [400, 400, 400, 429, 429])
        self.assertEqual(self.guess("d", "wrong", THERE)["code"], 400)
        self.assertEqual(self.limited("address-failures"), 2)
        self.rig.clock.advance(1201)
        self.assertEqual([self.guess("e", "wrong")["code"] for _ in range(2)], [400, 429])

    def test_right_passwords_are_not_counted(self) -> None:
        self.start(address_failures=1)
        self.rig.register("esa").hang_up()
        self.assertEqual(self.codes(5, password=PASSWORD), [200] * 5)

    def test_so_many_new_accounts_an_hour(self) -> None:
        self.start(address_registrations=2)
        self.assertEqual([self.register(name) for name in "abc"], [201, 201, 429])
        self.assertEqual(self.register("c", host=THERE), 201)
        self.assertEqual(self.limited("address-registrations"), 1)
        self.rig.clock.advance(1801)
        self.assertEqual([self.register(name) for name in "de"], [201, 429])

    def test_a_registration_that_makes_no_account_is_not_counted(self) -> None:
        self.start(address_registrations=1)
        self.rig.register("esa").hang_up()
        self.assertEqual([self.register("esa") for _ in range(3)], [409] * 3)
        self.assertEqual(self.register("fajar"), 201)

    def test_this_machine_is_left_alone_unless_it_is_asked_for(self) -> None:
        for limited in (False, True):
            self.start(
                Limits(limit_loopback=limited), address_failures=1, address_registrations=1, login_failures=99
            )
            self.assertEqual(
                [self.register(name, "127.0.0.1") for name in "ab"], [201, 429 if limited else 201]
            )
            codes = self.codes(2, "a", host="127.0.0.1")
            self.assertEqual(codes, [400, 429 if limited else 400])

    def register(self, name: str, host: str = HERE) -> int:
        wire = self.rig.client(host)
        answer = wire.ask({"type": "auth", "username": name, "password": PASSWORD, "register": True})
        wire.hang_up()
        return int(answer["code"])


class RosterTests(LimitCase):
    """Contacts."""

    def test_so_many(self) -> None:
        self.start(max_roster=1)
        esa, _, _ = self.rig.online("esa", "fajar", "gita")
        self.assertEqual(self.rig.add(esa, "esa", "fajar")[-1]["type"], "result")
        (refused,) = self.rig.add(esa, "esa", "gita")
        self.assert_condition(refused, "resource-constraint")
        self.assertEqual(self.limited("max-roster"), 1)
        self.assertEqual(self.rig.add(esa, "esa", "fajar", name="F.")[-1]["type"], "result")


class InvitationTests(LimitCase):
    """``--registration invite``."""

    def setUp(self) -> None:
        self.start(registration="invite")
        self.key = SECRET.keys(PURPOSE)[0]

    def register(self, name: str, invitation: object = None) -> tuple[int, str]:
        request: Frame = {"type": "auth", "username": name, "password": PASSWORD, "register": True}
        if invitation is not None:
            request["invitation"] = invitation
        answer = self.rig.client().ask(request)
        return answer["code"], answer["msg"]

    def code(self, count: int = 1, days: float = 1.0, key: bytes | None = None) -> str:
        now = self.rig.clock.seconds()
        return invite(key or self.key, count, now + days * 86400, self.rig.random.randbytes)

    def test_nobody_without_one(self) -> None:
        self.assertEqual(self.register("esa"), (403, "an invitation is needed"))
        self.assertEqual(self.register("esa", "A" * 43), (403, "the invitation is wrong"))
        self.assertEqual(self.register("esa", self.code(key=b"x" * 32)), (403, "the invitation is wrong"))
        self.assertEqual(self.register("esa", 5)[0], 400)

    def test_it_is_good_for_so_many(self) -> None:
        code = self.code(2)
        self.assertEqual([self.register(name, code)[0] for name in ("esa", "fajar")], [201, 201])
        spent = (403, "the invitation has been used as often as it may")
        self.assertEqual(self.register("gita", code), spent)
        self.assertEqual(self.register("gita", self.code())[0], 201)

    def test_a_name_that_is_taken_does_not_use_it(self) -> None:
        code = self.code()
        self.register("esa", self.code())
        self.assertEqual(self.register("esa", code)[0], 409)
        self.assertEqual(self.register("fajar", code)[0], 201)

    def test_it_expires(self) -> None:
        code = self.code(days=1)
        self.rig.clock.advance(86401)
        self.assertEqual(self.register("esa", code), (403, "the invitation has expired"))

    def test_guessing_one_costs_no_derivation(self) -> None:
        slow = self.rig.manager.in_thread = Slow()
        self.register("esa", "A" * 43)
        self.assertEqual(slow.waiting, [])

    def test_closed_is_closed_and_open_needs_none(self) -> None:
        self.start(registration="closed")
        self.assertEqual(self.register("esa", self.code()), (403, "Registration is closed"))
        self.start()
        self.assertEqual(self.register("esa", "whatever")[0], 201)


class HidingTests(LimitCase):
    """``--hide-accounts``: what an unknown user and a wrong password cost is the same."""

    def setUp(self) -> None:
        self.start(hide_accounts=True, login_failures=9)
        self.rig.register("esa").hang_up()
        self.work: list[str] = []
        accounts, get = self.rig.stores.accounts, self.rig.stores.accounts.get

        def counted_get(key: str) -> Deferred[Any]:
            self.work.append("read")
            return get(key)

        def counted_thread(function: Any, *args: Any) -> Deferred[Any]:
            rounds = next(one.iterations for one in args if hasattr(one, "iterations"))
            self.work.append(f"{function.__name__} of {rounds} rounds")
            return execute(function, *args)

        self.patch(accounts, "get", counted_get)
        self.rig.manager.in_thread = counted_thread

    def spent(self) -> list[str]:
        work, self.work = self.work, []
        return work

    def test_by_password(self) -> None:
        known = self.guess("esa", "wrong")
        work = self.spent()
        self.assertEqual(work, ["read", "verify of 4096 rounds"])
        self.assertEqual((self.guess("nobody", "wrong"), self.spent()), (known, work))
        self.assertEqual(known["code"], 401)

    def test_by_scram(self) -> None:
        heard, work = {}, {}
        for name in ("esa", "nobody"):
            wire = self.rig.client(HERE)
            wire.say({"type": "auth", "mechanism": MECHANISM, "data": f"n,,n={name},r=abcdefgh"})
            challenge = dict(part.split("=", 1) for part in wire.take()[0]["data"].split(","))
            final = f"c=biws,r={challenge['r']},p={'A' * 43}="
            answer = wire.ask({"type": "auth", "mechanism": MECHANISM, "data": final})
            heard[name] = (challenge["i"], len(challenge["s"]), len(challenge["r"]), answer)
            work[name] = self.spent()
        self.assertEqual(heard["esa"], heard["nobody"])
        self.assertEqual(work["esa"], work["nobody"])

    def test_the_back_off_is_the_same(self) -> None:
        self.assertEqual(self.codes(12, "esa"), self.codes(12, "nobody"))
