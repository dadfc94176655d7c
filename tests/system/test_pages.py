# SPDX-License-Identifier: MIT
"""Does what the tutorial and the how-to pages say: writes files, types commands, reads the answers.

The ports are the one thing replaced, because 5000 may be taken. Where a page shows ``...``, anything may
stand; ``[1]`` is an exit status that isn't 0; a command that ends with ``&`` goes on while the rest is
typed. A block that a comment stands before isn't run here, and the comment says why.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.pages import DOCS, Block, blocks
from tests.system.commands import BIN, Command, environment, run
from tests.system.programs import Program
from tests.system.raw import dial

PAGES = (
    "tutorial.md",
    "howto/bot.md",
    "howto/embed.md",
    "howto/sandbox.md",
    "howto/two-machines.md",
    "howto/tls.md",
    "howto/hundred-relays.md",
)


def pattern(shown: str) -> str:
    """A regular expression for what a page shows: ``...`` alone is any lines, else anything in one."""
    text = re.sub(r"^\.\.\.$", "\0", shown, flags=re.MULTILINE)
    return re.escape(text).replace("\0\\\n", r"(?s:.*)").replace("\0", r"(?s:.*)").replace(r"\.\.\.", ".*")


class PageTests(TestCase):
    """One node, as the tutorial starts it."""

    timeout = 400

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        self.node = Program("xjnode", self.home / "data")
        self.addCleanup(self.node.stop, "KILL")
        await self.node.start()
        self.ports = {5000: self.node.port}
        tracker = await dial(self.node.address)
        tracker.say({"ip_local": "127.0.0.1", "port": 0, "type": "client"})
        for component in await tracker.hear():
            first = 5001 if component["type"] == "manager" else 5002
            self.ports[first] = component["port"]
        await tracker.close()
        path = f"{BIN}:{environment(self.home)['PATH']}"
        self.environ = environment(self.home, PATH=path, XJ_TRACKER=self.node.address, PYTHONPATH=".")

    def with_ports(self, text: str) -> str:
        return re.sub(r"\b500[0-2]\b", lambda match: str(self.ports[int(match[0])]), text)

    async def follow(self, page: str) -> int:
        """Do what a page says; how many commands were typed."""
        typed = 0
        for block in blocks(DOCS / page):
            if block.language == "python":
                self.write(block)
            elif block.language == "console" and not block.mark:
                for line, shown in block.commands():
                    await self.enter(line, shown)
                    typed += 1
        return typed

    def write(self, block: Block) -> None:
        [name] = re.findall(r"\A# (\w+\.py)\n", block.text)
        (self.home / name).write_text(self.with_ports(block.text), encoding="utf-8")

    async def enter(self, line: str, shown: str) -> None:
        line = self.with_ports(line)
        if line.startswith("export "):
            await self.export(line)
            return
        if line.endswith("&"):
            command = Command(["/bin/bash", "-c", f"exec {line[:-1]}"], self.environ, folder=self.home)
            self.addCleanup(command.end)
            await command.says(shown.strip())
            return
        status = re.search(r"^\[(\d+)\]\n\Z", shown, re.MULTILINE)
        shown = shown[: status.start()] if status else shown
        out, err, ended = await run(["/bin/bash", "-c", f"{line} 2>&1"], self.environ, self.home)
        self.assertEqual((err, ended), ("", int(status[1]) if status else 0), f"{line}: {out}")
        self.assertRegex(out, rf"\A{pattern(shown)}\Z", line)

    async def export(self, line: str) -> None:
        out, _, status = await run(["/bin/bash", "-c", f"{line}; env -0"], self.environ, self.home)
        self.assertEqual(status, 0, line)
        self.environ = dict(pair.split("=", 1) for pair in out.split("\0") if pair)

    async def test_the_tutorial(self) -> None:
        self.assertGreater(await self.follow("tutorial.md"), 10)

    async def test_how_to_write_a_bot(self) -> None:
        self.assertGreater(await self.follow("howto/bot.md"), 5)

    async def test_how_to_embed_the_client(self) -> None:
        self.assertGreater(await self.follow("howto/embed.md"), 5)

    async def test_how_to_test_with_the_sandbox(self) -> None:
        self.assertEqual(await self.follow("howto/sandbox.md"), 1)

    async def test_certificates_of_the_other_pages(self) -> None:
        for page in ("howto/two-machines.md", "howto/tls.md", "howto/hundred-relays.md"):
            self.assertEqual(await self.follow(page), 1, page)
        self.assertTrue((self.home / "certs" / "relay25" / "certificate.pem").is_file())

    async def test_a_node_of_ten_relays(self) -> None:
        """What the page says of a hundred, with ten."""
        node = Program("xjnode", self.home / "ten", "--relays", "10")
        self.addCleanup(node.stop, "KILL")
        await node.start()
        asked = ["/bin/bash", "-c", f"xj status --json --tracker {node.address}"]

        async def relays() -> int:
            out, _, _ = await run(asked, self.environ, self.home)
            return out.count('"relay"')

        self.assertEqual(await relays(), 10)
