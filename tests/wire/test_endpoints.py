# SPDX-License-Identifier: MIT
"""Where programs are dialled: the two forms, and which of several ways in is taken."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.wire.endpoints import Address, is_loopback, parse, secured, way_in


class FormTests(SynchronousTestCase):
    """Text and value."""

    def test_both_ways(self) -> None:
        cases = {
            "relay1.example.org:5002": Address("relay1.example.org", 5002),
            "[2001:db8::1]:5002": Address("2001:db8::1", 5002),
            "tls:relay1.example.org:5223": Address("relay1.example.org", 5223, tls=True),
            "tls:[::1]:5223": Address("::1", 5223, tls=True),
        }
        for text, address in cases.items():
            self.assertEqual((parse(text), str(address)), (address, text))
        self.assertEqual(parse("tls://a:1"), Address("a", 1, tls=True))

    def test_what_is_none(self) -> None:
        wrong = ["", "a", "a:", ":1", "a:b", "a:0", "a:65536", "a b:1", "tls:", "tls:a", "xj://a:1", "a:٣"]
        for text in wrong:
            self.assertRaises(ValueError, parse, text)

    def test_loopback(self) -> None:
        self.assertEqual([is_loopback(host) for host in ("127.0.0.1", "::1", "localhost")], [True] * 3)
        self.assertEqual([is_loopback(host) for host in ("", "10.0.0.1", "example.org")], [False] * 3)


class WayInTests(SynchronousTestCase):
    """What a component says of itself, to whoever wants to dial it."""

    OFFERED = ("ws:relay1:80", "tls:relay1.example.org:5223", "nonsense")
    SECURE = Address("relay1.example.org", 5223, tls=True)

    def test_what_others_offer_besides_is_passed_over(self) -> None:
        self.assertEqual(secured(self.OFFERED), [self.SECURE])
        self.assertEqual((secured(None), secured(())), ([], []))

    def test_tls_where_it_is_preferred(self) -> None:
        self.assertEqual(way_in("10.0.0.5", 5002, self.OFFERED, tls=True), self.SECURE)
        self.assertEqual(way_in("10.0.0.5", 5002, self.OFFERED, tls=False), Address("10.0.0.5", 5002))
        self.assertEqual(way_in("10.0.0.5", 5002, None, tls=True), Address("10.0.0.5", 5002))

    def test_a_place_that_is_tls_is_never_dialled_without(self) -> None:
        for tls in (False, True):
            self.assertEqual(way_in("relay1.example.org", 5223, self.OFFERED, tls), self.SECURE)
