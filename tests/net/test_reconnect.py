# SPDX-License-Identifier: MIT
"""Dialling again: how long each wait is, what ends the growth, what ends the dialling."""

from __future__ import annotations

import random

from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.net.lines import Chatty, Line, context, lose, opened
from xjrelay.net.reconnect import CEILING, FACTOR, FIRST_DELAY, Dialler
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason


class Longest(random.Random):
    """A jitter that is always as long as it may be, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.asked.append((a, b))
        return b


class DiallerTestCase(SynchronousTestCase):
    """One address, one fake reactor."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.jitter = Longest()
        self.dialler = self.make(self.jitter)

    def make(self, rng: random.Random) -> Dialler[Chatty]:
        shared = context(self.reactor)
        return Dialler(self.reactor, rng, Address("10.0.0.5", 5002), lambda: Chatty(shared))  # type: ignore[arg-type]

    @property
    def dials(self) -> int:
        return len(self.reactor.tcpClients)

    def wait(self) -> float:
        """Advances to the next dial; how long it took."""
        before, start = self.dials, self.reactor.seconds()
        (call,) = self.reactor.getDelayedCalls()
        self.reactor.advance(call.getTime() - start)
        self.assertEqual(self.dials, before + 1)
        return self.reactor.seconds() - start

    def refuse(self) -> None:
        self.dialler.clientConnectionFailed(self.reactor.connectors[-1], Failure(ConnectionRefusedError()))

    def connect(self) -> tuple[Chatty, Line]:
        link = self.dialler.buildProtocol(None)
        assert link is not None
        line = opened(link)
        link.established()
        return link, line

    def lose(self, link: Chatty) -> None:
        lose(link)
        self.dialler.clientConnectionLost(self.reactor.connectors[-1], Failure(ConnectionDone()))


class WaitTests(DiallerTestCase):
    """How long until the next try."""

    def test_the_first_try_waits_too(self) -> None:
        self.dialler.start()
        self.assertEqual(self.dials, 0)
        self.assertAlmostEqual(self.wait(), FIRST_DELAY)
        host, port, factory, timeout, _ = self.reactor.tcpClients[0]
        self.assertEqual((host, port, factory, timeout), ("10.0.0.5", 5002, self.dialler, 10.0))

    def test_each_wait_is_longer_by_the_factor_up_to_the_ceiling(self) -> None:
        self.dialler.start()
        self.wait()
        expected = FIRST_DELAY
        for _ in range(20):
            self.refuse()
            self.assertAlmostEqual(self.wait(), expected)
            expected = min(expected * FACTOR, CEILING)
        self.assertEqual(expected, CEILING)
        self.assertEqual((FIRST_DELAY, FACTOR, CEILING), (0.25, 1.6, 30.0))

    def test_the_jitter_is_full_from_the_first_try(self) -> None:
        self.dialler.start()
        self.wait()
        for _ in range(5):
            self.refuse()
            self.wait()
        self.assertEqual({low for low, _ in self.jitter.asked}, {0})
        self.assertEqual(self.jitter.asked[:2], [(0, FIRST_DELAY)] * 2)

    def test_a_thousand_that_come_back_at_once_are_spread(self) -> None:
        rng = random.Random(7)
        for _ in range(1000):
            self.make(rng).start()
        times = sorted(call.getTime() for call in self.reactor.getDelayedCalls())
        self.assertLessEqual(times[-1], FIRST_DELAY)
        buckets = [
            sum(FIRST_DELAY * n / 10 <= t < FIRST_DELAY * (n + 1) / 10 for t in times) for n in range(10)
        ]
        self.assertTrue(all(60 < count < 140 for count in buckets), buckets)

    def test_a_connection_alone_does_not_begin_anew(self) -> None:
        self.dialler.start()
        self.wait()
        for _ in range(5):
            self.lose(self.connect()[0])
            self.wait()
        self.assertAlmostEqual(self.jitter.asked[-1][1], FIRST_DELAY * FACTOR**4)

    def test_being_let_in_does(self) -> None:
        self.dialler.start()
        self.wait()
        for _ in range(5):
            self.refuse()
            self.wait()
        link, _ = self.connect()
        self.dialler.authenticated()
        self.lose(link)
        self.assertAlmostEqual(self.wait(), FIRST_DELAY)

    def test_another_address_counts_from_the_next_try(self) -> None:
        self.dialler.start()
        self.wait()
        self.dialler.address = Address("10.0.0.6", 5003)
        self.refuse()
        self.wait()
        self.assertEqual(self.reactor.tcpClients[-1][:2], ("10.0.0.6", 5003))

    def test_again_cuts_a_long_wait_short(self) -> None:
        self.dialler.start()
        self.wait()
        for _ in range(10):
            self.refuse()
            self.wait()
        self.refuse()
        self.dialler.again()
        self.assertAlmostEqual(self.wait(), FIRST_DELAY)

    def test_again_changes_nothing_while_dialling_or_linked(self) -> None:
        self.dialler.start()
        self.wait()
        self.dialler.again()
        self.connect()
        self.dialler.again()
        self.assertEqual(self.dials, 1)


class StopTests(DiallerTestCase):
    """Wherever it is, it ends."""

    def test_before_the_first_try(self) -> None:
        self.dialler.start()
        self.successResultOf(self.dialler.stop())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_while_waiting(self) -> None:
        self.dialler.start()
        self.wait()
        self.refuse()
        self.successResultOf(self.dialler.stop())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_while_dialling(self) -> None:
        self.dialler.start()
        self.wait()
        connector = self.reactor.connectors[-1]
        self.successResultOf(self.dialler.stop())
        self.assertTrue(connector._disconnected)
        self.refuse()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_with_a_link_it_waits_for_its_end(self) -> None:
        self.dialler.start()
        self.wait()
        link, line = self.connect()
        self.assertIs(self.dialler.link, link)
        done, again = self.dialler.stop(), self.dialler.stop()
        self.assertNoResult(done)
        self.assertTrue(line.disconnecting)
        self.lose(link)
        self.successResultOf(done)
        self.successResultOf(again)
        self.assertEqual(link.reasons, [CloseReason.SHUTDOWN])
        self.assertIsNone(self.dialler.link)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_being_let_in_late_does_not_start_it_again(self) -> None:
        self.dialler.start()
        self.wait()
        link, _ = self.connect()
        self.dialler.stop()
        self.dialler.authenticated()
        self.lose(link)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
