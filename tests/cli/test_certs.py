# SPDX-License-Identifier: MIT
"""``xj certs``: what is typed, what is made, what is left alone."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli.certs import default_folder
from xjrelay.cli.main import DONE, REFUSED, main
from xjrelay.cli.options import UsageError
from xjrelay.security.certificates import names_of


class CertsTests(SynchronousTestCase):
    """The command, as it is typed."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def run_it(self, *typed: str, status: int = DONE) -> list[Any]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            self.assertEqual(main(["--json", "certs", "--folder", str(self.folder), *typed]), status)
        self.errors = err.getvalue()
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def test_an_authority_and_a_component(self) -> None:
        authority, relay = self.run_it("relay1=relay1.example.org,10.0.0.5")
        self.assertTrue(authority["fingerprint"].startswith("sha256:"))
        self.assertEqual((relay["change"], relay["hosts"]), ("made", ["relay1.example.org", "10.0.0.5"]))
        self.assertEqual(names_of(Path(relay["certificate"]).read_bytes()), relay["hosts"])

    def test_without_a_name_what_there_is_is_looked_at(self) -> None:
        self.run_it("relay1=10.0.0.5", "manager=10.0.0.4")
        _, *seen = self.run_it()
        changes = [(one["name"], one["change"]) for one in seen]
        self.assertEqual(changes, [("manager", "kept"), ("relay1", "kept")])
        _, *seen = self.run_it("--renew")
        self.assertEqual([one["change"] for one in seen], ["renewed", "renewed"])

    def test_a_name_that_is_none_is_refused(self) -> None:
        self.run_it("../relay=10.0.0.5", status=REFUSED)
        self.assertIn("can't be a component's name", self.errors)

    def test_where_it_is_when_nobody_says(self) -> None:
        self.assertEqual(default_folder({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}), Path("/c/xjrelay/certs"))
        self.assertEqual(default_folder({"HOME": "/h"}), Path("/h/.config/xjrelay/certs"))
        self.assertRaises(UsageError, default_folder, {})
