# SPDX-License-Identifier: MIT
"""One link a pair: who dials, which of two links stays, and what follows a loss."""

from __future__ import annotations

import random
from typing import Any, cast

from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.net.context import Context
from xjrelay.net.mesh import MAX_LINKS, PATIENCE, Mesh
from xjrelay.net.protocol import Link
from xjrelay.wire.endpoints import Address
from xjrelay.wire.errors import CloseReason

HERE = Address("10.0.0.2", 5002)
THERE = Address("10.0.0.3", 5003)


class Wire:
    """One end of a link, as the mesh sees it."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.probes = 0
        self.reason: CloseReason | None = None

    def __repr__(self) -> str:
        return self.label

    def probe(self) -> None:
        self.probes += 1

    def close(self, reason: CloseReason) -> None:
        self.reason = reason


class MeshTests(SynchronousTestCase):
    """We are relay2; relay1 and relay3 are the others."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.context = Context(self.reactor, random.Random(1))
        self.changes: list[tuple[str, Wire | None]] = []
        self.mesh: Mesh[Wire] = Mesh(
            cast(Any, self.reactor), self.context, self.build, self.changed
        )
        self.mesh.name = "relay2"
        self.ours, self.theirs = Wire("ours"), Wire("theirs")

    def build(self, name: str) -> Link:
        return Link(self.context)

    def changed(self, name: str, link: Wire | None) -> None:
        self.changes.append((name, link))

    def dials(self) -> list[tuple[str, int]]:
        """Where we dialled since the last look, given time enough."""
        self.reactor.advance(60.0)
        made = [(client[0], client[1]) for client in self.reactor.tcpClients]
        self.reactor.tcpClients.clear()
        return made

    def refuse(self) -> None:
        """The dial under way fails."""
        factory, connector = self.reactor.tcpClients[-1][2], self.reactor.connectors[-1]
        factory.clientConnectionFailed(connector, Failure(ConnectionRefusedError()))

    def both(self, name: str = "relay1") -> None:
        """A link from either side."""
        self.mesh.up(name, self.theirs, False, HERE)
        self.mesh.up(name, self.ours, True, HERE)

    def test_a_relay_it_is_told_of_is_dialled_once(self) -> None:
        self.mesh.keep("relay1", HERE)
        self.mesh.keep("relay1", HERE)
        self.assertEqual(self.dials(), [HERE[:2]])

    def test_it_never_dials_itself(self) -> None:
        self.mesh.keep("relay2", HERE)
        self.assertEqual(self.dials(), [])

    def test_it_dials_for_ever_at_whatever_address_is_known(self) -> None:
        self.mesh.keep("relay1", HERE)
        self.reactor.advance(1.0)
        for _ in range(20):
            self.refuse()
            self.reactor.tcpClients.clear()
            self.reactor.advance(30.0)
        self.refuse()
        self.mesh.keep("relay1", THERE)
        self.reactor.tcpClients.clear()
        self.assertEqual(self.dials(), [THERE[:2]])

    def test_a_link_from_the_other_side_spares_the_dial(self) -> None:
        self.mesh.keep("relay1", HERE)
        self.mesh.up("relay1", self.theirs, False, HERE)
        self.assertEqual(self.dials(), [])
        self.assertEqual((self.mesh.active("relay1"), self.mesh.linked()), (self.theirs, ["relay1"]))

    def test_a_relay_that_dialled_us_is_dialled_when_its_link_is_lost(self) -> None:
        self.mesh.up("relay1", self.theirs, False, THERE)
        self.mesh.down("relay1", self.theirs)
        self.assertEqual(self.dials(), [THERE[:2]])
        self.assertEqual(self.changes, [("relay1", self.theirs), ("relay1", None)])

    def test_a_dial_in_vain_ends_once_the_other_side_has_a_link(self) -> None:
        self.mesh.keep("relay1", HERE)
        self.reactor.advance(1.0)
        factory = self.reactor.tcpClients[-1][2]
        factory.buildProtocol(None)  # connected, and in its handshake
        self.mesh.up("relay1", self.theirs, False, HERE)
        factory.clientConnectionLost(self.reactor.connectors[-1], Failure(ConnectionDone()))
        self.reactor.tcpClients.clear()
        self.assertEqual(self.dials(), [])
        self.mesh.down("relay1", self.theirs)
        self.assertEqual(self.dials(), [HERE[:2]])

    def test_of_two_links_the_one_dialled_by_the_smaller_name_stays(self) -> None:
        for name in ("relay1", "relay3"):
            self.ours, self.theirs = Wire("ours"), Wire("theirs")
            stays = self.theirs if name == "relay1" else self.ours
            goes = self.ours if stays is self.theirs else self.theirs
            self.both(name)
            self.assertEqual((self.ours.probes, self.theirs.probes), (1, 1))
            self.mesh.answered(name, goes)
            self.assertEqual((goes.reason, stays.reason), (None, None))
            self.mesh.answered(name, stays)
            self.assertEqual((goes.reason, stays.reason), (CloseReason.DUPLICATE, None))
            self.assertIs(self.mesh.active(name), stays)
            self.mesh.down(name, goes)
            self.assertIs(self.mesh.active(name), stays)

    def test_a_link_that_does_not_answer_in_time_goes(self) -> None:
        self.both("relay1")
        self.mesh.answered("relay1", self.ours)
        self.reactor.advance(PATIENCE)
        self.assertEqual((self.theirs.reason, self.ours.reason), (CloseReason.DUPLICATE, None))
        self.assertEqual(self.changes, [("relay1", self.theirs), ("relay1", self.ours)])

    def test_where_nobody_answers_the_latest_stays(self) -> None:
        self.both("relay1")
        self.reactor.advance(PATIENCE)
        self.assertEqual((self.theirs.reason, self.ours.reason), (CloseReason.DUPLICATE, None))

    def test_of_two_links_from_the_same_side_the_later_stays(self) -> None:
        later = Wire("later")
        self.mesh.up("relay1", self.theirs, False, HERE)
        self.mesh.up("relay1", later, False, HERE)
        self.mesh.answered("relay1", later)
        self.assertEqual((self.theirs.reason, later.reason), (CloseReason.DUPLICATE, None))

    def test_when_one_of_two_is_lost_the_other_takes_over_without_a_dial(self) -> None:
        self.both("relay1")
        self.mesh.down("relay1", self.theirs)
        self.assertIs(self.mesh.active("relay1"), self.ours)
        self.reactor.advance(PATIENCE)
        self.assertIsNone(self.ours.reason)
        self.assertEqual(self.changes, [("relay1", self.theirs), ("relay1", self.ours)])

    def test_the_links_of_a_pair_are_bounded(self) -> None:
        taken = [self.mesh.up("relay1", Wire(str(n)), False, HERE) for n in range(MAX_LINKS + 1)]
        self.assertEqual(taken, [True] * MAX_LINKS + [False])

    def test_under_another_name_it_begins_anew(self) -> None:
        self.mesh.up("relay1", self.theirs, False, HERE)
        self.mesh.drop_all(CloseReason.CONFLICT)
        self.mesh.name = "relay1"
        self.assertEqual(self.theirs.reason, CloseReason.CONFLICT)
        self.mesh.down("relay1", self.theirs)
        self.assertEqual((self.dials(), self.mesh.linked()), ([], []))

    def test_at_the_end_nothing_is_dialled_or_taken_and_no_timer_is_left(self) -> None:
        self.mesh.keep("relay3", THERE)
        self.both("relay1")
        done: list[None] = []
        self.mesh.stop().addCallback(done.append)
        self.assertEqual((self.ours.reason, self.theirs.reason), (CloseReason.SHUTDOWN,) * 2)
        self.mesh.keep("relay1", HERE)
        self.assertFalse(self.mesh.up("relay1", Wire("late"), False, HERE))
        self.assertEqual((done, self.reactor.getDelayedCalls(), self.dials()), ([None], [], []))
