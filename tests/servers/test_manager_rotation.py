# SPDX-License-Identifier: MIT
"""The signing key changes from time to time, and nobody is logged out."""

from __future__ import annotations

from tests.servers.manager_rig import ManagerCase, Rig
from xjrelay.security.private import PrivateFileError
from xjrelay.security.tokens import Verifier
from xjrelay.servers.manager.rotation import DAY, Rotation
from xjrelay.servers.manager.state import Policy


class RotationTests(ManagerCase):
    """A key of ten days."""

    def setUp(self) -> None:
        self.rig = Rig(policy=Policy(key_rounds=4096, signing_key_days=10))
        self.rotation = Rotation(self.rig.manager)
        self.rotation.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        if self.rotation.running:
            self.rotation.stopService()

    def kids(self) -> list[str]:
        return [key["kid"] for key in self.rig.signer.public_keys()]

    def test_relays_learn_the_new_key_before_it_signs(self) -> None:
        [old] = self.kids()
        self.rig.clock.advance(10 * DAY - 2)
        relay, _ = self.rig.relay("a")
        esa = self.rig.register("esa")
        before = esa.ask({"type": "get_relay_less_connection"})
        self.rig.advance(2)
        (pushed,) = relay.take()
        self.assertEqual([key["kid"] for key in pushed["keys"]], [self.kids()[0], old])
        verifier = Verifier(self.rig.clock.seconds, started=0)
        verifier.set_keys(pushed["keys"])
        verifier.user(before["token"], "relay1")
        verifier.relay(pushed["token"], "relay1")
        verifier.user(esa.ask({"type": "get_relay_less_connection"})["token"], "relay1")
        self.assertEqual(self.rig.verifier.relay(pushed["token"]).sub, "relay1", "the old key signs on")
        self.rig.clock.advance(60)
        verifier.user(esa.ask({"type": "get_relay_less_connection"})["token"], "relay1")

    def test_it_goes_on(self) -> None:
        for expected in (1, 2, 3, 4, 4):
            self.assertEqual(len(self.kids()), expected)
            self.rig.clock.advance(10 * DAY)

    def test_a_key_that_came_of_age_while_nobody_ran_is_changed_at_once(self) -> None:
        self.rotation.stopService()
        self.rig.clock.advance(11 * DAY)
        self.assertEqual(len(self.kids()), 1)
        self.rotation.startService()
        self.rig.clock.advance(0)
        self.assertEqual(len(self.kids()), 2)

    def test_one_that_fails_is_tried_again(self) -> None:
        def full(keys: object, made: float) -> None:
            raise PrivateFileError("the disk is full")

        self.rig.signer._save = full
        self.rig.clock.advance(10 * DAY)
        self.assertEqual(len(self.kids()), 1)
        self.rig.signer._save = None
        self.rig.clock.advance(3600)
        self.assertEqual(len(self.kids()), 2)
