# SPDX-License-Identifier: MIT
"""An operator looks at real programs: status, top, trace, logs, health."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.system.commands import XJ, Command, environment, run
from tests.system.programs import Suite, until
from xjrelay.security.folder import Folder

PASSWORD, BODY = "rahasia-7", "hanya untuk fajar"


class _Unix(http.client.HTTPConnection):
    """HTTP over a UNIX socket, whose path may be too long for one."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        folder = os.open(self._path.parent, os.O_PATH)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def get(path: Path, page: str) -> tuple[int, str]:
    """What a page says."""
    connection = _Unix(path)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class SeeingTests(TestCase):
    """A tracker, a manager and two relays, that log JSON, and each event of a message."""

    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.suite = Suite(self.folder)
        self.suite.tracker.options += ("--log-format", "json")
        for program in self.suite.programs[1:]:
            program.options += ("--log-format", "json", "--log-messages")
        self.addCleanup(self.suite.end)
        await self.suite.start()
        self.environ = environment(self.folder, XJ_TRACKER=self.suite.tracker.address, XJ_PASSWORD=PASSWORD)

    async def xj(self, *words: str, status: int = 0) -> str:
        out, err, ended = await run([XJ, *words], self.environ)
        self.assertEqual(ended, status, out + err)
        return out if not status else out + err

    async def see(self, *words: str, status: int = 0) -> str:
        """A command that looks at the programs' sockets."""
        return await self.xj(*words, "--data-dir", str(self.folder), status=status)

    async def page(self, name: str, page: str) -> tuple[int, str]:
        answer: tuple[int, str] = await deferToThread(get, self.folder / name / "admin.sock", page)
        return answer

    async def sent(self) -> str:
        """The id of a message to somebody who is nowhere."""
        for user in ("esa", "fajar"):
            await self.xj("register", "--user", user)
        told = json.loads(await self.xj("send", "--user", "esa", "fajar", BODY, "--json"))
        self.assertEqual(told["status"], "stored")
        return str(told["id"])

    async def meshed(self) -> None:
        """Wait until the relays have found one another."""
        text = ""
        while 'xjrelay_mesh_links{program="relay"} 1.0' not in text:
            _, text = await self.page("relay0", "/metrics")

    async def test_the_suite_is_drawn_and_kept_live_and_what_breaks_is_said(self) -> None:
        await self.meshed()
        await self.drawn()
        await self.kept_live()
        await self.suite.relays[1].stop("KILL")
        said = await self.see("status", status=1)
        self.assertRegex(said, r"WRONG  /\S+/relay1/admin.sock: nobody answers; a program was killed")
        await self.suite.manager.stop("KILL")
        code = 200
        while code == 200:
            code, why = await self.page("relay0", "/readyz")
        self.assertEqual((code, why), (503, "relay: the manager is away\n"))
        said = await self.see("status", status=1)
        self.assertRegex(said, r"WRONG  relay\d 127.0.0.1:\d+: the manager is away")

    async def drawn(self) -> None:
        """``xj status``, for people and for scripts."""
        lines = (await self.see("status")).splitlines()
        self.assertEqual([line.split()[0] for line in lines[1:]], ["tracker", "manager", "relay", "relay"])
        self.assertEqual([line.split()[-1] for line in lines[1:]], ["serves"] * 4)
        self.assertEqual([bool(re.search(r"  1 of 1  ", line)) for line in lines], [False] * 3 + [True] * 2)
        told = [json.loads(line) for line in (await self.see("status", "--json")).splitlines()]
        relays = sorted(one["name"] for one in told if one["program"] == "relay")
        self.assertEqual(relays, ["relay1", "relay2"])
        self.assertEqual(await self.page("relay0", "/readyz"), (200, "ready\n"))
        self.assertEqual(await self.page("manager", "/healthz"), (200, "ok\n"))

    async def kept_live(self) -> None:
        """``xj top``: once, on a terminal until one leaves, and on one that can only print."""
        out = await self.see("top", "--once", "--interval", "0.3", "--json")
        told = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([one["program"] for one in told], ["tracker", "manager", "relay", "relay"])
        self.assertGreater(min(one["rates"]["heard"] for one in told), 0)
        words = [XJ, "top", "--interval", "0.2", "--data-dir", str(self.folder)]
        live = Command(words, self.environ, terminal=True)
        self.addCleanup(live.end)
        await live.says("4 programs, all is well")
        live.type("q")
        self.assertEqual(await live.ended, 0)
        dumb = Command(words, self.environ | {"TERM": "dumb"})
        self.addCleanup(dumb.end)
        for _ in range(2):
            await dumb.says("4 programs, all is well")
        self.assertNotIn("\x1b", dumb.raw)
        assert dumb.transport is not None
        dumb.transport.signalProcess("INT")
        self.assertEqual(await dumb.ended, 0)

    async def test_a_message_s_life_is_told_by_the_programs_and_by_their_logs(self) -> None:
        message_id = await self.sent()
        told = await self.see("trace", message_id)
        lines = told.splitlines()[1:]
        self.assertEqual([line.split()[1] for line in lines], ["relay", "manager", "manager", "relay"])
        self.assertIn("accepted from esa for fajar: goes to the mailbox", lines[0])
        self.assertIn("stored on disk; told esa", lines[-1])
        logs = []
        for number, program in enumerate(self.suite.programs):
            logs.append(str(self.folder / f"{number}.json"))
            Path(logs[-1]).write_text(program.log)
        self.assertEqual(await self.xj("trace", message_id, *logs), told)
        Path(logs[0]).write_text(await self.see("trace", message_id, "--json"))
        self.assertEqual(await self.xj("trace", message_id, logs[0]), told)
        self.assertIn("nobody remembers nosuch", await self.see("trace", "nosuch", status=1))
        self.assertIn("no line is about nosuch", await self.xj("trace", "nosuch", *logs, status=1))
        self.logs_tell(message_id)

    def logs_tell(self, message_id: str) -> None:
        """The log in JSON: who, when and what, and no secret."""
        secret = (self.folder / "xjrelay" / "cluster.secret").read_text().strip()
        events: dict[str, dict[str, Any]] = {}
        for program in self.suite.programs:
            for line in program.log.splitlines():
                said = json.loads(line)
                self.assertLessEqual({"time", "level", "program", "event", "text"}, set(said))
                self.assertIn(said["program"], (program.plugin.removeprefix("xj"), "relay"))
                self.assertFalse([value for value in said.values() if isinstance(value, dict | list)], line)
                events.setdefault(said["event"], said)
            for hidden in (PASSWORD, BODY, secret, "eyJ"):  # a token begins with the last
                self.assertNotIn(hidden, program.log)
        wanted = {"ready", "link-opened", "link-closed", "session-opened", "session-ended", "user-logged-in"}
        self.assertEqual((wanted | {"relay-joined", "manager-joined", "message"}) - set(events), set())
        self.assertEqual(events["message"]["message"], message_id)
        self.assertRegex(events["link-closed"]["link"], r"^[a-z-]+#\d+$")


