# SPDX-License-Identifier: MIT
"""A peer of the original form, written from its packets alone: no line of ours in what it says."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory
from twisted.python.failure import Failure

from xjrelay.sandbox.network import Machine


class OriginalPeer(Protocol):
    """One connection of it. What it says are lines as the original's ``json.dumps`` wrote them.

    Attributes:
        heard: every packet, as an object.
        garbage: lines that are no JSON, as bytes.
        lost: whether the connection is over.
    """

    def __init__(self, name: str = "Orig", peer_id: str = "Orig_5000") -> None:
        self.name = name
        self.peer_id = peer_id
        self.heard: list[dict[str, Any]] = []
        self.garbage: list[bytes] = []
        self.lost = False
        self._rest = b""

    def say(self, kind: str, data: Any, target: str | None = None, **other: Any) -> None:
        """A packet."""
        packet = {
            "type": kind,
            "sender_id": self.peer_id,
            "sender_name": self.name,
            "timestamp": "2024-05-01T10:00:00.123456",
            "data": data,
            "target_id": target,
        }
        self.say_bytes(json.dumps({**packet, **other}).encode() + b"\n")

    def say_bytes(self, data: bytes) -> None:
        """Just these."""
        assert self.transport is not None
        self.transport.write(data)

    def join(self, host: str, port: int = 5000) -> None:
        """Who it is, and where it listens."""
        self.say("JOIN", {"host": host, "port": port})

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What it heard of a kind."""
        return [packet for packet in self.heard if packet["type"] == kind]

    def texts(self) -> list[str]:
        """The texts it heard."""
        kinds = ("MESSAGE", "BROADCAST")
        return [packet["data"]["text"] for packet in self.heard if packet["type"] in kinds]

    def dataReceived(self, data: bytes) -> None:
        """Lines of JSON; what is none is printed and passed over, as the original did."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                packet = json.loads(line)
            except ValueError:
                self.garbage.append(line)
                continue
            self.heard.append(packet)
            self.answer(packet)

    def answer(self, packet: dict[str, Any]) -> None:
        """What the original does by itself."""
        if packet["type"] == "PING":
            self.say("PONG", {})
        elif packet["type"] == "JOIN":
            mine = {"peer_id": self.peer_id, "name": self.name, "host": "10.0.9.9", "port": 5000}
            self.say("PEERS", {"peers": [], "my_info": mine})

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Over."""
        self.lost = True

    def leave(self) -> None:
        """Close."""
        assert self.transport is not None
        self.transport.loseConnection()


class OriginalServer(ServerFactory):
    """It listens.

    Attributes:
        accepted: its connections.
    """

    def __init__(self, make: type[OriginalPeer] = OriginalPeer) -> None:
        self.accepted: list[OriginalPeer] = []
        self._make = make

    def buildProtocol(self, addr: Any) -> OriginalPeer:
        """One more."""
        self.accepted.append(self._make())
        return self.accepted[-1]


class _Dial(ClientFactory):
    noisy = False

    def __init__(self, peer: OriginalPeer) -> None:
        self._peer = peer

    def buildProtocol(self, addr: Any) -> OriginalPeer:
        """That one."""
        return self._peer


def dial(machine: Machine, host: str, port: int, peer: OriginalPeer | None = None) -> OriginalPeer:
    """Connect from a machine; the connection is there some time later."""
    peer = peer or OriginalPeer()
    machine.connectTCP(host, port, _Dial(peer))
    return peer
