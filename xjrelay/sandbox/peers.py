# SPDX-License-Identifier: MIT
"""Peers without a server, in one process on a fake clock: for our tests and our users'.

    mesh = PeerSandbox(seed=7)
    alice, bob = mesh.start("Alice"), mesh.start("Bob")
    mesh.run(bob.connect(mesh.address("Alice"), PORT))
    mesh.run(bob.send(alice.own_id, "Aku dari Bob"))
    mesh.until(lambda: mesh.texts("Alice") == ["Aku dari Bob"])

Each runs on a machine of its own, as it does in production, TLS included; what it has stored, and its
key, survive :meth:`PeerSandbox.kill`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any, Final

from xjrelay.net.context import Context, Limits
from xjrelay.net.metrics import Part
from xjrelay.net.trace import Trace
from xjrelay.sandbox.network import Machine, Network
from xjrelay.sandbox.timeline import Timeline
from xjrelay.security.identity import Identity, make_key
from xjrelay.servers.peer.events import Event, Received
from xjrelay.servers.peer.local import LocalPeer
from xjrelay.servers.peer.seen import Seen
from xjrelay.servers.peer.service import PeerListening, PeerService
from xjrelay.storage.interfaces import PeerStores
from xjrelay.storage.memory_peers import memory_peer_stores

PORT: Final = 5000
"""Where each listens."""

LIMITS: Final = Limits(ping_interval=30.0, max_stanzas=200, max_bytes=1024 * 1024)


@dataclass(slots=True)
class _Kept:
    """What outlives a program: its key, its memory; and what its user was told."""

    key: bytes
    stores: PeerStores
    address: str
    service: PeerService | None = None
    events: list[Event] = field(default_factory=list)


class PeerSandbox(Timeline):
    """Peers on one network.

    Args:
        seed: of everything random but the keys.
        limits: of every link.

    Attributes:
        limits: of the links of those who start from now on.
    """

    def __init__(self, seed: int = 0, limits: Limits = LIMITS) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.network = Network(self.clock, self.random)
        self.limits = limits
        self._kept: dict[str, _Kept] = {}

    def start(
        self, name: str, *, key: bytes | None = None, loopback: bool = False, wait: bool = True
    ) -> LocalPeer:
        """Start a peer, for the first time or again.

        Args:
            name: what it calls itself.
            key: another key than it had.
            loopback: listen on 127.0.0.1 only.
            wait: until it serves.
        """
        kept = self._kept.get(name)
        if kept is None:
            address = f"10.0.0.{len(self._kept) + 1}"
            kept = self._kept[name] = _Kept(key or make_key(), memory_peer_stores(), address)
        kept.key = key or kept.key
        machine: Any = self.machine(name)
        context = Context(machine, self.random, self.limits, trace=Trace(machine.seconds, 10_000))
        peer = LocalPeer(machine, context, Identity(kept.key), name, kept.stores)
        peer.subscribe(kept.events.append)
        host = "127.0.0.1" if loopback else kept.address
        listening = PeerListening(machine, [f"tcp:{PORT}:interface={host}"], peer.factory)
        stores = replace(kept.stores, close=memory_peer_stores().close)
        kept.service = PeerService(peer, listening, stores)
        kept.service.privilegedStartService()
        kept.service.startService()
        if wait:
            self.run(kept.service.started)
        return peer

    def stop(self, name: str) -> None:
        """Stop a peer in order: it says good-bye."""
        service = self._kept[name].service
        assert service is not None
        self._kept[name].service = None
        self.run(service.stopService())

    def kill(self, name: str) -> None:
        """End a peer as kill -9 does."""
        self._kept[name].service = None
        self.machine(name).kill()

    def move(self, name: str, address: str) -> None:
        """Give a peer that doesn't run another address, for its next start."""
        self._kept[name].address = address

    def runs(self, name: str) -> bool:
        """Whether a peer runs."""
        return self._kept[name].service is not None

    def peer(self, name: str) -> LocalPeer:
        """A running peer."""
        service = self._kept[name].service
        assert service is not None
        return service.peer

    def part(self, name: str) -> Part:
        """A running peer as its operator sees it."""
        service = self._kept[name].service
        assert service is not None
        return Seen(service).part()

    def stores(self, name: str) -> PeerStores:
        """What a peer remembers, over all its lives."""
        return self._kept[name].stores

    def address(self, name: str) -> str:
        """Where a peer's machine is."""
        return self._kept[name].address

    def machine(self, name: str) -> Machine:
        """A peer's machine."""
        return self.network.machine(self._kept[name].address)

    def events(self, name: str) -> list[Event]:
        """All that a peer's user was told, over all its lives."""
        return self._kept[name].events

    def texts(self, name: str) -> list[str]:
        """What a peer has received, in order."""
        return [event.message.text for event in self.events(name) if isinstance(event, Received)]

    def linked(self, name: str) -> set[str]:
        """The names of those a running peer is linked with."""
        peer = self.peer(name)
        known = {one.peer_id: one.name for one in peer.book}
        return {known[peer_id] for peer_id in peer.links.ids}

    def connections(self, one: str, other: str) -> int:
        """How many connections there are between two machines."""
        return self.network.connections(self.address(one), self.address(other))
