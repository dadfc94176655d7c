# SPDX-License-Identifier: MIT
"""Each ``xj`` command against a node: its words, its JSON, its exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.system.commands import XJ, Command, environment, run
from tests.system.programs import Program
from tests.system.raw import within
from xjrelay.client.tx import connect

NOBODY = "127.0.0.1:1"
"""Where no tracker is."""


class CommandTests(TestCase):
    """One node; esa and fajar have accounts."""

    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        self.node = Program("xjnode", self.home / "data", "--relays", "1")
        self.addCleanup(self.node.stop, "KILL")
        await self.node.start()
        self.environ = environment(self.home, XJ_PASSWORD="rahasia", XJ_TRACKER=self.node.address)
        for name in ("esa", "fajar"):
            await self.does("register", "--user", name)

    async def xj(self, *words: str, status: int) -> tuple[str, str]:
        """Output and errors of a command that ends with this status."""
        out, err, ended = await run([XJ, *words], self.environ)
        self.assertEqual(ended, status, f"xj {' '.join(words)}: {out}{err}")
        self.assertNotIn("Traceback", err)
        return out, err

    async def does(self, *words: str) -> str:
        """The words of a command that succeeds."""
        out, err = await self.xj(*words, status=0)
        self.assertEqual(err, "")
        return out

    async def tells(self, *words: str) -> list[Any]:
        """The same with ``--json``: a value a line."""
        return [json.loads(line) for line in (await self.does(*words, "--json")).splitlines()]

    async def refuses(self, *words: str) -> str:
        """The reason of a command that is refused."""
        out, err = await self.xj(*words, status=1)
        self.assertEqual((out, err.count("\n")), ("", 1))
        return err

    async def test_accounts(self) -> None:
        said = await self.does("register", "--user", "gita")
        self.assertEqual(said, "Account gita made. Now: xj chat --user gita\n")
        [told] = await self.tells("register", "--user", "hadi")
        self.assertEqual(told["username"], "hadi")
        self.assertRegex(
            await self.does("login", "--user", "esa"), r"Logged in as esa at the manager \S+:\d+\."
        )
        self.assertEqual([told["username"] for told in await self.tells("login", "--user", "ESA")], ["esa"])
        self.assertIn("Username used", await self.refuses("register", "--user", "esa"))
        self.assertIn("User not found", await self.refuses("login", "--user", "nobody"))
        (self.home / "password").write_text("wrong\n")
        wrong = ("--password-file", str(self.home / "password"))
        self.assertIn("Wrong password", await self.refuses("login", "--user", "esa", *wrong))

    async def test_a_password_changed_and_an_account_removed(self) -> None:
        (self.home / "new").write_text("gunung-api\n")
        new = ("--password-file", str(self.home / "new"))
        said = await self.does("password", "--user", "esa", "--new-password-file", str(self.home / "new"))
        self.assertEqual(said, "The password of esa is changed, other devices are logged out.\n")
        self.assertIn("Wrong password", await self.refuses("login", "--user", "esa"))
        self.assertIn("Wrong password", await self.refuses("unregister", "--user", "esa"))
        [told] = await self.tells("login", "--user", "esa", *new)
        self.assertEqual(told["username"], "esa")
        removed = await self.does("unregister", "--user", "esa", *new)
        self.assertEqual(removed, "The account esa is removed.\n")
        self.assertIn("User not found", await self.refuses("login", "--user", "esa", *new))

    async def test_messages(self) -> None:
        listening = Command([XJ, "listen", "--user", "fajar", "--count", "2"], self.environ)
        self.addCleanup(listening.end)
        await listening.says("Listening as fajar.")
        self.assertEqual(await self.does("send", "--user", "esa", "fajar", "halo,", "Fajar"), "delivered\n")
        await listening.says("esa: halo, Fajar")
        [told] = await self.tells("send", "--user", "esa", "fajar", "halo")
        self.assertEqual((told["status"], told["code"]), ("delivered", None))
        self.assertEqual(await within(listening.ended), 0)
        self.assertEqual(await self.does("send", "--user", "esa", "fajar", "until then"), "stored\n")
        self.assertIn("no user nobody", await self.refuses("send", "--user", "esa", "nobody", "halo"))
        out, err = await self.xj("send", "--user", "esa", "nobody", "halo", "--json", status=1)
        told = json.loads(out)
        self.assertEqual((told["status"], told["code"], err.count("\n")), ("failed", 404, 1))

    async def test_messages_as_json(self) -> None:
        listening = Command([XJ, "listen", "--user", "fajar", "--count", "1", "--json"], self.environ)
        self.addCleanup(listening.end)
        sent = Command([XJ, "send", "--user", "esa", "fajar", "x"], self.environ)
        while await within(sent.ended) != 0:  # until it listens, nobody is there
            sent = Command([XJ, "send", "--user", "esa", "fajar", "x"], self.environ)
        self.assertEqual(await within(listening.ended), 0)
        [told] = [json.loads(line) for line in listening.read.splitlines()]
        self.assertEqual((told["event"], told["to"], told["body"]), ("message", "fajar", "x"))

    async def test_a_message_without_an_outcome(self) -> None:
        """Its recipient is there, and its application takes nothing."""
        client = await within(connect(f"xj://{self.node.address}", "fajar", "rahasia"))
        said = await self.refuses("send", "--user", "esa", "--timeout", "1.5", "fajar", "halo")
        self.assertEqual(said, "xj: no outcome in 1.5 s; it may still arrive\n")
        await within(client.close())

    async def test_contacts(self) -> None:
        self.assertIn("No contacts yet", await self.does("roster", "--user", "esa"))
        self.assertEqual(await self.tells("roster", "--user", "esa"), [])
        self.assertEqual(
            await self.does("roster", "--user", "esa", "add", "fajar", "F."), "Added fajar (F.).\n"
        )
        [told] = await self.tells("roster", "--user", "fajar", "add", "esa")
        self.assertEqual((told["username"], told["subscription"]), ("esa", "both"))
        self.assertEqual(
            await self.does("roster", "--user", "esa", "rename", "fajar", "G"), "Renamed fajar (G).\n"
        )
        self.assertRegex(await self.does("roster", "--user", "esa", "show"), r"(?m)^fajar +G +both$")
        self.assertEqual(await self.tells("roster", "--user", "esa", "remove", "fajar"),
                         [{"username": "fajar", "removed": True}])  # fmt: skip
        self.assertEqual(await self.tells("roster", "--user", "esa"), [])
        self.assertIn("no such user", await self.refuses("roster", "--user", "esa", "add", "nobody"))

    async def test_presence(self) -> None:
        self.assertEqual(
            await self.does("presence", "--user", "fajar", "set", "--bio", "di pantai"), "Done.\n"
        )
        said = await self.does("presence", "--user", "esa", "ask", "fajar")
        self.assertEqual(said, "fajar is offline: di pantai\n")
        [told] = await self.tells("presence", "--user", "esa", "ask", "fajar")
        self.assertEqual((told["username"], told["online"], told["bio"]), ("fajar", False, "di pantai"))
        await self.does("roster", "--user", "esa", "add", "fajar")
        self.assertEqual(await self.does("presence", "--user", "esa"), said)
        self.assertIn("no such user", await self.refuses("presence", "--user", "esa", "ask", "nobody"))

    async def test_status_and_doctor(self) -> None:
        lines = (await self.does("status")).splitlines()
        words = ["PROGRAM", "tracker", "manager", "relay"]
        self.assertEqual([line.split()[0] for line in lines[:4]], words)
        told = await self.tells("status")
        self.assertEqual([one["program"] for one in told], ["tracker", "manager", "relay"])
        self.assertTrue(all(one["seconds"] < 30 for one in told))
        said = await self.does("doctor")
        self.assertEqual(re.findall(r"(?m)^\w+", said), ["ok"] * 8, said)
        self.assertEqual([one["ok"] for one in await self.tells("doctor")], [True] * 8)

    async def test_nobody_there(self) -> None:
        for words in (
            ("register", "--user", "gita"),
            ("login", "--user", "esa"),
            ("send", "--user", "esa", "fajar", "halo"),
            ("listen", "--user", "esa"),
            ("chat", "--user", "esa"),
            ("roster", "--user", "esa"),
            ("presence", "--user", "esa"),
            ("status",),
        ):
            said = await self.refuses(*words, "--tracker", NOBODY)
            self.assertIn(f"nobody answers at {NOBODY}", said)
        out, _ = await self.xj("doctor", "--tracker", NOBODY, status=1)
        self.assertIn(f"WRONG  tracker {NOBODY}", out)

    async def test_wrong_usage(self) -> None:
        for words in (
            (),
            ("nosuch",),
            ("login",),
            ("login", "--user", "two words"),
            ("login", "--user", "esa", "--tracker", "nowhere:x"),
            ("login", "--user", "esa", "--password-file", str(self.home / "nosuch")),
            ("send", "--user", "esa", "fajar"),
            ("send", "--user", "esa", "two words", "halo"),
            ("send", "--user", "esa", "fajar", "halo", "--timeout", "soon"),
            ("roster", "--user", "esa", "add"),
            ("presence", "--user", "esa", "set"),
            ("chat", "--user", "esa", "--json"),
        ):
            out, err = await self.xj(*words, status=2)
            self.assertEqual(out, "")
            self.assertIn("xj", err)


class InvitationTests(TestCase):
    """A node that takes only who was invited."""

    timeout = 120

    async def test_a_link_is_good_for_as_many_as_it_says(self) -> None:
        home = Path(self.mktemp()).absolute()
        home.mkdir(parents=True)
        node = Program("xjnode", home / "data", "--relays", "1", "--registration", "invite")
        self.addCleanup(node.stop, "KILL")
        await node.start()
        # As an operator on that machine: the secret is where the node made it.
        environ = environment(home, XJ_PASSWORD="rahasia", XDG_CONFIG_HOME=str(home))
        link, _, status = await run([XJ, "invite", "--count", "2", "--tracker", node.address], environ)
        self.assertEqual((status, link.partition("?")[0]), (0, f"xj://{node.address}"))
        outcomes = []
        for name, words in (
            ("esa", ["--tracker", node.address]),
            ("fajar", ["--invite", link.strip()]),
            ("gita", ["--invite", link.strip().partition("=")[2], "--tracker", node.address]),
            ("hadi", ["--invite", link.strip()]),
        ):
            _, err, status = await run([XJ, "register", "--user", name, *words], environ)
            outcomes.append((status, err.removeprefix("xj: ").strip()))
        spent = "the invitation has been used as often as it may"
        self.assertEqual(outcomes, [(1, "an invitation is needed"), (0, ""), (0, ""), (1, spent)])
