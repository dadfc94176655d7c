# SPDX-License-Identifier: MIT
"""The listening side: how many, and all gone at the end."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.net.lines import Chatty, LogLines, context, lose, opened
from xjrelay.net.factory import LinkFactory
from xjrelay.wire.errors import CloseReason


class FactoryTests(SynchronousTestCase):
    """Two links at most."""

    def setUp(self) -> None:
        self.context = context(Clock(), max_links=2)
        self.factory = LinkFactory(self.context, lambda: Chatty(self.context))

    def accept(self) -> Chatty:
        link = self.factory.buildProtocol(None)
        assert link is not None
        opened(link)
        return link

    def test_links_are_counted_while_they_are_open(self) -> None:
        link = self.accept()
        self.assertEqual(self.factory.links, {link})
        self.assertIs(link.factory, self.factory)
        lose(link)
        self.assertEqual(self.factory.links, set())
        self.assertEqual((self.context.counters.links_open, self.context.counters.links_opened), (0, 1))

    def test_one_too_many_is_not_let_in_until_there_is_room(self) -> None:
        first, _ = self.accept(), self.accept()
        self.assertIsNone(self.factory.buildProtocol(None))
        self.assertEqual(self.context.counters.closed[CloseReason.TOO_MANY_LINKS], 1)
        lose(first)
        self.accept()

    def test_a_flood_is_one_line_in_the_log(self) -> None:
        log = LogLines(self)
        links = [self.accept(), self.accept()]
        for _ in range(100):
            self.assertIsNone(self.factory.buildProtocol(None))
        lose(links[0])
        self.accept()
        self.assertIsNone(self.factory.buildProtocol(None))
        told = [line for line in log.lines if "too many links, 2 are open" in line]
        self.assertEqual(len(told), 2)

    def test_close_all_fires_when_the_last_is_gone(self) -> None:
        links = [self.accept(), self.accept()]
        done, again = self.factory.close_all(), self.factory.close_all()
        lose(links[0])
        self.assertNoResult(done)
        lose(links[1])
        self.successResultOf(done)
        self.successResultOf(again)
        self.assertEqual([link.reasons for link in links], [[CloseReason.SHUTDOWN]] * 2)

    def test_close_all_of_nothing_fires_at_once(self) -> None:
        self.successResultOf(self.factory.close_all())

    def test_nobody_is_let_in_afterwards(self) -> None:
        self.factory.close_all()
        self.assertIsNone(self.factory.buildProtocol(None))
        self.assertEqual(self.context.counters.closed[CloseReason.TOO_MANY_LINKS], 0)


class AdmissionTests(SynchronousTestCase):
    """Who is one too many, besides."""

    def factory(self, **limits: int) -> LinkFactory[Chatty]:
        self.context = context(Clock(), **limits)
        return LinkFactory(self.context, lambda: Chatty(self.context))

    def admits(self, factory: LinkFactory[Chatty], address: IAddress) -> Chatty | None:
        link = factory.buildProtocol(address)
        if link is not None:
            opened(link)
        return link

    def assertCounted(self, reason: CloseReason, option: str, times: int = 1) -> None:
        counters = self.context.counters
        self.assertEqual((counters.closed[reason], counters.limited[option]), (times, times))

    def test_an_address_has_so_many_at_a_time(self) -> None:
        factory = self.factory(max_links_address=2)
        here, there = IPv4Address("TCP", "192.0.2.1", 1), IPv4Address("TCP", "192.0.2.2", 1)
        links = [self.admits(factory, here), self.admits(factory, here)]
        self.assertIsNone(self.admits(factory, here))
        self.assertIsNotNone(self.admits(factory, there))
        self.assertCounted(CloseReason.TOO_MANY_FROM_ADDRESS, "max-links-address")
        assert links[0] is not None
        lose(links[0])
        self.assertIsNotNone(self.admits(factory, here))

    def test_a_network_of_ipv6_is_one_address(self) -> None:
        factory = self.factory(max_links_address=2)
        hosts = [f"2001:db8:0:7::{number}" for number in range(1, 4)]
        admitted = [self.admits(factory, IPv6Address("TCP", host, 1)) is not None for host in hosts]
        self.assertEqual(admitted, [True, True, False])
        self.assertIsNotNone(self.admits(factory, IPv6Address("TCP", "2001:db8:0:8::1", 1)))

    def test_this_machine_is_left_alone_unless_it_is_asked_for(self) -> None:
        addresses = [IPv4Address("TCP", "127.0.0.1", 1), IPv6Address("TCP", "::1", 1)]
        addresses += [IPv6Address("TCP", "::ffff:127.0.0.1", 1)]
        factory = self.factory(max_links_address=1)
        self.assertNotIn(None, [self.admits(factory, one) for one in [*addresses, UNIXAddress("/x")] * 3])
        factory = self.factory(max_links_address=1, limit_loopback=True)
        admitted = [self.admits(factory, one) is not None for one in addresses]
        self.assertEqual(admitted, [True, True, False])  # the last two are two spellings of one
        self.assertIsNotNone(self.admits(factory, UNIXAddress("/x")))

    def test_so_many_may_be_in_their_handshake_and_the_oldest_makes_way(self) -> None:
        factory = self.factory(max_handshakes=2)
        address = IPv4Address("TCP", "127.0.0.1", 1)
        first, second, third = (self.admits(factory, address) for _ in range(3))
        assert first is not None and second is not None and third is not None
        self.assertEqual(first.close_reason, CloseReason.TOO_MANY_HANDSHAKES)
        lose(first)
        self.assertCounted(CloseReason.TOO_MANY_HANDSHAKES, "max-handshakes")
        third.expect_within(60, CloseReason.HELLO_TIMEOUT)  # a longer time is still a handshake
        second.established()
        fourth = self.admits(factory, address)
        assert fourth is not None
        self.assertEqual([link.is_open for link in (second, third, fourth)], [True] * 3)
        lose(third)
        self.admits(factory, address)
        self.assertTrue(fourth.is_open)
        self.admits(factory, address)
        self.assertFalse(fourth.is_open)
        self.assertTrue(second.is_open)

    def test_whoever_is_refused_anyway_makes_nobody_go(self) -> None:
        factory = self.factory(max_handshakes=2, max_links_address=2)
        address = IPv4Address("TCP", "192.0.2.1", 1)
        links = [self.admits(factory, address), self.admits(factory, address)]
        self.assertIsNone(self.admits(factory, address))
        self.assertEqual([link.is_open for link in links if link is not None], [True, True])
