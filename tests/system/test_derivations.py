# SPDX-License-Identifier: MIT
"""A storm of logins on real threads: bounded, and never on the reactor's."""

from __future__ import annotations

import threading

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import TestCase

from xjrelay.security import scram
from xjrelay.servers.manager.service import Derivations


class DerivationTests(TestCase):
    """Where keys are derived."""

    timeout = 60

    def setUp(self) -> None:
        self.derivations = Derivations(reactor, threads=2)
        self.derivations.startService()
        self.addCleanup(self.derivations.stopService)
        self.lock = threading.Lock()
        self.at_work = self.most = 0
        self.threads: set[int] = set()
        self.go_on = threading.Event()

    def work(self, number: int) -> int:
        """What takes its time, until the reactor says."""
        with self.lock:
            self.threads.add(threading.get_ident())
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        self.go_on.wait(30)
        with self.lock:
            self.at_work -= 1
        return number

    async def test_the_reactor_goes_on_and_so_many_work_at_a_time(self) -> None:
        waiting = [self.derivations.run(self.work, number) for number in range(100)]
        turned: Deferred[None] = Deferred()
        IReactorTime(reactor).callLater(0.05, turned.callback, None)
        await turned  # had a derivation been on this thread, it would wait for what comes only now
        self.assertFalse(any(one.called for one in waiting))
        self.go_on.set()
        self.assertEqual(await gatherResults(waiting), list(range(100)))
        self.assertEqual(self.most, 2)
        self.assertNotIn(threading.get_ident(), self.threads)

    async def test_real_ones_and_one_that_fails(self) -> None:
        right = self.derivations.run(scram.derive, "rahasia", 4096, b"s" * 16)
        wrong = self.derivations.run(scram.derive, "\x00", 4096, b"s" * 16)
        self.assertTrue(scram.verify("rahasia", await right))
        with self.assertRaises(scram.ScramError):
            await wrong
