# SPDX-License-Identifier: MIT
"""Options: where a value comes from, what a wrong one says, and the page that shows them."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.servers import kinds
from xjrelay.servers.option_table import ALL, TABLE
from xjrelay.servers.options import ProgramOptions, options_for, page_table
from xjrelay.wire.endpoints import Address

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "options.md"
PROGRAMS = ALL.split()


class OptionsTestCase(SynchronousTestCase):
    """Parses command lines in an environment of the test's own."""

    def setUp(self) -> None:
        self.environ: dict[str, str] = {}
        self.file = Path(self.mktemp())

    def parse(self, *arguments: str, program: str = "relay") -> ProgramOptions:
        options = options_for(program)()
        options.environ = self.environ
        options.parseOptions(list(arguments))
        return options

    def refusal(self, *arguments: str, program: str = "relay") -> str:
        """The one line on standard error that the exit with status 2 leaves."""
        errors, output = io.StringIO(), io.StringIO()
        with mock.patch.object(sys, "stderr", errors), mock.patch.object(sys, "stdout", output):
            error = self.assertRaises(SystemExit, self.parse, *arguments, program=program)
        self.assertEqual((error.code, output.getvalue()), (2, ""))
        self.assertEqual(errors.getvalue().count("\n"), 1)
        return errors.getvalue()

    def write(self, text: str) -> tuple[str, str]:
        self.file.write_text(text, encoding="utf-8")
        return "--config", str(self.file)


class PrecedenceTests(OptionsTestCase):
    """Command line, environment, file, default."""

    def test_the_default_when_nobody_says_anything(self) -> None:
        options = self.parse()
        self.assertEqual((options["resume"], options.sources["resume"]), (60.0, "default"))
        self.assertEqual(options["tracker"], [Address("127.0.0.1", 5000)])

    def test_each_source_goes_before_the_next(self) -> None:
        config = self.write("resume = 1\nmax-queue = 1\nmax_frame = 1\n")
        self.environ.update(XJ_RESUME="2", XJ_MAX_QUEUE="2")
        options = self.parse("--resume", "3", *config)
        self.assertEqual([options[name] for name in ("resume", "max-queue", "max-frame")], [3.0, 2, 1])
        self.assertEqual(options.sources["resume"], "--resume")
        self.assertEqual(options.sources["max-queue"], "XJ_MAX_QUEUE")
        self.assertEqual(options.sources["max-frame"], f"{self.file}:3: max_frame")

    def test_a_repeatable_option_from_each_source(self) -> None:
        expected = [Address("a", 1), Address("::1", 2)]
        self.assertEqual(self.parse("--tracker", "a:1", "--tracker=[::1]:2")["tracker"], expected)
        self.assertEqual(self.parse(*self.write('tracker = ["a:1", "[::1]:2"]'))["tracker"], expected)
        self.environ["XJ_TRACKER"] = "a:1, [::1]:2"
        self.assertEqual(self.parse()["tracker"], expected)

    def test_a_flag_from_each_source(self) -> None:
        name = "allow-legacy-clients"
        self.assertEqual(self.parse()[name], False)
        self.assertEqual(self.parse("--" + name)[name], True)
        self.assertEqual(self.parse(*self.write("allow_legacy_clients = true"))[name], True)
        self.environ["XJ_ALLOW_LEGACY_CLIENTS"] = "on"
        self.assertEqual(self.parse()[name], True)

    def test_the_file_itself_may_be_named_by_the_environment(self) -> None:
        self.environ["XJ_CONFIG"] = self.write("resume = 5")[1]
        self.assertEqual(self.parse()["resume"], 5.0)

    def test_each_program_listens_on_its_own_port(self) -> None:
        listens = {program: self.parse(program=program)["listen"] for program in PROGRAMS}
        expected = {"tracker": 5000, "manager": 5001, "relay": 5002, "node": 5000, "peer": 5000}
        self.assertEqual(listens, {program: [f"tcp:{port}"] for program, port in expected.items()})

    def test_a_default_is_not_shared_between_programs(self) -> None:
        self.parse()["tracker"].append(("b", 2))
        self.assertEqual(self.parse()["tracker"], [Address("127.0.0.1", 5000)])


