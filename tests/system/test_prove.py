# SPDX-License-Identifier: MIT
"""The smaller form of each proof that ``make prove`` gives at length (docs/delivery.md).

Whole suites of real processes, written to under load while they are killed, their connections are broken,
their mesh is parted. Nothing may be lost, doubled, or out of order.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTime
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest, TestCase

from tests.system.programs import Suite, until

PATIENCE = 150.0
"""Seconds: a proof ends by itself, this is for one that doesn't."""


class ProveTests(TestCase):
    """``xj prove --local``."""

    timeout = 200

    async def prove(self, *options: str, status: int = 0) -> dict[str, Any]:
        """The result of a run with a fixed seed, and its exit status as expected."""
        folder = Path(self.mktemp()).absolute()
        xj = str(Path(sys.executable).with_name("xj"))
        command = [xj, "prove", "--json", "--local", "--seed", "11", "--keep", str(folder), *options]
        running = getProcessOutputAndValue(command[0], command[1:], env=os.environ)
        running.addTimeout(PATIENCE, IReactorTime(reactor))
        out, err, ended = await running
        self.assertEqual(ended, status, f"{out.decode()}\n{err.decode()}")
        for log in folder.glob("*.log"):
            self.assertNotIn("Traceback", log.read_text("utf-8"), log.name)
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result

    def assert_kept(self, result: dict[str, Any]) -> None:
        verdict = result["verdict"]
        faults = {kind: verdict[kind] for kind in ("lost", "doubled", "disordered", "strange", "unsettled")}
        self.assertEqual(faults, dict.fromkeys(faults, 0), verdict["examples"])
        self.assertEqual(result["absent"], 0)
        self.assertGreater(verdict["arrived"], 0)

    async def test_ten_rounds_in_each_a_process_killed(self) -> None:
        load = ("--users", "10", "--rate", "60", "--away", "2")
        result = await self.prove(*load, "--rounds", "10", "--seconds", "0.4")
        self.assert_kept(result)
        self.assertEqual(sum(result["blows"].values()), 10)
        self.assertGreater(len(result["blows"]), 2)
        self.assertGreater(result["back"]["count"], 0)

    async def test_a_bad_network(self) -> None:
        load = ("--users", "10", "--rate", "60", "--seconds", "7")
        faults = ("--delay", "0.2", "--jitter", "0.1", "--cut", "4", "--stall", "8", "--stall-for", "3")
        result = await self.prove(*load, *faults)
        self.assert_kept(result)
        self.assertGreater(result["toll"]["cuts"], 3)
        self.assertGreater(result["toll"]["stalls"], 0)

    async def test_a_mesh_parted(self) -> None:
        load = ("--users", "10", "--rate", "60", "--seconds", "1")
        result = await self.prove(*load, "--rounds", "1", "--partition", "3")
        self.assert_kept(result)
        self.assertGreater(result["delivery"]["most"], 2.0)

    async def test_a_mesh_of_machines_parted(self) -> None:
        tools = [tool for tool in ("ip", "unshare", "nsenter") if shutil.which(tool) is None]
        if os.geteuid() != 0 or tools:
            raise SkipTest(f"network namespaces need root and {', '.join(tools) or 'Linux'}")
        load = ("--users", "10", "--rate", "60", "--seconds", "1")
        result = await self.prove(*load, "--rounds", "1", "--partition", "4", "--namespaces")
        self.assert_kept(result)
        self.assertGreater(result["delivery"]["most"], 3.0)

    async def test_a_deployment_that_is_there(self) -> None:
        """Its accounts are made the first time and used the second; what is killed is the caller's word."""
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        suite = Suite(folder, relays=1)
        self.addCleanup(suite.end)
        await suite.start()
        (relay,) = suite.relays
        assert relay.transport is not None
        xj = str(Path(sys.executable).with_name("xj"))
        where = ("--tracker", suite.tracker.address, "--prefix", "probe")
        load = ("--users", "3", "--rate", "40", "--seconds", "0.3", "--rounds", "1")
        environment = {**os.environ, "XJ_PASSWORD": "rahasia"}
        for blow, told in ((f"kill -9 {relay.transport.pid}", ""), ("exit 3", " (exit status 3)")):
            command = ["prove", "--json", *where, *load, "--kill", blow]
            running = getProcessOutputAndValue(xj, command, env=environment)
            if not told:
                await until(lambda: not relay.running, "the relay is killed")
                await relay.start()
            out, err, status = await running
            self.assertEqual((status, err), (0, b""))
            result = json.loads(out)
            self.assert_kept(result)
            self.assertEqual(result["blows"], {blow + told: 1})

    async def test_wrong_usage(self) -> None:
        xj = str(Path(sys.executable).with_name("xj"))
        for options, why in (
            (["--rounds", "3"], "nothing may be broken"),
            (["--partition", "3"], "say --local"),
            (["--local", "--kill", "true"], "--kill is for others"),
            (["--users", "1"], "two at least"),
        ):
            out, err, status = await getProcessOutputAndValue(xj, ["prove", *options], env=os.environ)
            self.assertEqual((status, out), (2, b""), options)
            self.assertIn(why.encode(), err)
