# SPDX-License-Identifier: MIT
"""Bad input to the whole suite in memory: the answers of ``docs/protocol.md``, and nobody else sees it.

The same is done with real processes in ``tests/system/test_bad_input.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.trial.unittest import SynchronousTestCase

from tests.bad_input import Mouth, Ordeal, Place
from xjrelay.sandbox.suite import TRACKER_PORT, Sandbox
from xjrelay.security.secret import ClusterSecret


class InMemory:
    """A sandbox, and a machine that is none of its own."""

    our_host = "10.9.9.9"

    def __init__(self, sandbox: Sandbox) -> None:
        self.tracker = sandbox.machine("tracker").address, TRACKER_PORT
        self.secret: ClusterSecret = sandbox.secret
        self._machine: Any = sandbox.network.machine(self.our_host)

    def dial(self, place: Place) -> Deferred[Mouth]:
        dialled: Deferred[Mouth] = connectProtocol(TCP4ClientEndpoint(self._machine, *place), Mouth())
        return dialled


class BadInputTests(SynchronousTestCase):
    """Each trial, with a bystander."""

    def suffer(self, trial: Callable[[Ordeal], Awaitable[None]]) -> None:
        sandbox = Sandbox(seed=3)
        sandbox.start()
        sandbox.advance(2)
        ordeal = Ordeal(InMemory(sandbox), self.assertEqual)

        async def whole() -> None:
            await ordeal.begin()
            await trial(ordeal)
            await ordeal.end()

        sandbox.run(whole(), 600.0)
        for name in sandbox.programs:
            self.assertTrue(sandbox.ready(name), name)

    def test_what_is_refused_is_answered_in_every_phase(self) -> None:
        self.suffer(Ordeal.refusals)

    def test_a_wrong_question_is_answered_in_an_iq(self) -> None:
        self.suffer(Ordeal.wrong_questions)

    def test_ten_bad_frames_in_a_row_close(self) -> None:
        self.suffer(Ordeal.too_many)

    def test_a_frame_too_long_is_413_and_the_end(self) -> None:
        self.suffer(Ordeal.too_long)

    def test_a_hello_that_never_comes_closes(self) -> None:
        self.suffer(Ordeal.hellos_that_never_come)

    def test_half_a_frame_and_silence_close(self) -> None:
        self.suffer(Ordeal.halves)
