# SPDX-License-Identifier: MIT
"""``xj admin`` on the manager's host, and what is said where something is missing.

``tests.system.test_admin`` has the acts against running programs.
"""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli.main import DONE, REFUSED, WRONG_USAGE, main
from xjrelay.cli.options import UsageError
from xjrelay.cli.posting import private_door
from xjrelay.domain.audit import Head
from xjrelay.security.admission import SCOPES, TokenBook, listed
from xjrelay.storage.audit import check


class HostCase(SynchronousTestCase):
    """A node's data folder, with nothing in it but where things are."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.manager = self.home / "data" / "manager"
        self.manager.mkdir(parents=True)
        (self.manager / "manager.sqlite3").touch()
        self.environ = {"HOME": str(self.home), "USER": "indra"}

    def xj(self, *typed: str) -> tuple[int, str, str]:
        out, errors = io.StringIO(), io.StringIO()
        environ = mock.patch.dict("os.environ", self.environ, clear=True)
        with redirect_stdout(out), redirect_stderr(errors), environ:
            try:
                status = main(["admin", *typed, "--data-dir", str(self.home / "data")])
            except SystemExit as ended:  # argparse's own
                status = int(str(ended.code))
        return status, out.getvalue(), errors.getvalue()

    def does(self, *typed: str) -> str:
        status, out, errors = self.xj(*typed)
        self.assertEqual((status, errors), (DONE, ""))
        return out


class TokenTests(HostCase):
    """Made, listed, revoked; each in the log."""

    def test_one_is_shown_once_and_is_good(self) -> None:
        text = self.does(
            "token", "--scope", "read", "--scope", "keys", "--days", "2", "--note", "esa's"
        ).strip()
        token = TokenBook(
            self.manager / "admin-tokens.json", lambda: listed(self.manager / "admin-tokens.json")[0].made
        )
        self.assertEqual(token.check(text).scopes, ["keys", "read"])
        shown = self.does("tokens")
        self.assertIn("keys,read", shown)
        self.assertIn("esa's", shown)
        self.assertNotIn(text.rpartition("_")[2], shown)
        [row] = [json.loads(line) for line in self.does("tokens", "--json").splitlines()]
        self.assertIn(row["id"], self.does("revoke", row["id"]))
        self.assertEqual(self.does("tokens").splitlines(), ["ID  SCOPES  ENDS  NOTE"])
        status, _, errors = self.xj("revoke", row["id"])
        self.assertEqual((status, errors), (REFUSED, f"xj: there is no token {row['id']}\n"))
        acts = [json.loads(line) for line in self.does("audit", "--json").splitlines()]
        said = [(one["act"], one["args"]["id"], one["from"], one["outcome"]) for one in acts]
        self.assertEqual(said, [("token", row["id"], "host", "done"), ("revoke", row["id"], "host", "done")])
        self.assertNotIn(text.rpartition("_")[2], (self.manager / "audit.log").read_text())

    def test_all_scopes_and_kept_where_it_is_looked_for(self) -> None:
        said = self.does("token", "--scope", "all", "--save")
        file = self.home / ".config" / "xjrelay" / "admin.token"
        self.assertIn(str(file), said)
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertNotIn(file.read_text().strip(), said)
        self.assertEqual(listed(self.manager / "admin-tokens.json")[0].scopes, sorted(SCOPES))

    def test_scopes_and_days_that_are_none(self) -> None:
        for typed in (
            ("token",),
            ("token", "--scope", "everything"),
            ("token", "--scope", "read", "--days", "0"),
        ):
            status, out, errors = self.xj(*typed)
            self.assertEqual((status, out), (WRONG_USAGE, ""), typed)
            self.assertNotEqual(errors, "")
        self.assertEqual(check(self.manager).entries, 0)

    def test_a_damaged_file_of_tokens(self) -> None:
        file = self.manager / "admin-tokens.json"
        file.write_text("rubbish")
        file.chmod(0o600)
        for typed in (("tokens",), ("token", "--scope", "read"), ("revoke", "x")):
            status, _, errors = self.xj(*typed)
            self.assertEqual((status, errors), (REFUSED, f"xj: {file} is damaged: it holds no tokens\n"))
        self.assertEqual(file.read_text(), "rubbish")


class AuditTests(HostCase):
    """The log, shown and proved."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("a", "b", "c"):
            self.does("token", "--scope", "read", "--note", name)

    def test_the_last_ones_for_a_person(self) -> None:
        lines = self.does("audit", "--count", "2").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertRegex(
            lines[1], r"^3  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  host:\S+@host  token .*note=c: done$"
        )

    def test_it_is_whole_or_it_is_not(self) -> None:
        head = self.does("audit", "verify").split()[-1]
        self.assertEqual(Head.parse(head).number, 3)
        self.assertIn("3 entries", self.does("audit", "verify", "--expect", head))
        log = self.manager / "audit.log"
        log.write_bytes(log.read_bytes().replace(b'"note":"b"', b'"note":"x"'))
        status, out, errors = self.xj("audit", "verify")
        self.assertEqual(
            (status, errors), (REFUSED, f"xj: {log}: line 2: changed since it was written, or cut off\n")
        )
        self.assertIn("not all is as it was", out)
        status, out, _ = self.xj("audit", "verify", "--json")
        told = json.loads(out)
        self.assertEqual((status, told["ok"], len(told["problems"])), (REFUSED, False, 1))

    def test_what_is_no_head(self) -> None:
        self.assertEqual(self.xj("audit", "verify", "--expect", "3")[0], WRONG_USAGE)

    def test_what_a_terminal_would_obey_is_spelt_out(self) -> None:
        self.does("token", "--scope", "read", "--note", "\x1b[2J")
        self.assertNotIn("\x1b", self.does("audit") + self.does("tokens"))


