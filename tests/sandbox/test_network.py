# SPDX-License-Identifier: MIT
"""The network the sandbox runs on behaves as sockets do, faults included."""

from __future__ import annotations

import random

from twisted.internet.error import (
    CannotListenError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.sandbox.network import Machine, Network


class Recorder(Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended: type[BaseException] | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        assert reason is not None
        self.ended = reason.type


class Listening(ServerFactory):
    """Accepts recorders."""

    def __init__(self) -> None:
        self.accepted: list[Recorder] = []

    def buildProtocol(self, addr: object) -> Recorder:
        self.accepted.append(Recorder())
        return self.accepted[-1]


class Dialling(ClientFactory):
    """Dials one recorder and keeps how it failed."""

    def __init__(self) -> None:
        self.made = Recorder()
        self.failed: type[BaseException] | None = None
        self.lost: type[BaseException] | None = None

    def buildProtocol(self, addr: object) -> Recorder:
        return self.made

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        self.failed = reason.type

    def clientConnectionLost(self, connector: object, reason: Failure) -> None:
        self.lost = reason.type


class NetworkTests(SynchronousTestCase):
    """Two machines, one connection."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, random.Random(1))
        self.server, self.client = self.network.machine("10.0.0.1"), self.network.machine("10.0.0.2")
        self.listening, self.dialling = Listening(), Dialling()
        self.port = self.server.listenTCP(5000, self.listening)

    def dial(self, machine: Machine | None = None, port: int = 5000) -> tuple[Recorder, Recorder]:
        (machine or self.client).connectTCP("10.0.0.1", port, self.dialling)
        self.clock.pump([0.01] * 3)
        return self.dialling.made, self.listening.accepted[-1]

    def test_bytes_arrive_in_order_some_time_later(self) -> None:
        near, far = self.dial()
        assert near.transport is not None
        for number in range(100):
            near.transport.write(b"%d," % number)
        self.assertEqual(far.heard, b"")
        self.clock.advance(0.006)
        self.assertEqual(far.heard, b"".join(b"%d," % number for number in range(100)))

    def test_nobody_listens(self) -> None:
        self.client.connectTCP("10.0.0.1", 5001, self.dialling)
        self.clock.advance(0.01)
        self.assertEqual(self.dialling.failed, ConnectionRefusedError)

    def test_a_busy_port(self) -> None:
        with self.assertRaises(CannotListenError):
            self.server.listenTCP(5000, Listening())

    def test_a_closed_connection_ends_at_both_ends(self) -> None:
        near, far = self.dial()
        assert near.transport is not None
        near.transport.write(b"last words")
        near.transport.loseConnection()
        self.clock.pump([0.01] * 3)
        self.assertEqual((far.heard, far.ended, near.ended), (b"last words", ConnectionDone, ConnectionDone))
        self.assertEqual(self.dialling.lost, ConnectionDone)

    def test_a_killed_machine_says_nothing_and_its_timers_never_come(self) -> None:
        near, far = self.dial()
        rang: list[int] = []
        self.server.callLater(1, rang.append, 1)
        self.server.kill()
        self.clock.advance(2)
        self.assertEqual((near.ended, far.ended, rang), (ConnectionLost, None, []))
        self.client.connectTCP("10.0.0.1", 5000, self.dialling)
        self.clock.advance(0.01)
        self.assertEqual(self.dialling.failed, ConnectionRefusedError)

    def test_a_partition_holds_bytes_and_heals(self) -> None:
        near, far = self.dial()
        assert near.transport is not None
        self.network.partition("10.0.0.1", "10.0.0.2")
        near.transport.write(b"patience")
        self.clock.advance(5)
        self.assertEqual(far.heard, b"")
        self.network.heal()
        self.clock.advance(0.01)
        self.assertEqual(far.heard, b"patience")

    def test_a_writer_gives_up_on_a_long_partition(self) -> None:
        near, _ = self.dial()
        assert near.transport is not None
        self.network.partition("10.0.0.1", "10.0.0.2")
        near.transport.write(b"anybody?")
        self.clock.pump([1.0] * 22)
        self.assertEqual(near.ended, TimeoutError)

    def test_dialling_into_a_partition_times_out(self) -> None:
        self.network.partition("10.0.0.1", "10.0.0.2")
        self.client.connectTCP("10.0.0.1", 5000, self.dialling, timeout=10)
        self.clock.pump([1.0] * 11)
        self.assertEqual(self.dialling.failed, TimeoutError)

    def test_a_cut_resets_both_ends(self) -> None:
        near, far = self.dial()
        self.assertEqual(self.network.cut("10.0.0.2", "10.0.0.1"), 1)
        self.assertEqual((near.ended, far.ended), (ConnectionLost, ConnectionLost))

    def test_the_same_seed_gives_the_same_run(self) -> None:
        def arrival(seed: int) -> float:
            network = Network(Clock(), random.Random(seed))
            return network.delay()

        self.assertEqual(arrival(7), arrival(7))
        self.assertNotEqual(arrival(7), arrival(8))
