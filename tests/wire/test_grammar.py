# SPDX-License-Identifier: MIT
"""Who may say what, where and when: every cell, and what the table promises as a whole."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.wire.errors import Code
from xjrelay.wire.grammar import HEARD, UNAUTHENTICATED, NotHere, Phase, check
from xjrelay.wire.stanzas import Kind

ONLY_IN: dict[Kind, set[Phase]] = {
    Kind.COMPONENT_HELLO: {Phase.TRACKER_HELLO, Phase.MANAGER_HELLO, Phase.RELAY_HELLO},
    Kind.GET_COMPONENTS: {Phase.TRACKER_OPEN},
    Kind.WATCH_COMPONENTS: {Phase.TRACKER_OPEN},
    Kind.COMPONENTS: {Phase.AT_TRACKER_OPEN},
    Kind.MANAGER_WELCOME: {Phase.AT_MANAGER_WELCOME},
    Kind.NCIR: {Phase.MANAGER_RELAY},
    Kind.ECIR: {Phase.MANAGER_RELAY},
    Kind.WHO: {Phase.MANAGER_RELAY},
    Kind.WHO_ANSWER: {Phase.AT_MANAGER_RELAY},
    Kind.REVOKE: {Phase.AT_MANAGER_RELAY},
    Kind.KEYS: {Phase.AT_MANAGER_RELAY},
    Kind.REPORTED: {Phase.MANAGER_RELAY},
    Kind.MAIL: {Phase.AT_MANAGER_RELAY},
    Kind.TAKEN: {Phase.MANAGER_RELAY},
    Kind.GIVEN_UP: {Phase.AT_MANAGER_RELAY},
    Kind.DRAIN: {Phase.MANAGER_RELAY, Phase.AT_MANAGER_RELAY},
    Kind.GET_RELAY: {Phase.MANAGER_USER},
    Kind.IQ: {
        *(Phase.MANAGER_USER, Phase.AT_MANAGER_USER, Phase.DIRECT),
        *(Phase.RELAY_USER, Phase.AT_RELAY_USER, Phase.MESH_OPEN),
    },
    Kind.PRESENCE: {Phase.MANAGER_USER, Phase.AT_MANAGER_USER},
    Kind.USER_HELLO: {Phase.RELAY_HELLO},
    Kind.USER_WELCOME: {Phase.AT_RELAY_HELLO},
    Kind.MESSAGE: {
        *(Phase.RELAY_USER, Phase.AT_RELAY_USER, Phase.MESH_OPEN),
        *(Phase.MANAGER_RELAY, Phase.AT_MANAGER_RELAY, Phase.DIRECT),
    },
    Kind.ACK: {Phase.RELAY_USER, Phase.AT_RELAY_USER},
    Kind.RECEIPT: {Phase.AT_RELAY_USER, Phase.MESH_OPEN, Phase.AT_MANAGER_RELAY, Phase.DIRECT},
    Kind.MOVE: {Phase.AT_RELAY_USER},
    Kind.MESH_WELCOME: {Phase.MESH_WELCOME},
    Kind.NEW_USER: {Phase.MESH_OPEN},
    Kind.END_USER: {Phase.MESH_OPEN},
    Kind.ACTIVITY: {Phase.MESH_OPEN},
}
"""Kinds that mean something in a few phases only, said a second time and the other way round."""


class CellTests(SynchronousTestCase):
    """Phase by kind."""

    def test_every_cell_is_heard_or_not_here(self) -> None:
        for phase in Phase:
            for kind in Kind:
                if kind in HEARD[phase]:
                    check(phase, kind)
                else:
                    error = self.assertRaises(NotHere, check, phase, kind)
                    self.assertEqual((error.code, error.close), (Code.BAD_REQUEST, None))
                    self.assertIn(kind.value, error.msg)

    def test_every_phase_is_in_the_table(self) -> None:
        self.assertEqual(set(HEARD), set(Phase))

    def test_every_kind_is_heard_somewhere(self) -> None:
        self.assertEqual(set().union(*HEARD.values()), set(Kind))

    def test_each_kind_only_where_it_belongs(self) -> None:
        for kind, phases in ONLY_IN.items():
            self.assertEqual({phase for phase in Phase if kind in HEARD[phase]}, phases, kind)
        self.assertEqual(set(Kind) - set(ONLY_IN), {Kind.PING, Kind.PONG, Kind.AUTH, Kind.ANSWER})


class PromiseTests(SynchronousTestCase):
    """What holds for whole rows."""

    def test_whoever_has_to_prove_itself_says_nothing_else(self) -> None:
        for phase in UNAUTHENTICATED:
            self.assertEqual(HEARD[phase], {Kind.AUTH})

    def test_everybody_else_answers_pings(self) -> None:
        for phase in set(Phase) - UNAUTHENTICATED:
            self.assertLessEqual({Kind.PING, Kind.PONG}, HEARD[phase], phase)

    def test_outcomes_are_heard_by_those_who_dialled_and_in_the_mesh(self) -> None:
        heard = {phase for phase in Phase if Kind.ANSWER in HEARD[phase]}
        dialled = {phase for phase in Phase if phase.name.startswith("AT_")}
        self.assertEqual(heard, dialled | {Phase.MESH_WELCOME, Phase.MESH_OPEN})

    def test_nobody_proves_anything_once_let_in(self) -> None:
        proving = {phase for phase in Phase if Kind.AUTH in HEARD[phase]}
        ends = ("_PROOF", "_LOGIN")
        self.assertEqual(proving, {phase for phase in Phase if phase.name.endswith(ends)})