class SecretTests(HostCase):
    """A file changed by hand."""

    def test_each_step_in_a_file(self) -> None:
        file = self.home / "cluster.secret"
        file.write_text("the-first-secret-of-all\n")
        file.chmod(0o600)
        for step, lines in (("begin", 2), ("switch", 2), ("finish", 1)):
            said = self.does("rotate-secret", step, "--cluster-secret-file", str(file))
            self.assertIn(f"{lines} accepted now", said)
            self.assertEqual(len(file.read_text().splitlines()), lines)
        self.assertNotIn("the-first", file.read_text())
        acts = [json.loads(line) for line in self.does("audit", "--json").splitlines()]
        self.assertEqual([one["args"]["step"] for one in acts], ["begin", "switch", "finish"])
        status, _, errors = self.xj("rotate-secret", "switch", "--cluster-secret-file", str(file))
        self.assertEqual((status, errors), (REFUSED, "xj: begin comes first\n"))


class FirstMinuteTests(HostCase):
    """What is said where something is missing."""

    def test_the_help_says_how_to_begin(self) -> None:
        _, out, _ = self.xj("--help")
        self.assertIn("xj admin token --scope read --scope accounts --days 30 --save", out)
        for scope in SCOPES:
            self.assertIn(scope, out)

    def test_nothing_runs(self) -> None:
        status, _, errors = self.xj("sessions")
        self.assertEqual((status, "no manager runs on" in errors), (REFUSED, True))

    def test_no_token(self) -> None:
        (self.manager.parent / "admin.sock").touch()
        status, _, errors = self.xj("ban", "esa")
        self.assertEqual((status, "xj admin token --scope" in errors), (WRONG_USAGE, True))

    def test_no_data_or_those_of_several(self) -> None:
        other = self.home / "data" / "other"
        other.mkdir()
        (other / "manager.sqlite3").touch()
        status, _, errors = self.xj("tokens")
        self.assertEqual((status, "several managers" in errors), (WRONG_USAGE, True))
        for path in self.home.rglob("manager.sqlite3"):
            path.unlink()
        status, _, errors = self.xj("tokens")
        self.assertEqual((status, "no manager has its data in" in errors), (WRONG_USAGE, True))

    def test_what_a_restore_put_aside_is_no_manager(self) -> None:
        aside = self.home / "data" / "manager.before-restore"
        aside.mkdir()
        (aside / "manager.sqlite3").touch()
        self.does("tokens")

    def test_where_others_could_read_the_token(self) -> None:
        for text in ("10.0.0.5:5443", "http://10.0.0.5:5443", "chat.example.org:5443"):
            self.assertRaises(UsageError, private_door, text)
        for text in (
            "127.0.0.1:5443",
            "[::1]:5443",
            "https://10.0.0.5:5443",
            "tls:10.0.0.5:5443",
            "/x/admin.sock",
        ):
            private_door(text)
        self.assertTrue(private_door("tls:10.0.0.5:5443").tls)
