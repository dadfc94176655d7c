# SPDX-License-Identifier: MIT
"""A backup of a suite at work, and the same suite back from it after its disk was lost."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.system.programs import Program
from tests.system.raw import within
from xjrelay.client.tx import connect

PASSWORD = "rahasia"


class RestoreTests(TestCase):
    """One node in one folder."""

    timeout = 180

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).resolve()
        self.base.mkdir(parents=True)
        self.data = self.base / "data"
        self.node = Program("xjnode", self.data)
        self.addCleanup(self.node.stop, "KILL")

    async def xj(self, *typed: str) -> tuple[str, int]:
        xj = str(Path(sys.executable).with_name("xj"))
        command = [*typed, "--data-dir", str(self.data)]
        out, errors, status = await getProcessOutputAndValue(
            xj, command, dict(os.environ), str(self.base), reactor
        )
        return (out + errors).decode(), status

    async def register(self, name: str) -> None:
        client = await within(connect(f"xj://{self.node.address}", name, PASSWORD, register=True))
        if name != "esa":
            await within(client.roster.add("esa"))
        await within(client.close())

    async def test_from_a_lost_disk(self) -> None:
        await self.node.start()
        await self.register("esa")
        await self.register("fajar")
        both = (Deferred.fromCoroutine(one) for one in (self.xj("backup"), self.register("gita")))
        (said, status), _ = await within(gatherResults(list(both)))
        self.assertEqual(status, 0, said)
        (backup,) = self.base.glob("xjrelay-*.tar")
        await within(self.node.stop("KILL"))
        shutil.rmtree(self.data)
        self.assertEqual((await self.xj("restore", "--check", str(backup)))[1], 0)
        self.assertFalse(self.data.exists())
        said, status = await self.xj("restore", str(backup))
        self.assertEqual(status, 0, said)
        self.node.port = 0  # its four ports follow each other, and one may be taken by now
        await self.node.start()
        fajar = await within(connect(f"xj://{self.node.address}", "fajar", PASSWORD))
        self.assertEqual([contact.username for contact in fajar.roster], ["esa"])
        await within(fajar.close())

    async def test_a_running_suite_keeps_its_folder(self) -> None:
        await self.node.start()
        await self.register("esa")
        said, status = await self.xj("backup")
        self.assertEqual(status, 0, said)
        (backup,) = self.base.glob("xjrelay-*.tar")
        said, status = await self.xj("restore", str(backup))
        self.assertEqual(status, 1)
        self.assertIn("stop it first", said)
        await self.register("fajar")
