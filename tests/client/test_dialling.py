# SPDX-License-Identifier: MIT
"""Dialling by Twisted: what is called off ends there, wherever it was."""

from __future__ import annotations

import random
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from xjrelay.client.network import Connection, DialError
from xjrelay.client.tx_network import TwistedNetwork
from xjrelay.security.tls import ClientTLS


class Nobody:
    """What would hear the connection."""

    def received(self, data: bytes) -> None:
        raise AssertionError("nobody speaks here")

    def lost(self, reason: str) -> None:
        raise AssertionError("nothing was made that could be lost")


@implementer(IReactorPluggableNameResolver)
class SlowNames(MemoryReactorClock):
    """A reactor whose names are found when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = cast(IHostnameResolver, self)
        self.asked: list[Any] = []

    def installNameResolver(self, resolver: Any) -> IHostnameResolver:
        raise AssertionError("it has one")

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, **_: Any) -> None:
        self.asked.append(receiver)

    def found(self, *hosts: str) -> None:
        for host in hosts:
            self.asked[-1].addressResolved(IPv4Address("TCP", host, 5000))
        self.asked[-1].resolutionComplete()


class DiallingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = SlowNames()
        self.network = TwistedNetwork(cast(Any, self.reactor), random.Random(1), ClientTLS(None))

    def dial(self) -> Deferred[Connection]:
        dialled = self.network.dial("chat.example.org", 5000, Nobody(), 10.0)
        assert isinstance(dialled, Deferred)
        return dialled

    def test_a_name_that_is_none(self) -> None:
        dialled = self.dial()
        self.reactor.found()
        self.assertEqual(str(self.failureResultOf(dialled, DialError).value), "no such host")

    def test_called_off_while_a_name_is_looked_up_it_is_no_failed_try(self) -> None:
        dialled = self.dial()
        dialled.cancel()
        self.assertNotIsInstance(self.failureResultOf(dialled).value, (DialError, DNSLookupError))

    def test_called_off_while_it_connects(self) -> None:
        dialled = self.dial()
        self.reactor.found("192.0.2.1")
        self.reactor.advance(1)
        self.assertEqual(len(self.reactor.tcpClients), 1)
        dialled.cancel()
        self.failureResultOf(dialled, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
