# SPDX-License-Identifier: MIT
"""The corpus, run through every target; and that each target notices a broken promise."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz import targets
from tests.fuzz.programs import RelayRig
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, Promise, Server
from xjrelay.servers.manager.protocol import ManagerProtocol
from xjrelay.servers.relay.mesh_end import MeshEnd
from xjrelay.servers.relay.sessions import UserSession
from xjrelay.wire import codec, framing

FOLDER = Path(__file__).resolve().parent


class CorpusTests(SynchronousTestCase):
    """Without the fuzzer: what is known."""

    def inputs(self, target: str) -> list[bytes]:
        return [path.read_bytes() for path in sorted((FOLDER / "corpus" / target).iterdir())]

    def test_every_target_has_a_corpus(self) -> None:
        self.assertEqual({path.name for path in (FOLDER / "corpus").iterdir()}, set(TARGETS))

    def test_every_promise_holds(self) -> None:
        for name, target in TARGETS.items():
            for data in self.inputs(name):
                target(data)

    def test_every_promise_holds_of_what_is_cut_and_joined_at_random(self) -> None:
        chance = random.Random(1)
        for name, target in TARGETS.items():
            inputs = self.inputs(name)
            for _ in range(50):
                one, other = chance.choice(inputs), chance.choice(inputs)
                target(one[: chance.randrange(len(one) + 1)] + other[chance.randrange(len(other) + 1) :])

    def test_the_corpus_is_small(self) -> None:
        files = [path for path in (FOLDER / "corpus").rglob("*") if path.is_file()]
        self.assertLess(sum(path.stat().st_size for path in files), 300_000)

    def test_the_seeds_are_those_of_the_documents(self) -> None:
        for target, seed in seeds():
            self.assertIn(target, TARGETS)
            self.assertIsInstance(seed, bytes)


class NoticingTests(SynchronousTestCase):
    """Faults, planted."""

    def breaks(self, target: str, data: bytes, error: type[Exception] = Promise) -> str:
        return str(self.assertRaises(error, TARGETS[target], data))

    def test_a_framer_that_forgets_where_a_read_was_cut(self) -> None:
        self.patch(framing.Framer, "_join", lambda self, data: data)
        self.breaks("framing", b'\1{"a":1}\n{"b":2}\n')

    def test_a_codec_that_takes_a_key_twice(self) -> None:
        self.patch(codec, "_repeats", lambda *args: False)
        self.assertIn("a key twice", self.breaks("frames", b'{"a":1,"a":2}'))

    def test_a_handler_that_breaks(self) -> None:
        def broken(self: object, iq: object) -> None:
            raise KeyError("planted")

        self.patch(ManagerProtocol, "on_iq", broken)
        self.breaks("manager_user", b'\0{"stanza":"iq"}\n', KeyError)
        self.flushLoggedErrors(KeyError)

    def test_a_session_that_lets_anybody_be_anybody(self) -> None:
        self.patch(UserSession, "_own", lambda self, sender: sender or self.username)
        forged = b'\0{"stanza":"message","to":"Fajar","from":"Gita","body":"x"}\n'
        self.assertIn("who speaks", self.breaks("relay_user", forged))

    def test_a_relay_that_is_believed_about_anybody(self) -> None:
        self.patch(MeshEnd, "_announced", lambda self, from_: True)
        forged = b'\0{"stanza":"message","to":"Fajar","from":"Fajar","body":"x"}\n'
        self.assertIn("who speaks", self.breaks("mesh", forged))

    def test_a_timer_that_is_left_behind(self) -> None:
        def enter(rig: RelayRig) -> Any:
            rig.clock.callLater(1e6, lambda: None)
            return rig.link()

        leaky = Server(RelayRig, enter, targets._nobody_heard)
        with self.assertRaises(Promise) as caught:
            for _ in range(20):
                leaky(b"\0")
        self.assertIn("no timers", str(caught.exception))
