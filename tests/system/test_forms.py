# SPDX-License-Identifier: MIT
"""The two small benchmarks of one process do what they say: every form answers, every session is let in."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from benchmarks import idle_objects, tls_forms
from benchmarks.programs import make_certificate


class FormTests(TestCase):
    """Nothing here is timed."""

    def test_every_form_of_tls_answers(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        certificate = make_certificate(folder)
        for name in tls_forms.FORMS:
            self.assertGreater(tls_forms.measure(name, certificate, connections=2, rounds=3), 0, name)

    async def test_every_session_is_let_in(self) -> None:
        factory, signer = idle_objects.relay(reactor)
        ends = list(idle_objects.users(reactor, factory, idle_objects.hellos(signer, 0, 3)))
        self.assertEqual([b'"hello!"' in end.recv(4096) for end in ends], [True] * 3)
        gone = factory.close_all()
        for end in ends:
            end.close()
        await gone
