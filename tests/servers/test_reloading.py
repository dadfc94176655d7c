# SPDX-License-Identifier: MIT
"""SIGHUP: what changes while a program runs, what waits for a restart, and what is said of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.net.lines import LogLines
from xjrelay.net.context import Limits
from xjrelay.security.secret import ClusterSecret
from xjrelay.servers.manager.state import Policy
from xjrelay.servers.manager.tap import make_service as make_manager
from xjrelay.servers.option_table import AGAIN, APPLIED, RESTART, TABLE, Option
from xjrelay.servers.options import options_for
from xjrelay.servers.relay.switch import RelaySettings
from xjrelay.servers.relay.tap import make_service as make_relay
from xjrelay.servers.reloading import Reloading, rereading
from xjrelay.servers.security import hanging_up
from xjrelay.servers.startup import Program
from xjrelay.servers.tracker.tap import make_service as make_tracker

MAKERS = {"tracker": make_tracker, "manager": make_manager, "relay": make_relay}
WORDS = {"registration": '"closed"', "default-bio": '"halo"'}


def another(option: Option, program: str) -> str:
    """A value in TOML that is not the default."""
    if option.name in WORDS:
        return WORDS[option.name]
    default = option.default_for(program)
    return "true" if default is False else str(int(default) + 7)


class ReloadingCase(SynchronousTestCase):
    """A program on a file of options, not started."""

    def setUp(self) -> None:
        self.log = LogLines(self)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "x.toml"
        self.file.write_text("")

    def program(self, name: str) -> Program:
        options = options_for(name)()
        options.environ = {}
        secret = self.folder / "cluster.secret"
        said = {"config": self.file, "data-dir": self.folder / name, "cluster-secret-file": secret}
        options.parseOptions(["--listen", "tcp:0", *(f"--{one}={path}" for one, path in said.items())])
        program = MAKERS[name](options, MemoryReactorClock())
        program.reloads.insert(0, Reloading(options, program.applies))
        return program

    def said(self) -> list[str]:
        """The log since the last time."""
        lines, self.log.lines = self.log.lines, []
        return lines

    def hang_up(self, program: Program) -> None:
        for reload in program.reloads:
            reload()


class OptionsTests(ReloadingCase):
    """The table's third column is what happens."""

    def test_each_that_is_applied_is_in_force_afterwards(self) -> None:
        for name in MAKERS:
            program = self.program(name)
            told: list[Any] = []
            program.applies.append(told.append)
            asked = [one for one in TABLE if one.belongs_to(name) and one.reloads == APPLIED]
            self.file.write_text("".join(f"{one.name} = {another(one, name)}\n" for one in asked))
            self.hang_up(program)
            for option in asked:
                self.assertNotEqual(told[-1][option.name], option.default_for(name), option.name)
                self.assertIn("x.toml", told[-1].sources[option.name])
            self.file.write_text("")

    def test_the_program_goes_by_them(self) -> None:
        self.file.write_text("")
        relay, manager = self.program("relay"), self.program("manager")
        self.file.write_text("max-frame = 1000\nresume = 7\nmax-in-flight = 3\n")
        self.hang_up(relay)
        found: Any = relay.getServiceNamed("relay")
        self.assertEqual(found.relay.context.limits.max_frame, 1000)
        settings = found.relay.switch.settings
        self.assertEqual((settings.resume, settings.max_in_flight), (7.0, 3))
        self.file.write_text('registration = "closed"\nmailbox-max = 3\n')
        self.hang_up(manager)
        served: Any = manager.getServiceNamed("manager")
        self.assertEqual(served._manager.policy.registration, "closed")
        self.assertEqual(served._manager.post._most, 3)

    def test_what_needs_a_restart_is_named_each_time_and_changes_nothing(self) -> None:
        program = self.program("relay")
        before = dict(program.options)
        self.file.write_text("lease = 5\nmesh-links = 9\n")
        for _ in range(2):
            self.hang_up(program)
            self.assertIn("changed after a restart only: --lease, --mesh-links", self.said())
        self.assertEqual(dict(program.options), before)

    def test_a_wrong_file_changes_nothing_and_says_the_line(self) -> None:
        program = self.program("relay")
        self.file.write_text("resume = 5\nresum = 1\n")
        self.hang_up(program)
        self.assertEqual(program.options["resume"], 60.0)
        self.assertTrue(any(f"{self.file}:2" in line for line in self.said()))
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    def test_nothing_changed_says_nothing(self) -> None:
        self.hang_up(program := self.program("tracker"))
        self.said()
        self.hang_up(program)
        self.assertEqual(self.said(), [])

    def test_only_a_program_with_a_command_line_reads_it_again(self) -> None:
        program = Program("node", {"log-format": "text"})
        hanging_up(program, MemoryReactorClock())
        self.assertEqual(program.reloads, [])


class SecretTests(ReloadingCase):
    """The cluster's secret, read again."""

    def test_another_secret_is_proved_and_accepted_by_what_is_there_already(self) -> None:
        file = self.folder / "cluster.secret"
        options = {"cluster-secret-file": file}
        secret = ClusterSecret("the-first-secret-of-all")
        invited, client = secret.keys("x"), secret.client
        file.write_text("the-second-secret-of-all\nthe-first-secret-of-all\n")
        file.chmod(0o600)
        rereading(secret, options)()
        self.assertEqual(secret.keys("x")[1:], invited)
        proof, server = client(), ClusterSecret("the-second-secret-of-all").server()
        proof.finish(server.final(proof.final(server.first(proof.first(), proof.mechanism))))
        self.said()
        rereading(secret, options)()
        self.assertEqual(self.said(), [])

    def test_a_secret_that_can_not_be_had_leaves_the_former(self) -> None:
        file = self.folder / "cluster.secret"
        file.write_text("short\n")
        file.chmod(0o600)
        secret = ClusterSecret("the-first-secret-of-all")
        before = secret.keys("x")
        rereading(secret, {"cluster-secret-file": file})()
        self.assertEqual(secret.keys("x"), before)
        self.assertIn("the former cluster secret stays in use", " ".join(self.said()))


class TableTests(SynchronousTestCase):
    """The table against what it is about."""

    def test_every_word_is_one_of_three(self) -> None:
        self.assertEqual({option.reloads for option in TABLE}, {APPLIED, AGAIN, RESTART})

    def test_defaults_are_those_of_the_rooms(self) -> None:
        asked = {option.name: option for option in TABLE}
        for settings, program in ((RelaySettings(), "relay"), (Policy(), "manager"), (Limits(), "relay")):
            for name in type(settings).__dataclass_fields__:
                default = asked[name.replace("_", "-")].default_for(program)
                self.assertEqual(getattr(settings, name), default, name)
