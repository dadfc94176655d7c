# SPDX-License-Identifier: MIT
"""Peers find each other by mDNS, on a real interface that leads nowhere: loopback."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.system.programs import until
from xjrelay.domain.peers import KEYED, Place
from xjrelay.servers.peer.lan import Lan

ALICE, BOB = KEYED + "a" * 40, KEYED + "b" * 40


class LanTests(TestCase):
    """Two peers, each announcing itself and browsing."""

    timeout = 60

    def setUp(self) -> None:
        self.found: dict[str, set[tuple[Place, str]]] = {ALICE: set(), BOB: set()}

    async def lan(self, peer_id: str, port: int) -> Lan:
        def found(place: Place, other: str) -> None:
            self.found[peer_id].add((place, other))

        lan = Lan(reactor, deferToThread, peer_id, "A name", found, interfaces=["127.0.0.1"])
        lan.startService()
        await lan.begin(port)
        return lan

    async def test_each_finds_the_other_and_nobody_itself(self) -> None:
        alice = await self.lan(ALICE, 5000)
        bob = await self.lan(BOB, 5001)
        try:
            await until(lambda: all(self.found.values()), "each finds the other")
        finally:
            await alice.stopService()
            await bob.stopService()
        self.assertEqual(self.found[ALICE], {(("127.0.0.1", 5001), BOB)})
        self.assertEqual(self.found[BOB], {(("127.0.0.1", 5000), ALICE)})
