# SPDX-License-Identifier: MIT
"""What measured costs come to: users, a rate, money, and what runs out first."""

from __future__ import annotations

import io
import json
from argparse import ArgumentParser, Namespace
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli import plan as command
from xjrelay.cli.options import Call, UsageError
from xjrelay.cli.screen import Screen
from xjrelay.prove.capacity import GROUP, RETURN, SHARE, SPARE_FILES, Costs, Habits, Machine, plan

MACHINE = Machine(cores=2, memory=2**30, files=1_000_000)
COSTS = Costs(
    message=100e-6,
    message_elsewhere=0.0,
    login=2e-3,
    login_relay=1e-3,
    rest=4e-6,
    rest_relay=2e-6,
    stored=50e-6,
    stored_relay=50e-6,
    new_key=5e-3,
    sync=1e-3,
    memory_manager=8192.0,
    memory_relay=8192.0,
    base=200e6,
)
HABITS = Habits(max_links=1_000_000)


class CapacityTests(SynchronousTestCase):
    """The arithmetic."""

    def first(self, what: str, users: int, machine: Machine = MACHINE, **costs: float) -> None:
        """What runs out first, and when."""
        bound = plan(machine, replace(COSTS, **costs), HABITS).bounds[0]
        self.assertIn(what, bound.what)
        self.assertAlmostEqual(bound.users, users, delta=users / 1000 + 1)

    def test_everybody_has_to_come_back_in_time(self) -> None:
        self.first("within 60 s", int(RETURN / 2e-3))

    def test_memory(self) -> None:
        machine = replace(MACHINE, memory=400 * 10**6)
        self.first("memory", int((SHARE * 400e6 - 200e6) / 16384), machine)

    def test_files_and_the_listeners_own_limit(self) -> None:
        self.first("files a process", 1024 - SPARE_FILES, replace(MACHINE, files=1024))
        made = plan(MACHINE, COSTS, Habits(max_links=500))
        self.assertEqual((made.users, made.bounds[0].what), (500, "connections of the manager (--max-links)"))

    def test_the_relay(self) -> None:
        each = 2e-6 + HABITS.rate * (0.7 * 0.1 + 0.3 * 50e-6) + HABITS.login_rate * 1e-9
        self.first("processor of the relay", int(SHARE / each), message=0.1, login=1e-9, login_relay=1e-9)

    def test_the_manager(self) -> None:
        each = 2e-6 + HABITS.rate * 0.3 * 0.5 + HABITS.login_rate * 1e-9
        self.first("processor of the manager", int(SHARE / each), stored=0.5, login=1e-9, login_relay=1e-9)

    def test_the_disk(self) -> None:
        users = SHARE * GROUP / 30.0 / (0.3 * HABITS.rate + HABITS.login_rate)
        self.first("syncs of the disk", int(users), sync=30.0)

    def test_a_machine_too_small_for_anybody(self) -> None:
        made = plan(replace(MACHINE, memory=10**8), COSTS, HABITS)
        self.assertEqual((made.users, made.price(5)), (0, float("inf")))

    def test_more_cores_are_more_relays(self) -> None:
        self.assertEqual(
            [plan(replace(MACHINE, cores=n), COSTS, HABITS).relays for n in (1, 2, 8)], [1, 1, 7]
        )

    def test_a_rate_and_a_price(self) -> None:
        made = plan(replace(MACHINE, files=10_000 + SPARE_FILES), COSTS, HABITS)
        self.assertEqual(made.users, 10_000)
        self.assertAlmostEqual(made.rate, 10_000 * 40 * 0.1 / 3600)
        self.assertAlmostEqual(made.monthly, 10_000 * 40 * 30.4)
        self.assertAlmostEqual(made.price(5.0), 5.0 / (10_000 * 40 * 30.4))
        self.assertAlmostEqual(made.most, SHARE / 100e-6)


class CommandTests(SynchronousTestCase):
    """``xj plan`` around it; the measuring itself is tests.system.test_plan's."""

    def setUp(self) -> None:
        self.out, self.errors = io.StringIO(), io.StringIO()

    def args(self, *typed: str) -> Namespace:
        parser = ArgumentParser()
        command.add_options(parser)
        return parser.parse_args(typed)

    def say(self, *typed: str, as_json: bool = False) -> str:
        """What is printed of :data:`COSTS`."""
        call = Call(self.args(*typed), Screen(as_json, self.out, self.errors), {})
        command.show(call, MACHINE, COSTS, plan(MACHINE, COSTS, HABITS))
        return self.out.getvalue()

    def test_a_person_reads_users_a_rate_and_what_runs_out(self) -> None:
        said = self.say("--price", "5")
        self.assertIn("It can take 30,000 users who send 40 messages a day each.", said)
        self.assertIn("What runs out first: logins at the manager, all within 60 s of a restart.", said)
        self.assertIn("At 5 a month that is 1.4e-07 a message.", said)
        self.assertIn("29,000 times", said)

    def test_without_a_price_nothing_is_said_of_money(self) -> None:
        self.assertNotIn("a month that is", self.say())

    def test_a_script_reads_the_same(self) -> None:
        value = json.loads(self.say("--price", "5", as_json=True))
        self.assertEqual(value["users"], 30_000)
        self.assertEqual(value["first"], value["bounds"][0])
        self.assertEqual(value["machine"]["cores"], 2)
        self.assertAlmostEqual(value["price_a_message"], 5 / value["messages_a_month"])

    def test_habits_that_nobody_has(self) -> None:
        for wrong in (
            "--seconds=1",
            "--messages=0",
            "--busiest=101",
            "--away=-1",
            "--price=-1",
            "--logins=-1",
            "--memory=0",
        ):
            with self.assertRaises(UsageError):
                command.habits(self.args(wrong))
        said = command.habits(
            self.args("--busiest", "20", "--away", "50", "--messages", "10", "--logins", "2")
        )
        self.assertEqual((said.busiest, said.away, said.messages, said.logins), (0.2, 0.5, 10, 2))
