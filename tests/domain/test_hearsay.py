# SPDX-License-Identifier: MIT
"""What strangers' lists can make us dial, and what they can't."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.hearsay import (
    FORGET,
    MAX_OF_HOST,
    MAX_OF_TELLER,
    MAX_TRIED,
    MAX_WAITING,
    Hearsay,
    Surroundings,
    dialable,
    reachable_at,
)
from xjrelay.wire.peers import Entry

OURS = Surroundings({("10.0.0.1", 5000), ("127.0.0.1", 5000)}, {"10.0.0.1"})
STRANGER = "198.51.100.7"


def entries(*hosts: str, port: int = 5000) -> list[Entry]:
    """One peer on each host."""
    return [Entry(f"p{number}", "P", host, port) for number, host in enumerate(hosts)]


class PlaceTests(SynchronousTestCase):
    """Which places are gone to on somebody's word."""

    def test_an_address_out_there(self) -> None:
        for host in ("10.0.0.2", "93.184.216.34", "2001:db8::1"):
            self.assertEqual(dialable(host, 5000, STRANGER, OURS), (host, 5000))

    def test_no_names_no_nonsense(self) -> None:
        nowhere = ("0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "240.0.0.1", "fe80::1")
        for host in ("example.org", "", *nowhere):
            self.assertIsNone(dialable(host, 5000, "127.0.0.1", OURS), host)
        for port in (0, -1, 65536):
            self.assertIsNone(dialable("10.0.0.2", port, STRANGER, OURS))

    def test_nothing_on_this_machine_for_whoever_is_not_on_it(self) -> None:
        for host in ("127.0.0.1", "127.1.2.3", "localhost", "::1", "10.0.0.1", "::ffff:127.0.0.1"):
            self.assertIsNone(dialable(host, 22, STRANGER, OURS), host)

    def test_on_this_machine_for_whoever_is(self) -> None:
        self.assertEqual(dialable("localhost", 5001, "127.0.0.1", OURS), ("127.0.0.1", 5001))
        self.assertEqual(dialable("127.0.0.1", 5001, "10.0.0.1", OURS), ("127.0.0.1", 5001))

    def test_never_ourselves(self) -> None:
        for host in ("127.0.0.1", "localhost", "10.0.0.1"):
            self.assertIsNone(dialable(host, 5000, "127.0.0.1", OURS))

    def test_a_joiner_is_where_it_comes_from(self) -> None:
        self.assertEqual(reachable_at("203.0.113.9", 5001, STRANGER), (STRANGER, 5001))
        self.assertEqual(reachable_at("localhost", 5001, "127.0.0.1"), ("127.0.0.1", 5001))
        self.assertEqual(reachable_at("10.0.0.1", 5001, "127.0.0.1"), ("10.0.0.1", 5001))
        self.assertEqual(reachable_at("0.0.0.0", 5001, "127.0.0.1"), ("127.0.0.1", 5001))
        self.assertIsNone(reachable_at("10.0.0.1", 0, STRANGER))
        self.assertIsNone(reachable_at("10.0.0.1", 5001, ""))


class BoundTests(SynchronousTestCase):
    """How many."""

    def setUp(self) -> None:
        self.hearsay = Hearsay()
        self.now = 0.0

    def offer(self, teller: str, said: list[Entry]) -> int:
        return self.hearsay.offer(teller, STRANGER, said, OURS, self.now)

    def try_all(self) -> list[tuple[str, int]]:
        tried = []
        while (candidate := self.hearsay.next(self.now)) is not None:
            tried.append(candidate.place)
        return tried

    def test_each_place_once_in_a_while(self) -> None:
        said = entries("10.0.0.2", "10.0.0.2", "10.0.0.3")
        self.assertEqual(self.offer("a", said), 2)
        self.assertEqual(self.offer("b", said), 0)
        self.assertEqual(self.try_all(), [("10.0.0.2", 5000), ("10.0.0.3", 5000)])
        self.assertEqual(self.offer("a", said), 0)
        self.now = FORGET
        self.assertEqual(self.offer("a", said), 2)

    def test_so_many_a_teller(self) -> None:
        said = entries(*(f"10.1.{n // 250}.{n % 250 + 1}" for n in range(10_000)))
        self.assertEqual(self.offer("a", said), MAX_OF_TELLER)
        self.assertEqual(len(self.try_all()), MAX_OF_TELLER)
        self.assertEqual(self.offer("a", said), 0)
        self.assertEqual(self.offer("b", said), MAX_OF_TELLER)

    def test_so_many_a_host(self) -> None:
        said = [Entry(f"p{port}", "P", "10.0.0.2", port) for port in range(1, 10_000)]
        self.assertEqual(self.offer("a", said), MAX_OF_HOST)
        self.try_all()
        self.assertEqual(self.offer("b", said), 0)

    def test_so_many_in_all(self) -> None:
        for teller in range(100):
            self.offer(str(teller), entries(*(f"10.{teller}.1.{n + 1}" for n in range(200))))
        self.assertEqual(len(self.hearsay), MAX_WAITING)

    def test_what_is_remembered_is_bounded(self) -> None:
        for number in range(MAX_TRIED + 500):
            self.offer(str(number), entries(f"10.{number // 250}.2.{number % 250 + 1}"))
            self.hearsay.next(self.now)
        self.assertEqual(self.offer("again", entries("10.0.2.1")), 1)  # the oldest is forgotten
        self.assertEqual(self.offer("again", entries("10.18.2.50")), 0)
