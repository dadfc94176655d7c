# SPDX-License-Identifier: MIT
"""Which places of a friend's offer are dialled, and when a link is tried again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.direct import (
    FACTOR,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MAX_FRIENDS,
    OFFERS,
    STEADY,
    Tries,
    own_offer_counts,
    worth_dialling,
)
from xjrelay.domain.hearsay import Surroundings
from xjrelay.wire.direct import Candidate

OURS = Surroundings({("192.168.1.5", 40000)}, {"192.168.1.5"})


def worth(*places: tuple[str, int], loopback: bool = False) -> list[tuple[str, int]]:
    return worth_dialling([Candidate(*place) for place in places], OURS, loopback)


class PlaceTests(SynchronousTestCase):
    """``worth_dialling``."""

    def test_addresses_of_others_in_their_order_each_once(self) -> None:
        places = [("192.168.1.9", 40112), ("203.0.113.7", 1024), ("2001:db8::7", 65535)]
        self.assertEqual(worth(*places, places[0]), places)
        self.assertEqual(worth(("::ffff:192.168.1.9", 5000)), [("192.168.1.9", 5000)])

    def test_nothing_on_this_machine(self) -> None:
        for host in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "192.168.1.5", "localhost"):
            self.assertEqual(worth((host, 5000)), [], host)

    def test_nothing_that_is_nobody_s(self) -> None:
        for host in ("0.0.0.0", "::", "224.0.0.251", "ff02::fb", "255.255.255.255", "169.254.1.1", "fe80::1"):
            self.assertEqual(worth((host, 5000)), [], host)

    def test_no_names_and_no_well_known_ports(self) -> None:
        for place in (("example.org", 5000), ("", 5000), ("10.0.0.9", 22), ("10.0.0.9", 1023)):
            self.assertEqual(worth(place), [], place)

    def test_on_loopback_nothing_but_loopback(self) -> None:
        ours = Surroundings({("127.0.0.1", 40000)}, {"127.0.0.1"})
        told = [
            Candidate(*one)
            for one in (("127.0.0.1", 5000), ("10.0.0.9", 5000), ("127.0.0.1", 40000), ("::1", 5001))
        ]
        self.assertEqual(worth_dialling(told, ours, True), [("127.0.0.1", 5000), ("::1", 5001)])


class TriesTests(SynchronousTestCase):
    """``Tries``."""

    def pause(self, tries: Tries, now: float) -> float:
        """How long it takes from ``now`` until another offer may be made, to a tenth."""
        return next(at / 10 for at in range(100_000) if tries.may_offer("fajar", now + at / 10))

    def test_each_failure_makes_the_pause_longer_up_to_the_longest(self) -> None:
        tries, now, seen = Tries(), 0.0, []
        for _ in range(14):
            tries.ended("fajar", now)
            seen.append(self.pause(tries, now))
            now += seen[-1]
        self.assertEqual(seen[:3], [FIRST_PAUSE, FIRST_PAUSE * FACTOR, FIRST_PAUSE * FACTOR**2])
        self.assertEqual(seen[-1], LONGEST_PAUSE)

    def test_a_link_that_held_makes_it_short_again(self) -> None:
        tries = Tries()
        for _ in range(5):
            tries.ended("fajar", 0.0)
        tries.linked("fajar", 100.0)
        tries.ended("fajar", 100.0 + STEADY)
        self.assertEqual(self.pause(tries, 100.0 + STEADY), FIRST_PAUSE)

    def test_and_one_that_did_not_doesn_t(self) -> None:
        tries = Tries()
        tries.ended("fajar", 0.0)
        tries.linked("fajar", 100.0)
        tries.ended("fajar", 100.0 + STEADY / 2)
        self.assertEqual(self.pause(tries, 100.0 + STEADY / 2), FIRST_PAUSE * FACTOR)

    def test_a_friend_that_comes_is_waited_for_no_longer(self) -> None:
        tries = Tries()
        tries.ended("fajar", 0.0, for_long=True)
        self.assertEqual(self.pause(tries, 0.0), LONGEST_PAUSE)
        tries.came("fajar")
        tries.came("gita")
        self.assertTrue(tries.may_offer("fajar", 0.0))

    def test_part_of_the_pause_is_chance(self) -> None:
        tries = Tries()
        tries.ended("fajar", 0.0, spread=0.0)
        self.assertEqual(self.pause(tries, 0.0), FIRST_PAUSE / 2)

    def test_a_friend_makes_so_many_offers(self) -> None:
        tries, (rate, burst) = Tries(), OFFERS
        self.assertEqual([tries.hears("fajar", 0.0) for _ in range(6)], [True] * int(burst) + [False] * 2)
        self.assertTrue(tries.hears("gita", 0.0))
        self.assertTrue(tries.hears("fajar", 1 / rate))

    def test_so_many_are_remembered(self) -> None:
        tries = Tries()
        tries.ended("fajar", 0.0)
        for number in range(MAX_FRIENDS):
            tries.ended(str(number), 0.0)
        self.assertTrue(tries.may_offer("fajar", 0.0))
        self.assertFalse(tries.may_offer("1", 0.0))

    def test_of_two_offers_one_counts(self) -> None:
        self.assertNotEqual(own_offer_counts("esa", "fajar"), own_offer_counts("fajar", "esa"))
