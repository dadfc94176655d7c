# SPDX-License-Identifier: MIT
"""What is typed, and what it means."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.cli import people, talk
from xjrelay.cli.main import WRONG_USAGE, main, parser
from xjrelay.cli.options import Call, UsageError
from xjrelay.cli.screen import Screen
from xjrelay.security.invitations import PURPOSE, check
from xjrelay.security.secret import ClusterSecret


def call(typed: str, **environ: str) -> Call:
    """What a line means with this environment."""
    return Call(parser().parse_args(typed.split()), Screen(), environ)


class TrackerTests(SynchronousTestCase):
    """Where the trackers are."""

    def test_the_default(self) -> None:
        self.assertEqual(call("status").url(), "xj://127.0.0.1:5000")

    def test_the_environment_and_the_options_before_it(self) -> None:
        self.assertEqual(call("status", XJ_TRACKER="a:1,b").url(), "xj://a:1,b:5000")
        typed = "status --tracker c:3 --tracker d:4"
        self.assertEqual(call(typed, XJ_TRACKER="a:1").url(), "xj://c:3,d:4")

    def test_one_that_is_none(self) -> None:
        with self.assertRaises(UsageError):
            call("status --tracker a:b").url()


class UserTests(SynchronousTestCase):
    """Who, and the password."""

    def test_user(self) -> None:
        self.assertEqual(call("login --user esa", XJ_USER="fajar").user(), "esa")
        self.assertEqual(call("login", XJ_USER="fajar").user(), "fajar")
        for typed in ("login", "login --user a@b"):
            with self.assertRaises(UsageError):
                call(typed).user()

    def test_password_from_a_file_before_the_environment(self) -> None:
        path = Path(self.mktemp())
        path.write_text("the first line\r\nthe second\n", encoding="utf-8")
        self.assertEqual(call(f"login --password-file {path}", XJ_PASSWORD="x").password(), "the first line")
        self.assertEqual(call("login", XJ_PASSWORD="x").password(), "x")

    def test_a_file_that_cant_be_read(self) -> None:
        with self.assertRaises(UsageError) as caught:
            call("login --password-file /nonexistent/x").password()
        self.assertIn("No such file", str(caught.exception))


class AccountTests(SynchronousTestCase):
    """Passwords to come, and invitations."""

    def test_the_new_password_from_a_file_before_the_environment(self) -> None:
        path = Path(self.mktemp())
        path.write_text("the new one\n", encoding="utf-8")
        self.assertEqual(call(f"password --new-password-file {path}").new_password(), "the new one")
        self.assertEqual(call("password", XJ_NEW_PASSWORD="x").new_password(), "x")
        with self.assertRaises(UsageError) as caught:
            call("password --new-password-file /nonexistent/x").new_password()
        self.assertIn("--new-password-file", str(caught.exception))

    def test_an_invitation_is_a_link_that_names_the_tracker(self) -> None:
        secret = Path(self.mktemp())
        secret.write_text("a-secret-for-the-tests\n")
        secret.chmod(0o600)
        typed = f"invite --cluster-secret-file {secret} --tracker xjs://chat.example.org:5000 --count 3"
        out = io.StringIO()
        with redirect_stdout(out):
            self.assertEqual(main([*typed.split(), "--json"]), 0)
        made = json.loads(out.getvalue())
        self.assertEqual(made["link"], "xjs://chat.example.org:5000?invitation=" + made["code"])
        keys = ClusterSecret("a-secret-for-the-tests").keys(PURPOSE)
        invitation = check(keys, made["code"], made["expires"] - 7 * 86400)
        self.assertEqual((invitation.most, invitation.expires_at), (3, made["expires"] * 1000))

    def test_an_invitation_that_can_not_be_made(self) -> None:
        secret = Path(self.mktemp())
        with redirect_stderr(io.StringIO()) as errors:
            self.assertEqual(main(["invite", "--cluster-secret-file", str(secret)]), 1)
            self.assertIn("there is no cluster secret at", errors.getvalue())
            self.assertFalse(secret.exists())
            secret.write_text("a-secret-for-the-tests\n")
            secret.chmod(0o644)
            self.assertEqual(main(["invite", "--cluster-secret-file", str(secret)]), 1)
            self.assertNotIn("a-secret-for-the-tests", errors.getvalue())
            secret.chmod(0o600)
            for wrong in ("--count 0", "--count 70000", "--days -99999"):
                command = ["invite", "--cluster-secret-file", str(secret), *wrong.split()]
                self.assertEqual(main(command), WRONG_USAGE, wrong)


class ParserTests(SynchronousTestCase):
    """Commands and where their options may stand."""

    def test_options_stand_before_or_after(self) -> None:
        for typed in (
            "roster add --user esa --json fajar Jar",
            "--user esa --json roster add fajar Jar",
            "roster --user esa --json add fajar Jar",
        ):
            args = parser().parse_args(typed.split())
            self.assertEqual((args.user, args.json, args.contact, args.name), ("esa", True, "fajar", "Jar"))
            self.assertEqual((args.command, args.what), (people.roster, "add"))

    def test_showing_is_the_default(self) -> None:
        self.assertEqual(parser().parse_args(["roster"]).what, "show")
        self.assertEqual(parser().parse_args(["presence", "show"]).what, "show")
        self.assertEqual(parser().parse_args(["presence", "ask", "fajar"]).contact, "fajar")

    def test_a_body_may_be_several_words(self) -> None:
        args = parser().parse_args(["send", "--timeout", "2", "fajar", "apa", "kabar?"])
        self.assertEqual(
            (args.command, args.to, args.body, args.timeout), (talk.send, "fajar", ["apa", "kabar?"], 2)
        )

    def test_wrong_usage_is_2(self) -> None:
        for typed in ("", "frob", "send fajar", "send --timeout 0 fajar x", "roster rename fajar"):
            with redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as caught:
                main(typed.split())
            self.assertEqual(caught.exception.code, WRONG_USAGE)

    def test_wrong_usage_that_is_seen_later_is_2_too(self) -> None:
        errors = io.StringIO()
        with redirect_stderr(errors):
            self.assertEqual(main(["login", "--user", "a b"]), WRONG_USAGE)
            self.assertEqual(main(["status", "--tracker", "a:b"]), WRONG_USAGE)
            self.assertEqual(main(["presence", "set", "--user", "esa"]), WRONG_USAGE)
        self.assertEqual(len(errors.getvalue().splitlines()), 3)
