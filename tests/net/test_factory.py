# SPDX-License-Identifier: MIT
"""The listening side: how many, and all gone at the end."""

from __future__ import annotations

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
        told = [line for line in log.lines if "2 links open" in line]
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
