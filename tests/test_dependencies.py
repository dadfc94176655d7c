# SPDX-License-Identifier: MIT
"""Holds ``docs/dependencies.md`` to ``setup.cfg``, and both to what the code imports."""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.test_architecture import imports, parse

ROOT = Path(__file__).resolve().parent.parent

MODULES = {"precis-i18n": "precis_i18n", "PyJWT": "jwt", "desktop-notifier": "desktop_notifier"}
"""What is imported under another name than it is installed."""

BROUGHT = {"OpenSSL": "twisted", "service_identity": "twisted", "zope": "twisted"}
"""What the code imports besides, with whose package it comes."""


def required() -> dict[str, dict[str, str]]:
    """The bound of each package by extra; the empty string for what everybody gets."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lists = {"": config["options"]["install_requires"], **config["options.extras_require"]}
    found: dict[str, dict[str, str]] = {}
    for extra, text in lists.items():
        lines = [line for line in text.split("\n") if line and not line.startswith("xjrelay[")]
        pairs = [re.fullmatch(r"([\w-]+)(?:\[\w+\])? >= (\S+)", line) for line in lines]
        found[extra] = {pair[1]: pair[2] for pair in pairs if pair}
        assert len(found[extra]) == len(lines), f"no lower bound, or more than that: {lines}"
    return found


def shown() -> dict[str, tuple[str, str]]:
    """Bound and extra of each package on the page."""
    found = {}
    for block in re.split(r"^## ", (ROOT / "docs" / "dependencies.md").read_text("utf-8"), flags=re.M)[1:]:
        for row in re.findall(r"^\| ([^|]+) \| ([\d.]+) \| (.+) \|$", block, re.MULTILINE):
            cells = row[2].split(" | ")
            assert all(cell.strip() for cell in cells), row
            found[row[0]] = (row[1], "" if block.startswith("To run") else cells[0])
    return found


class DependencyTests(SynchronousTestCase):
    """Which there are, and why."""

    def test_the_page_is_setup_cfg_s(self) -> None:
        asked = required()
        repeated = {package for extra in ("gui", "p2p") for package in asked[extra]}
        wanted = {
            package: (bound, extra)
            for extra, packages in asked.items()
            for package, bound in packages.items()
            if extra != "test" or package not in repeated
        }
        self.assertEqual(shown(), wanted)

    def test_what_tests_repeat_of_an_extra_has_its_bound(self) -> None:
        asked = required()
        for package, bound in {**asked["gui"], **asked["p2p"]}.items():
            self.assertEqual(asked["test"].get(package, bound), bound)

    def test_all_of_it_is_used(self) -> None:
        text = "\n".join(path.read_text("utf-8") for path in (ROOT / "xjrelay").rglob("*.py"))
        asked = required()
        for package in {**asked[""], **asked["gui"], **asked["p2p"]}:
            name = MODULES.get(package, package)
            self.assertRegex(text, rf'(import|from) {name}\b|import_module\("{name}"\)', package)

    def test_nothing_else_is_imported(self) -> None:
        asked = required()
        allowed = {MODULES.get(package, package) for package in {**asked[""], **asked["gui"], **asked["p2p"]}}
        allowed |= {"xjrelay", *BROUGHT, *sys.stdlib_module_names}
        others = {
            f"{path.relative_to(ROOT)}: {name}"
            for path in (ROOT / "xjrelay").rglob("*.py")
            for name in imports(parse(path), "xjrelay")
            if name.split(".")[0] not in allowed
        }
        self.assertEqual(others, set())
