# SPDX-License-Identifier: MIT
"""The commands in the operator's pages are commands: each option, unit and script in them is there.

They are not run: they want root, systemd and other machines. What they do is run by
``tests.system.test_deploy``, ``test_backup`` and ``test_doctor``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli.doctor import ENOUGH_BYTES, ENOUGH_DAYS, ENOUGH_FILES, ENOUGH_OF_DISK, MUCH_AHEAD
from xjrelay.cli.main import parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("operating.md", "backup.md")
FOREIGN = {"certbot", "scp", "apt", "journalctl"}


def commands() -> Iterator[list[str]]:
    """The words of each command, without the ``sudo``."""
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                assert line.startswith("$ "), line
                words = shlex.split(line.removeprefix("$ "))
                yield words[1:] if words[0] == "sudo" else words


class PageTests(SynchronousTestCase):
    """``docs/operating.md`` and ``docs/backup.md``."""

    def test_every_command_means_something(self) -> None:
        seen = set()
        for program, *words in commands():
            seen.add(program)
            if program == "xj":
                parser().parse_args(words)
            elif program == "systemctl":
                self.check_units([word for word in words[1:] if not word.startswith("-")])
            elif program not in FOREIGN:
                self.check_script(ROOT / program, words)
        self.assertIn("xj", seen)
        self.assertIn("deploy/install.sh", seen)

    def check_units(self, units: list[str]) -> None:
        for unit in units:
            name = re.sub(r"@\w+$", "@", unit)
            file = name if "." in name else f"{name}.service"
            self.assertTrue((ROOT / "deploy" / "systemd" / file).exists(), unit)

    def check_script(self, script: Path, words: list[str]) -> None:
        self.assertTrue(script.exists(), script)
        options = {word for word in words if word.startswith("--")}
        usage = (ROOT / "deploy" / "install.sh").read_text(encoding="utf-8").split("\nUSAGE\n")[0]
        self.assertEqual(options - set(re.findall(r"--[a-z-]+", usage)), set())

    def test_the_numbers_are_the_code_s(self) -> None:
        page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
        for said in (
            f"over {MUCH_AHEAD:g} s from",
            f"less than {ENOUGH_DAYS} days",
            f"less than {ENOUGH_BYTES // 2**20} MiB, or {ENOUGH_OF_DISK:.0%}".replace("%", " %"),
            f"fewer than {ENOUGH_FILES} may be open",
        ):
            self.assertIn(said, page)
