# SPDX-License-Identifier: MIT
"""A peer's memory on a real SQLite file keeps to the contract, and trims its history."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from tests.storage import peer_contract
from tests.storage.peer_contract import heard, said
from tests.system.test_sqlite import fresh
from xjrelay.storage.peers import open_peer_stores


class Peers(peer_contract.PeerContract):
    def setUp(self) -> None:
        self.path = fresh(self, "peer")
        self.stores = open_peer_stores(reactor, self.path)
        self.addCleanup(self.close)

    async def close(self) -> None:
        await self.stores.close()

    async def test_all_is_there_after_a_restart(self) -> None:
        await self.stores.peers.say(said("1"))
        await self.stores.peers.hear(heard("2"), 100)
        await self.stores.close()
        self.stores = open_peer_stores(reactor, self.path)
        self.assertEqual(await self.ids(), ["1"])
        self.assertIsNone(await self.stores.peers.hear(heard("2"), 100))

    async def test_the_oldest_of_a_long_history_go_and_what_waits_stays(self) -> None:
        store = self.stores.peers
        await store.say(said("waits"))
        await gatherResults([store.hear(heard(str(number)), 150) for number in range(499)])
        history = await store.history("bob", None, 1000)
        self.assertEqual((history[0].message_id, history[-1].message_id), ("waits", "498"))
        self.assertEqual(len(history), 151)