class TLSTests(TestCase):
    """A door for other machines."""

    timeout = 120

    async def test_a_program_is_asked_over_tls_and_believed_by_its_authority(self) -> None:
        folder = Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        certificates = Folder(folder / "certificates")
        issued = certificates.issue("tracker", ["127.0.0.1"], time.time())
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        files = ("--tls-certificate", str(issued.certificate), "--tls-key", str(issued.key))
        suite = Suite(folder, relays=0)
        suite.tracker.options += ("--admin", f"tls:{port}", *files)
        self.addCleanup(suite.end)
        await suite.tracker.start()
        environ = environment(
            folder, XJ_TRACKER=suite.tracker.address, XJ_ADMIN_URL=f"https://127.0.0.1:{port}"
        )
        out, err, status = await run(
            [XJ, "status", "--authority", str(certificates.authority_file)], environ, folder
        )
        self.assertEqual((err, status), ("", 1))  # a tracker alone is no suite
        self.assertIn("0 listed", out)
        self.assertNotIn("https://", out)
        out, _, status = await run([XJ, "status"], environ, folder)
        self.assertEqual(status, 1)
        self.assertRegex(out, rf"WRONG  https://127.0.0.1:{port}: .*certificate")
        environ["XJ_ADMIN_URL"] = "http://127.0.0.1:1"
        out, _, status = await run([XJ, "status"], environ, folder)
        self.assertIn("WRONG  http://127.0.0.1:1: nobody answers", out)


class NodeTests(TestCase):
    """A node: several programs in one process."""

    timeout = 120

    async def test_each_program_is_told_apart_in_one_log(self) -> None:
        folder = Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        suite = Suite(folder, relays=0)
        node = suite.tracker
        node.plugin = "xjnode"
        node.options += ("--log-format", "json")
        self.addCleanup(suite.end)
        await node.start()
        await until(lambda: node.log.count('"event":"relay-joined"') == 2, "both relays are at the manager")
        said = [json.loads(line) for line in node.log.splitlines()]
        self.assertEqual({one["program"] for one in said}, {"node", "tracker", "manager", "relay1", "relay2"})
        links = {one["link"] for one in said if one["event"] == "link-opened"}
        self.assertTrue(any(link.startswith("relay1:") for link in links), links)
        code, text = await deferToThread(get, folder / "tracker" / "admin.sock", "/readyz")
        self.assertEqual((code, text), (200, "ready\n"))
