# SPDX-License-Identifier: MIT
"""Direct links of real programs: on this machine, between both frameworks, and between homes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SkipTest, TestCase

from tests.system.commands import XJ, Command, environment, run
from tests.system.programs import Program, until
from xjrelay.client.errors import Replaced
from xjrelay.client.model import Direct, Event, Message, RoadChange
from xjrelay.client.tx import Client, connect

HERE = Direct(listen="127.0.0.1")


class LoopbackTests(TestCase):
    """Esa is a Twisted application, Fajar a program on asyncio; both are on this machine."""

    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        self.node = Program("xjnode", self.home / "data", "--relays", "2", "--resume", "2")
        self.addCleanup(self.node.stop, "KILL")
        await self.node.start()
        self.events: list[Event] = []
        self.esa = await self.log_in("esa")
        self.fajar = await self.friend("fajar", "127.0.0.1")

    async def friend(self, name: str, listen: str) -> Command:
        """A friend of Esa's on asyncio."""
        friend = (sys.executable, "-m", "tests.system.friend", self.node.address, name)
        program = self.program(*friend, "--listen", listen)
        await program.says('"here"')
        program.enter("add esa")
        await program.says('"added"')
        await self.esa.roster.add(name)
        return program

    def program(self, *command: str) -> Command:
        program = Command(command, environment(self.home, XJ_PASSWORD="rahasia"))
        self.addCleanup(program.end)
        return program

    async def log_in(self, name: str) -> Client:
        client = await connect(f"xj://{self.node.address}", name, "rahasia", register=True, direct=HERE)
        self.addCleanup(client.close)

        async def read() -> None:
            try:
                async for event in client.events():
                    self.events.append(event)
            except Replaced:
                return

        Deferred.fromCoroutine(read())
        return client

    @property
    def shown(self) -> list[str]:
        return [event.body for event in self.events if isinstance(event, Message)]

    async def linked(self) -> None:
        """They talk until both directions are direct."""
        self.assertEqual((await self.esa.send("fajar", "hello")).status, "delivered")
        await self.fajar.says('"road", "to": "esa", "direct": true')
        await until(lambda: self.esa.is_direct("fajar"), "a link")

    async def test_they_talk_on_when_every_server_is_killed(self) -> None:
        await self.linked()
        await self.node.stop("KILL")
        sent = [self.esa.send("fajar", text) for text in ("one", "two", "three")]
        self.assertEqual([(await one).status for one in sent], ["delivered"] * 3)
        for text in ("one", "two", "three"):
            await self.fajar.says(f'"body": "{text}"')
        self.fajar.enter("send esa back")
        await self.fajar.says('"delivered", "direct": true')
        self.assertEqual(self.shown, ["back"])

    async def test_by_ipv6(self) -> None:
        six = Direct(listen="::1")
        self.esa = await connect(f"xj://{self.node.address}", "esa", "rahasia", direct=six)
        self.addCleanup(self.esa.close)
        await self.friend("gita", "::1")
        self.assertEqual((await self.esa.send("gita", "hello")).status, "delivered")
        await until(lambda: self.esa.is_direct("gita"), "a link by IPv6")

    async def test_one_that_is_killed_gets_what_follows_from_the_mailbox(self) -> None:
        await self.linked()
        assert self.fajar.transport is not None
        self.fajar.transport.signalProcess("KILL")
        receipt = await self.esa.send("fajar", "later", timeout=100)
        self.assertEqual(receipt.status, "stored")
        self.assertFalse(self.esa.is_direct("fajar"))

    async def test_a_person_at_a_terminal_reads_how_it_goes(self) -> None:
        environ = environment(self.home, XJ_PASSWORD="rahasia", XJ_TRACKER=self.node.address)
        for words in (("register",), ("roster", "add", "esa")):
            _, err, status = await run([XJ, *words, "--user", "gita"], environ)
            self.assertEqual((status, err), (0, ""))
        await self.esa.roster.add("gita")
        chat = Command([XJ, "chat", "--user", "gita", "--direct", "--direct-listen", "127.0.0.1"], environ)
        self.addCleanup(chat.end)
        await chat.says("connected")
        chat.enter("esa: halo")
        await chat.says("* with esa directly now, ")
        await until(lambda: self.esa.is_direct("gita"), "a link")
        [road] = [event for event in self.events if isinstance(event, RoadChange)]
        self.assertEqual((road.user, road.direct), ("gita", True))
        chat.enter("/quit")
        self.assertEqual(await chat.ended, 0)
        await until(lambda: not self.esa.is_direct("gita"), "the end of the link")


class HomesTests(TestCase):
    """Two homes behind routers, one of which maps ports; the servers outside (see ``homes``)."""

    timeout = 180

    async def test_directly_at_home_and_by_a_mapped_port_else_by_the_relay(self) -> None:
        tools = [one for one in ("ip", "nft", "unshare", "nsenter", "miniupnpd") if shutil.which(one) is None]
        if os.geteuid() != 0 or tools:
            raise SkipTest(f"homes need root and {', '.join(tools) or 'Linux'}")
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        environ = environment(folder, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        command = ["unshare", "--net", sys.executable, "-m", "tests.system.homes", str(folder)]
        unshare = shutil.which(command[0])
        assert unshare is not None
        out, err, status = await run([unshare, *command[1:]], environ)
        self.assertEqual(status, 0, err)
        found = json.loads(out)
        self.assertEqual(found["router"][0], "11.22.33.12")
        ways = {
            name: (found[name]["status"], found[name]["direct"])
            for name in found
            if name not in ("router", "shown")
        }
        self.assertEqual(
            ways,
            {
                "at home": ("delivered", True),
                "mapped": ("delivered", True),
                "not mapped": ("delivered", False),
                "silenced": ("delivered", False),
            },
        )
        self.assertEqual(
            found["shown"], ["hello 0", *(f"directly {n}" for n in range(3)), "into the silence"]
        )
        log = (folder / "miniupnpd.log").read_text("utf-8", "replace")
        self.assertIn(f"removing redirect rule port {found['router'][1]} TCP", log)
