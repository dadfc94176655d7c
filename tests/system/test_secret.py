# SPDX-License-Identifier: MIT
"""What is secret is nowhere after a real run: not in a log, an error, a process list, a database."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.system.programs import ExitedEarly, Program, Suite
from tests.system.raw import dial, within
from xjrelay.client.errors import Refused
from xjrelay.client.tx import Client, connect
from xjrelay.security.scram import MECHANISM, ScramClient
from xjrelay.security.secret import CLUSTER_USER


class SecretTests(TestCase):
    """A tracker, a manager and two relays with a secret that is known here, and users with passwords."""

    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.secret = "the-cluster-" + secrets.token_hex(16)
        self.password, self.other = "rahasia-" + secrets.token_hex(8), "salah-" + secrets.token_hex(8)
        self.body = "isi-" + secrets.token_hex(8)
        self.file = self.folder / "a.secret"
        self.file.write_text(self.secret + "\n")
        self.file.chmod(0o600)
        self.suite = Suite(self.folder / "data")
        self.suite.folder.mkdir()
        for program in self.suite.programs:
            program.options += ("--cluster-secret-file", str(self.file))
        self.addCleanup(self.suite.end)

    async def test_a_whole_run_tells_nothing(self) -> None:
        await self.suite.start()
        seen = self.process_list()
        await self.use()
        seen += self.process_list()
        for program in self.suite.programs:
            await within(program.stop())
        logs = "".join(program.log for program in self.suite.programs)
        self.assertIn("xjrelay ready manager", logs)
        self.assertIn("esa", logs)
        for what in (self.secret, self.password, self.other, self.body):
            self.assertNotIn(what, logs)
            self.assertNotIn(what.encode(), seen)
            self.assertEqual(self.files_with(what), [])
        for made in self.suite.folder.rglob("*"):
            private = stat.S_IMODE(made.stat().st_mode) & 0o077
            self.assertTrue(
                made.is_dir() or not private or made.name == "lock", f"{made} can be read by others"
            )

    async def use(self) -> None:
        """Users register, talk and mistype; strangers guess."""
        esa = await self.user("esa")
        fajar = await self.user("fajar")
        sent = esa.send("fajar", self.body)
        async for message in fajar.messages():
            self.assertEqual(message.body, self.body)
            break
        self.assertEqual((await within(sent)).status, "delivered")
        with self.assertRaises(Refused):
            await within(connect(self.suite.url, "esa", self.other, resource="x"))
        for program in self.suite.programs:
            raw = await dial(program.address)
            client = ScramClient(CLUSTER_USER, self.other)
            raw.say({"ip_local": "10.0.0.1", "port": 1, "type": "relay", "relay_username": "relay9"})
            raw.say({"type": "auth", "mechanism": MECHANISM, "data": client.first()})
            step = (await raw.hear(type="auth"))["data"]
            raw.say({"type": "auth", "mechanism": MECHANISM, "data": client.final(step)})
            await raw.hear(code=401)
            await within(raw.ended)
        manager = await dial(self.suite.manager.address)
        manager.say({"ip_local": "10.0.0.1", "port": 1, "type": "client"})
        manager.say({"type": "auth", "username": "esa", "password": self.other, "resource": "y"})
        await manager.hear(code=400)
        manager.say({"type": "auth", "username": ["esa"], "password": {"is": self.password}})
        await manager.hear(code=400)
        await manager.close()
        for client_ in (esa, fajar):
            await within(client_.close())

    async def user(self, name: str) -> Client:
        client: Client = await within(connect(self.suite.url, name, self.password, register=True))
        return client

    def process_list(self) -> bytes:
        """What anybody on the machine can see of the programs."""
        seen = b""
        for program in self.suite.programs:
            assert program.transport is not None and program.transport.pid is not None
            seen += Path(f"/proc/{program.transport.pid}/cmdline").read_bytes()
        self.assertIn(str(self.file).encode(), seen, "the file is named, what is in it is not")
        return seen

    def files_with(self, what: str) -> list[Path]:
        """Files of the programs in which a text stands."""
        files = [path for path in self.suite.folder.rglob("*") if path.is_file()]
        self.assertGreater(len(files), 8)
        return [path for path in files if what.encode() in path.read_bytes()]

    async def test_one_that_others_can_read_stops_the_start_and_is_not_told(self) -> None:
        self.file.chmod(0o640)
        with self.assertRaises(ExitedEarly) as caught:
            await self.suite.tracker.start()
        self.assertIn("can be read by others", str(caught.exception))
        self.assertNotIn(self.secret, str(caught.exception))

    async def test_two_are_accepted_while_it_is_changed(self) -> None:
        tracker = self.suite.tracker
        self.file.write_text(f"{self.secret}\nanother-{self.secret}\n")
        await tracker.start()
        other = self.folder / "b.secret"
        other.write_text(f"another-{self.secret}\n")
        other.chmod(0o600)
        where = ("--tracker", tracker.address)
        manager = Program(
            "xjmanager", self.suite.folder / "other", "--cluster-secret-file", str(other), *where
        )
        self.addCleanup(manager.stop, "KILL")
        await manager.start()
