# SPDX-License-Identifier: MIT
"""A home router, asked for a port: answered, refused, renewed, given back."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.peers import Place
from xjrelay.servers.peer.router import LEASE, PortMapping


class FakeRouter:
    """Maps what it likes.

    Attributes:
        open_ports: what it lets in.
        asked: how often it was asked.
    """

    def __init__(self, refuses: str = "") -> None:
        self.open_ports: set[int] = set()
        self.asked = 0
        self.refuses = refuses

    def open(self, port: int) -> Place:
        """Let others in."""
        self.asked += 1
        if self.refuses:
            raise OSError(self.refuses)
        self.open_ports.add(port)
        return "203.0.113.5", port

    def close(self, port: int) -> None:
        """Let nobody in."""
        self.open_ports.discard(port)


class PortMappingTests(SynchronousTestCase):
    """One port."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.router = FakeRouter()
        self.mapped: list[Place | None] = []

    def mapping(self, make: Any = None) -> PortMapping:
        make = make or (lambda: self.router)
        mapping = PortMapping(self.clock, execute, make, self.mapped.append)
        mapping.startService()
        self.assertIsNone(self.successResultOf(mapping.begin(5000)))
        return mapping

    def test_others_find_us_at_the_router(self) -> None:
        self.mapping()
        self.assertEqual((self.mapped, self.router.open_ports), ([("203.0.113.5", 5000)], {5000}))

    def test_it_is_renewed_in_time_and_given_back_at_the_end(self) -> None:
        mapping = self.mapping()
        self.clock.advance(LEASE / 2)
        self.assertEqual(self.router.asked, 2)
        stopped: Deferred[None] = mapping.stopService()
        self.successResultOf(stopped)
        self.assertEqual((self.router.open_ports, self.clock.getDelayedCalls()), (set(), []))

    def test_a_router_that_refuses_is_asked_again_later(self) -> None:
        self.router.refuses = "no"
        mapping = self.mapping()
        self.assertEqual(self.mapped, [None])
        self.router.refuses = ""
        self.clock.advance(LEASE / 2)
        self.assertEqual(self.mapped, [None, ("203.0.113.5", 5000)])
        self.successResultOf(mapping.stopService())

    def test_no_router_and_no_library_end_nothing(self) -> None:
        for error in (OSError("no router"), ImportError("miniupnpc")):

            def none(error: Exception = error) -> FakeRouter:
                raise error

            mapping = self.mapping(none)
            self.successResultOf(mapping.stopService())
        self.assertEqual(set(self.mapped), {None})
