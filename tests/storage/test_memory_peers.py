# SPDX-License-Identifier: MIT
"""A peer's memory on lists keeps to the contract."""

from __future__ import annotations

from tests.storage import peer_contract
from xjrelay.storage.memory_peers import memory_peer_stores


class Peers(peer_contract.PeerContract):
    def setUp(self) -> None:
        self.stores = memory_peer_stores()
