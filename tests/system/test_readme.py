# SPDX-License-Identifier: MIT
"""Runs what ``README.md`` shows, and what ``make run`` then says to type.

The ports are the one thing replaced: a test can't count on 5000 being free. Where the page shows
``...``, anything may stand.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.system.commands import BIN, Command, environment, run
from tests.system.programs import ROOT, Program
from tests.system.raw import Raw, dial, within
from xjrelay.client.tx import Client, connect
from xjrelay.servers.options import options_for

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks that are marked with a language; the empty string for those that aren't."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for marked, text in found if marked == language]


def pattern(shown: str) -> str:
    """A regular expression for what the page shows."""
    return re.escape(shown).replace(r"\.\.\.", ".*").replace(r"\ ", " ")


def aligned(text: str) -> str:
    """A table whatever the widths of its columns."""
    return re.sub(" +", " ", text)


class ReadmeTests(TestCase):
    """One node, as ``make run`` starts it."""

    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        home = Path(self.mktemp()).absolute()
        home.mkdir(parents=True)
        self.node = Program("xjnode", home / "data")
        self.addCleanup(self.node.stop, "KILL")
        await self.node.start()
        self.ports = {5000: self.node.port}
        tracker = await dial(self.node.address)
        tracker.say({"ip_local": "127.0.0.1", "port": 0, "type": "client"})
        listed = await tracker.hear()
        await tracker.close()
        for first, program in ((5001, "manager"), (5002, "relay")):
            found = sorted(one["port"] for one in listed if one["type"] == program)
            self.ports |= dict(enumerate(found, first))
        path = f"{BIN}:{environment(home)['PATH']}"
        self.environ = environment(home, PATH=path, XJ_TRACKER=self.node.address)
        # Where `make run` keeps its data, xj looks by itself.
        self.environ["XJ_ADMIN_URL"] = str(home / "data" / "admin.sock")
        self.home = home

    def with_ports(self, text: str) -> str:
        """The text with the ports that the node really has."""
        return re.sub(r"\b500\d\b", lambda match: str(self.ports[int(match[0])]), text)

    async def client(self, name: str) -> Client:
        client: Client = await within(connect(f"xj://{self.node.address}", name, "rahasia", register=True))
        self.addCleanup(lambda: within(client.close()))
        return client

    async def start_bot(self, source: str) -> Command:
        """An example, running; its text says who it is."""
        script = self.home / f"bot{len(list(self.home.iterdir()))}.py"
        script.write_text(self.with_ports(source))
        bot = Command([sys.executable, str(script)], self.environ)
        self.addCleanup(bot.end)
        return bot

    async def answer(self, client: Client, bot: Command, name: str) -> str:
        """What a bot says to a message, once it is there."""
        while (await within(client.send(name, "halo"))).status == "failed":  # it has no account yet
            self.assertTrue(bot.running, bot.read)
        async for message in client.messages():
            self.assertEqual(message.from_, name)
            return message.body
        raise AssertionError("the client was closed")

    async def test_the_bots_answer(self) -> None:
        client = await self.client("kartika")
        names = []
        for source in blocks("python"):
            [name] = re.findall(r'connect\("xj://127.0.0.1:5000", "(\w+)"', source)
            names.append(name)
            self.assertLessEqual(len([line for line in source.splitlines() if line]), 10)
            bot = await self.start_bot(source)
            self.assertEqual(await self.answer(client, bot, name), "you said: halo")
        self.assertEqual(names, ["gita", "hadi"])

    async def test_the_commands_print_what_is_shown(self) -> None:
        await self.the_bot_is_there()
        environ = dict(self.environ)
        [console] = blocks("console")
        for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
            line, shown = part.split("\n", 1)
            if line.startswith("export "):
                key, _, value = line.removeprefix("export ").partition("=")
                environ[key] = value
                continue
            words = shlex.split(line)
            out, err, status = await run([str(BIN / words[0]), *words[1:]], environ)
            self.assertEqual((err, status), ("", 0), line)
            self.assertRegex(aligned(out), f"^{pattern(aligned(self.with_ports(shown)))}$", line)

    async def test_the_lines_on_the_wire(self) -> None:
        await self.the_bot_is_there()
        at_manager, at_relay = [text for text in blocks("") if text.startswith("> ")]
        manager = await dial(f"127.0.0.1:{self.ports[5001]}")
        answer = await self.says_and_hears(manager, at_manager, "")
        relay = await dial(f"127.0.0.1:{answer['component'][0]['port']}")
        await self.says_and_hears(relay, at_relay, answer["token"])
        await manager.close()
        await relay.close()

    async def the_bot_is_there(self) -> None:
        bot = await self.start_bot(blocks("python")[0])
        await self.answer(await self.client("kartika"), bot, "gita")

    async def says_and_hears(self, raw: Raw, shown: str, token: str) -> dict[str, Any]:
        """A conversation as the page shows it, with a token where the page has none; the last answer."""
        last: dict[str, Any] = {}
        for line in shown.splitlines():
            if line.startswith("> "):
                raw.say_bytes(line[2:].replace('"..."', json.dumps(token)).encode() + b"\n")
                continue
            self.assertTrue(line.startswith("< "), line)
            last = await raw.hear()
            heard = json.dumps(last, separators=(",", ":"))
            anything = re.sub(r"(?<=relay)\d|\b500\d\b", "...", line[2:])  # which relay is its choice
            self.assertRegex(heard, f"^{pattern(anything)}$")
        return last


class FirstMinuteTests(TestCase):
    """What ``make run`` starts, and what it prints."""

    timeout = 120

    async def test_what_is_printed_can_be_typed(self) -> None:
        home = Path(self.mktemp()).absolute()
        home.mkdir(parents=True)
        environ = environment(home, XJ_LISTEN="tcp:0", XJ_PASSWORD="rahasia")
        makefile = (ROOT / "Makefile").read_text()
        [line] = re.findall(r"^run: venv\n\t\$\(BIN\)/(.*)$", makefile, re.MULTILINE)
        node = Command([str(BIN / line.split()[0]), *line.split()[1:]], environ)
        self.addCleanup(node.end)
        await node.says("xjrelay serves.")
        await node.says("Ctrl-C here stops it.")
        typed = re.findall(r"^  (\S*xj \S.*)$", node.read, re.MULTILINE)
        self.assertEqual([shlex.split(line)[1:4] for line in typed], [
            ["register", "--user", "esa"], ["register", "--user", "fajar"],
            ["chat", "--user", "esa"], ["chat", "--user", "fajar"],
        ])  # fmt: skip
        for line in typed[:2]:
            _, err, status = await run(shlex.split(line), environ)
            self.assertEqual((err, status), ("", 0), line)
        esa, fajar = (Command(shlex.split(line), environ, terminal=True) for line in typed[2:])
        for chat in (esa, fajar):
            self.addCleanup(chat.end)
            await chat.says("connected. /help says what can be typed.")
            await chat.says(">")
        esa.enter("/add fajar")
        await esa.says("fajar is a contact.")
        esa.enter("halo")
        await fajar.says("esa: halo")
        self.assertNotEqual(set(home.iterdir()), set())  # the data and the secret, and nothing elsewhere

    def test_the_page_says_the_same(self) -> None:
        typed = [
            line for text in blocks("") for line in text.splitlines() if line.startswith(".venv/bin/xj ")
        ]
        self.assertEqual([line.split()[1:] for line in typed], [
            ["register", "--user", "esa"], ["chat", "--user", "esa"],
            ["register", "--user", "fajar"], ["chat", "--user", "fajar"],
        ])  # fmt: skip
        made = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        for line in (line for text in blocks("") for line in text.splitlines() if line.startswith("make ")):
            self.assertIn(line.split()[1], made)

    def test_the_programs_of_several_machines_know_their_options(self) -> None:
        text = "\n".join(blocks("")).replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line.startswith("twistd ")]
        programs = [line.split()[1].removeprefix("xj") for line in lines]
        self.assertEqual(set(programs), {"tracker", "manager", "relay"})
        for line, program in zip(lines, programs, strict=True):
            options = options_for(program)()
            options.parseOptions(shlex.split(line)[2:])
            self.assertTrue(options["allow-plaintext"] or options["tls-key"], line)
