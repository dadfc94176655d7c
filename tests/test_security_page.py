# SPDX-License-Identifier: MIT
"""Holds the table of limits in ``docs/security.md`` to the code, and its claims to tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.net.context import Limits
from xjrelay.security.scram import DEFAULT_ROUNDS
from xjrelay.servers.option_table import TABLE

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "security.md"

BESIDES = {
    *("login-timeout", "login-failures", "login-backoff", "address-failures", "address-registrations"),
    *("max-roster", "max-queue", "max-queue-bytes", "max-iqs", "resume", "mailbox-max", "mailbox-days"),
}
"""Limits that aren't a link's."""

OF_XJ = {"authority", "renew"}
"""Options of ``xj`` that the page names."""

NOT_A_LIMIT = {"limit-loopback"}


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def rows() -> dict[str, str]:
    """Each option of the table with its default."""
    table = page().split("<!-- limits -->")[1].split("<!-- /limits -->")[0]
    return dict(re.findall(r"^\| `--([a-z-]+)` \| (\S+) \|", table, re.MULTILINE))


class SecurityPageTests(SynchronousTestCase):
    """``docs/security.md`` and ``SECURITY.md``."""

    def test_every_limit_is_there_with_its_default(self) -> None:
        names = {name.replace("_", "-") for name in Limits.__dataclass_fields__} - NOT_A_LIMIT | BESIDES
        shown = {option.name: option.shown_default().partition(",")[0] for option in TABLE}
        self.assertEqual(rows(), {name: shown[name] for name in names})

    def test_every_limit_says_what_happens_above_it(self) -> None:
        table = page().split("<!-- limits -->")[1].split("<!-- /limits -->")[0]
        for row in table.strip().splitlines()[2:]:
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            self.assertEqual(len(cells), 4, row)
            self.assertTrue(all(cells), row)

    def test_every_option_named_exists(self) -> None:
        named = set(re.findall(r"`--([a-z0-9-]+)", page() + (ROOT / "SECURITY.md").read_text("utf-8")))
        options = {option.name for option in TABLE}
        self.assertEqual(named - options - OF_XJ, set())

    def test_the_rounds_are_the_default(self) -> None:
        self.assertIn(f"| {DEFAULT_ROUNDS:,}, the default |", page())

    def test_the_protocol_page_names_the_same_rates(self) -> None:
        text = " ".join((PAGE.parent / "protocol.md").read_text("utf-8").split())
        limits = Limits()
        self.assertIn(f"{limits.max_stanzas:,} stanzas (`--max-stanzas`)", text)
        self.assertIn(f"{limits.max_bytes // 2**20} MiB (`--max-bytes`)", text)
        self.assertEqual((limits.rate_burst, limits.idle_timeout), (2, 86400))
        self.assertIn("after two seconds' worth", text)
        self.assertIn("says nothing for a day (`--idle-timeout`)", text)

    def test_every_file_named_exists(self) -> None:
        for name in re.findall(r"`(tests/[a-z_/.]+)`", page()):
            self.assertTrue((ROOT / name).exists(), name)
        for name in re.findall(r"\]\((\S+?)\)", page()):
            self.assertTrue((PAGE.parent / name).exists(), name)