class RefusalTests(OptionsTestCase):
    """One clear line, exit status 2, no help on standard output."""

    def test_unknown_missing_and_superfluous(self) -> None:
        self.assertIn("--foo not recognized", self.refusal("--foo"))
        self.assertIn("--resume requires argument", self.refusal("--resume"))
        self.assertIn("unexpected argument 'foo'", self.refusal("foo"))
        self.assertIn("--relays not recognized", self.refusal("--relays", "3"))

    def test_a_wrong_value_says_where_it_was_said(self) -> None:
        self.assertIn("xjrelay: --resume: 'x' is not a number of seconds", self.refusal("--resume", "x"))
        self.assertIn(f"{self.file}:2: resume: ", self.refusal(*self.write("# one\nresume = -1\n")))
        self.environ["XJ_RESUME"] = "soon"
        self.assertIn("XJ_RESUME: 'soon' is not", self.refusal())

    def test_each_kind_says_what_it_expects(self) -> None:
        wrong = {
            "--resume": ["0", "-1", "nan", "inf", "1e99", ""],
            "--max-queue": ["0", "1.5", "-1", "١", "9" * 30],
            "--max-frame": ["0", "64k"],
            "--tracker": ["a", "a:", ":1", "a:0", "a:65536", "a b:1", "a:" + "9" * 9999],
            "--listen": ["5000", "tcp:", ":5000", "tcp:50 00"],
            "--log-format": ["xml", ""],
            "--data-dir": [""],
        }
        for option, values in wrong.items():
            for value in values:
                self.assertIn(f"{option}: ", self.refusal(option, value))

    def test_a_file_that_is_not_there_or_not_toml(self) -> None:
        self.assertIn(f"cannot read {self.file}", self.refusal("--config", str(self.file)))
        self.assertIn("line 2", self.refusal(*self.write("resume = 1\nresume resume\n")))
        self.file.write_bytes(b"\xff")
        self.assertIn("not UTF-8", self.refusal("--config", str(self.file)))

    def test_an_unknown_key_is_named_with_its_line(self) -> None:
        message = self.refusal(*self.write("max-queue = 5\nresum = 1\n"))
        self.assertIn(f"{self.file}:2: unknown key 'resum' (did you mean resume?)", message)
        self.assertIn("unknown key 'server'", self.refusal(*self.write("[server]\nresume = 1\n")))
        self.assertIn("unknown key 'config'", self.refusal(*self.write('config = "x"')))

    def test_tomls_types_are_held_to(self) -> None:
        wrong = ["resume = true", "allow-plaintext = 1", "resume = [1]", "listen = [[1]]"]
        wrong.append("admin = 1979-05-27")
        for line in wrong:
            self.assertIn(f"{self.file}:1", self.refusal(*self.write(line)))


class PageTests(SynchronousTestCase):
    """The table, and the page that shows it."""

    def test_the_page_shows_the_table_of_the_code(self) -> None:
        shown = PAGE.read_text(encoding="utf-8").partition("<!-- table -->\n")[2]
        self.assertEqual(shown, page_table())

    def test_names_are_unique_and_programs_known(self) -> None:
        names = [option.name for option in TABLE]
        self.assertEqual(len(names), len(set(names)))
        for option in TABLE:
            self.assertEqual(set(option.programs.split()) - set(PROGRAMS), set())

    def test_every_default_is_a_value_of_its_kind(self) -> None:
        for option in TABLE:
            for program in option.programs.split():
                default = option.default_for(program)
                for one in default if option.repeatable else [default]:
                    if one is not None:
                        self.assertEqual(option.kind.parse(self.text(one)), one, option.name)

    def text(self, value: Any) -> str:
        return f"{value[0]}:{value[1]}" if isinstance(value, tuple) else str(value)

    def test_every_limit_of_a_link_is_an_option(self) -> None:
        from xjrelay.net.context import Limits

        fields = {name.replace("_", "-") for name in Limits.__dataclass_fields__}
        self.assertEqual(fields - {option.name for option in TABLE}, set())

    def test_help_shows_every_option_and_its_default(self) -> None:
        for program in PROGRAMS:
            text = options_for(program)().getUsage()
            for option in TABLE:
                self.assertEqual(f"--{option.name}" in text, option.belongs_to(program), option.name)

    def test_flags_take_no_value(self) -> None:
        flags = [option for option in TABLE if option.kind is kinds.FLAG]
        self.assertEqual({option.default for option in flags}, {False})
