# SPDX-License-Identifier: MIT
"""A storm of logins: some are worked on at a time, the others wait in order, and none is refused."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.servers.manager_rig import PASSWORD, Rig, Slow, Wire
from xjrelay.client.channel import PING_INTERVAL
from xjrelay.client.manager_side import LOGIN_TIMEOUT
from xjrelay.security.scram import MECHANISM
from xjrelay.servers.manager.protocol import TURN_TIMEOUT
from xjrelay.servers.manager.state import Policy
from xjrelay.servers.manager.turns import PING_EVERY, Turns
from xjrelay.wire.errors import CloseReason


class Somebody:
    """A link that waits."""

    def __init__(self) -> None:
        self.pings = 0

    def ping(self) -> None:
        self.pings += 1


class TurnTests(SynchronousTestCase):
    """Turns by themselves."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.most = 2
        self.turns = Turns(lambda: self.most, self.clock)
        self.came: list[int] = []

    def wait(self, number: int, begun: bool = False) -> Somebody:
        """Take a turn; where it has to be waited for, its number is kept when it comes."""
        link = Somebody()
        turn = self.turns.take(link, begun=begun)
        if turn is None:
            self.came.append(number)
        else:
            turn.addCallback(lambda came: self.came.append(number if came else -number))
        return link

    def test_so_many_at_a_time_then_in_order(self) -> None:
        for number in range(5):
            self.wait(number)
        self.assertEqual((self.came, self.turns.waiting), ([0, 1], 3))
        self.turns.leave()
        self.assertEqual(self.came, [0, 1, 2])
        self.turns.leave()
        self.turns.leave()
        self.assertEqual((self.came, self.turns.waiting), ([0, 1, 2, 3, 4], 0))

    def test_who_has_begun_goes_first(self) -> None:
        for number in range(4):
            self.wait(number)
        self.wait(9, begun=True)
        self.turns.leave()
        self.assertEqual(self.came, [0, 1, 9])

    def test_who_is_gone_has_no_turn(self) -> None:
        links = [self.wait(number) for number in range(5)]
        self.turns.forget(links[2])
        self.turns.leave()
        self.assertEqual((self.came, self.turns.waiting), ([0, 1, -2, 3], 1))

    def test_thousands_whose_step_ends_at_once_are_no_recursion(self) -> None:
        self.most = 1
        self.wait(0)
        for _ in range(5000):
            turn = self.turns.take(Somebody(), begun=False)
            assert isinstance(turn, Deferred)
            turn.addCallback(lambda _: self.turns.leave())
        self.turns.leave()
        self.assertEqual(self.turns.waiting, 0)
        self.assertIsNone(self.turns.take(Somebody(), begun=False))

    def test_more_at_a_time_when_an_operator_says_so(self) -> None:
        for number in range(6):
            self.wait(number)
        self.most = 4
        self.turns.leave()
        self.assertEqual(self.came, [0, 1, 2, 3, 4])

    def test_who_waits_is_shown_life_and_nobody_else(self) -> None:
        links = [self.wait(number) for number in range(3)]
        self.clock.pump([PING_EVERY] * 2)
        self.assertEqual([link.pings for link in links], [0, 0, 2])
        self.turns.leave()
        self.clock.pump([PING_EVERY] * 2)
        self.assertEqual([link.pings for link in links], [0, 0, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_client_does_not_take_the_wait_for_death(self) -> None:
        self.assertLess(PING_EVERY, 2 * PING_INTERVAL)
        self.assertLess(LOGIN_TIMEOUT, TURN_TIMEOUT)


class StormTests(SynchronousTestCase):
    """Turns in a manager."""

    def storm(self, count: int) -> tuple[Rig, Slow, list[Wire]]:
        """New users who all want an account, each on a connection of its own."""
        rig = Rig(policy=Policy(key_rounds=4096, logins_at_once=3, address_registrations=10**6))
        slow = rig.manager.in_thread = Slow()
        wires = [rig.client() for _ in range(count)]
        for number, wire in enumerate(wires):
            wire.say({"type": "auth", "username": f"u{number}", "password": PASSWORD, "register": True})
        self.addCleanup(self.finish, rig, slow)
        return rig, slow, wires

    def finish(self, rig: Rig, slow: Slow) -> None:
        """Every derivation ends, and those that come after it."""
        while slow.waiting:
            slow.finish()
            rig.settle()

    def test_all_are_through_and_none_is_refused(self) -> None:
        rig, slow, wires = self.storm(200)
        self.assertEqual((len(slow.waiting), rig.manager.slow_turns.waiting), (3, 197))
        self.finish(rig, slow)
        self.assertEqual([[answer["code"] for answer in wire.take()] for wire in wires], [[201]] * 200)

    def test_the_wait_is_not_the_users_time(self) -> None:
        rig, slow, wires = self.storm(6)
        rig.advance(100)  # more than a login may take
        self.assertEqual([wire.open for wire in wires], [False] * 3 + [True] * 3)
        self.finish(rig, slow)
        self.assertEqual([wire.take()[0]["code"] for wire in wires[3:]], [201] * 3)

    def test_who_leaves_the_queue_costs_nothing(self) -> None:
        rig, slow, wires = self.storm(6)
        for wire in wires[3:5]:
            wire.link.abort(CloseReason.LOST)
        rig.settle()
        self.assertEqual(rig.manager.slow_turns.waiting, 1)
        self.finish(rig, slow)
        self.assertEqual(wires[5].take()[0]["code"], 201)
        self.assertEqual(len(rig.manager.users), 4)

    def test_a_proof_waits_for_no_derivation(self) -> None:
        rig, _, wires = self.storm(50)
        rig.manager.policy = replace(rig.manager.policy, logins_at_once=1)
        wire = rig.client()
        answer = wire.ask({"type": "auth", "mechanism": MECHANISM, "data": "n,,n=nobody,r=abcdefgh"})
        self.assertEqual(answer["code"], 404)
        self.assertEqual([wire.take() for wire in wires], [[]] * 50)
