# SPDX-License-Identifier: MIT
"""A manager whose disk is full, or whose database somebody else holds: it says no, keeps what it said
yes to, and goes on when there is room again."""

from __future__ import annotations

import resource
import sqlite3
from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from tests.system.programs import Suite, until
from tests.system.raw import within
from xjrelay.client.model import Receipt
from xjrelay.client.tx import Client, connect

PASSWORD = "rahasia"
COUNT = 60
BODY = "x" * 4000


class DiskTests(TestCase):
    """Esa writes to Fajar, who is away: everything goes to the mailbox."""

    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.suite = Suite(folder, relays=1)
        self.addCleanup(self.suite.end)
        await self.suite.start()
        (self.database,) = (folder.absolute() / "manager").glob("*.sqlite3")
        self.esa: Client = await within(connect(self.suite.url, "esa", PASSWORD, register=True))
        self.addCleanup(lambda: within(self.esa.close()))
        fajar: Client = await within(connect(self.suite.url, "fajar", PASSWORD, register=True))
        await within(fajar.close())
        self.receipts: list[Receipt] = []

    def write(self) -> Deferred[list[None]]:
        """Everything at once; fires when each has its outcome."""

        async def one(number: int) -> None:
            self.receipts.append(await self.esa.send("fajar", f"{number} {BODY}", timeout=100.0))

        return gatherResults([Deferred.fromCoroutine(one(number)) for number in range(COUNT)])

    async def read(self) -> list[int]:
        """Fajar comes, and is shown what there is for him."""
        fajar: Client = await within(connect(self.suite.url, "fajar", PASSWORD))
        numbers: list[int] = []

        async def reading() -> None:
            async for message in fajar.messages():
                numbers.append(int(message.body.partition(" ")[0]))

        Deferred.fromCoroutine(reading())
        await until(lambda: len(numbers) == COUNT, f"all messages, heard {numbers}")
        await within(fajar.close())
        return numbers

    def grow_at_most(self, size: int) -> None:
        """No file of the manager may grow beyond so many bytes: what a full disk looks like to it."""
        assert self.suite.manager.transport is not None
        pid = self.suite.manager.transport.pid
        assert pid is not None
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    async def kill_the_manager(self) -> None:
        await within(self.suite.manager.stop("KILL"))
        await self.suite.manager.start()

    async def test_a_full_disk(self) -> None:
        self.grow_at_most(100_000)
        done = self.write()
        await until(lambda: "messages could not be stored" in self.suite.manager.log, "the manager says why")
        self.assertLess(len(self.receipts), COUNT)
        kept = len(self.receipts)
        self.grow_at_most(resource.RLIM_INFINITY)
        await within(done)
        self.assertEqual({receipt.status for receipt in self.receipts}, {"stored"}, kept)
        await self.kill_the_manager()
        self.assertEqual(await self.read(), list(range(COUNT)))

    async def test_a_database_that_another_holds(self) -> None:
        other = sqlite3.connect(self.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        done = self.write()
        await until(lambda: "database is locked" in self.suite.manager.log, "the manager says why")
        self.assertEqual(self.receipts, [])
        other.execute("ROLLBACK")
        other.close()
        await within(done)
        self.assertEqual({receipt.status for receipt in self.receipts}, {"stored"})
        await self.kill_the_manager()
        self.assertEqual(await self.read(), list(range(COUNT)))
