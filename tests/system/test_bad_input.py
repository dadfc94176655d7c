# SPDX-License-Identifier: MIT
"""Bad input to real processes over real sockets: answered, survived, and nobody else sees it.

The trials are those of ``tests/sandbox/test_bad_input.py``; here there are real buffers, real resets, and
two thousand connections that say nothing.
"""

from __future__ import annotations

import resource
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.trial.unittest import TestCase

from tests.bad_input import Mouth, Ordeal, Place
from tests.system.programs import PATIENCE, Program, Suite, until
from tests.system.raw import within
from xjrelay.client.tx import connect
from xjrelay.security.secret import load_secret

SILENT = 2000
FILES = SILENT + 500


def dial(place: Place) -> Deferred[Mouth]:
    """A connection that has said nothing."""
    endpoint = TCP4ClientEndpoint(reactor, *place, timeout=int(PATIENCE))
    dialled: Deferred[Mouth] = connectProtocol(endpoint, Mouth())
    return dialled


class OnSockets:
    """Five processes; the stranger knows their secret where that is part of the trial."""

    our_host = "127.0.0.1"

    def __init__(self, suite: Suite) -> None:
        self.tracker = suite.tracker.host, suite.tracker.port
        self.secret = load_secret(suite.folder / "xjrelay" / "cluster.secret")

    def dial(self, place: Place) -> Deferred[Mouth]:
        return dial(place)


class BadInputTests(TestCase):
    """All trials, one after the other, on one suite that has to stand them all."""

    timeout = 240

    async def test_everything_bad_to_every_listener(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        suite = Suite(folder, relays=2)
        for program in suite.programs:
            program.options += ("--hello-timeout", "3", "--ping-interval", "2")
        self.addCleanup(suite.end)
        await suite.start()
        ordeal = Ordeal(OnSockets(suite), self.assertEqual)
        await ordeal.begin()
        await ordeal.refusals()
        await ordeal.wrong_questions()
        await ordeal.too_many()
        await ordeal.too_long()
        await ordeal.hellos_that_never_come()
        await ordeal.halves()
        await ordeal.end()
        for program in suite.programs:
            self.assertTrue(program.running, program.plugin)
            self.assertNotIn("Traceback", program.log, program.plugin)


class SilenceTests(TestCase):
    """Two thousand connections that say nothing, to each kind of listener."""

    timeout = 240

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.node = Program("xjnode", folder / "data", "--relays", "1", "--hello-timeout", "8")
        self.addCleanup(self.node.stop, "KILL")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
        await self.node.start()  # begins with as few as most machines give
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(FILES, hard)), hard))

    async def test_others_are_served_meanwhile_and_the_silent_are_closed(self) -> None:
        tracker = (self.node.host, self.node.port)
        asked = await dial(tracker)
        places = {one["type"]: (one["ip_local"], one["port"]) for one in await asked.ask(HELLO)}
        await asked.close()
        for number, place in enumerate([tracker, places["manager"], places["relay"]]):
            await self.silence(place, f"user{number}")
        self.assertNotIn("Traceback", self.node.log)

    async def silence(self, place: Place, name: str) -> None:
        """A new user comes online and is written to while they are there."""
        some = DeferredSemaphore(200)
        silent = await within(gatherResults([some.run(dial, place) for _ in range(SILENT)]))
        self.assertEqual(len(silent), SILENT)
        url = f"xj://{self.node.address}"
        client = await within(connect(url, name, "rahasia", register=True))
        sent = client.send(name, "halo, aku")
        async for message in client.messages():
            self.assertEqual(message.body, "halo, aku")
            break
        self.assertEqual((await within(sent)).status, "delivered")
        self.assertTrue(any(mouth.is_open for mouth in silent), "they were gone before the user was served")
        await within(client.close())
        await until(lambda: not any(mouth.is_open for mouth in silent), "the silent are closed")
        self.assertEqual([mouth.heard for mouth in silent if mouth.heard], [])


HELLO = {"ip_local": "127.0.0.1", "port": 0, "type": "client"}
