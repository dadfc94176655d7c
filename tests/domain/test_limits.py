# SPDX-License-Identifier: MIT
"""Rates, back-off, quotas and seats count as they should, and forget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain import limits
from xjrelay.domain.limits import BackOff, Meter, Quota, Rates, Seats, TokenBucket, source


class TokenBucketTests(SynchronousTestCase):
    """A rate with a burst."""

    def test_a_burst_is_free_and_then_one_waits(self) -> None:
        bucket = TokenBucket(rate=10, burst=20)
        self.assertEqual(bucket.take(0, 20), 0)
        self.assertEqual(bucket.take(0, 5), 0.5)
        self.assertEqual(bucket.take(0.5, 0), 0)

    def test_it_never_holds_more_than_the_burst(self) -> None:
        bucket = TokenBucket(rate=10, burst=20)
        bucket.take(0, 0)
        self.assertEqual(bucket.take(1000, 21), 0.1)

    def test_a_clock_that_falls_gives_nothing(self) -> None:
        bucket = TokenBucket(rate=1, burst=1)
        bucket.take(100, 1)
        self.assertEqual(bucket.take(50, 1), 1)

    @given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 50)), max_size=50))
    def test_whoever_waits_as_told_never_goes_over_the_rate(self, steps: list[tuple[float, int]]) -> None:
        bucket, now, used = TokenBucket(rate=10, burst=20), 0.0, 0.0
        for pause, units in steps:
            now += pause
            now += bucket.take(now, units)
            used += units
            self.assertLessEqual(used, 20 + 10 * now + 1e-6)


class MeterTests(SynchronousTestCase):
    """Two rates, looked at only when something has run out."""

    def test_either_may_run_out(self) -> None:
        meter = Meter(Rates(stanzas=10, size=100, burst=2), now=0)
        self.assertTrue(meter.spend(20, 200))
        self.assertFalse(meter.spend(1, 0))
        self.assertEqual(meter.wait(0), 0.1)
        self.assertEqual(meter.wait(0.1), 0)
        self.assertFalse(meter.spend(0, 110))
        self.assertEqual(meter.wait(0.1), 1)

    @given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 50), st.integers(0, 999)), max_size=50))
    def test_whoever_waits_as_told_never_goes_far_over_either_rate(
        self, steps: list[tuple[float, int, int]]
    ) -> None:
        meter, now, stanzas, size = Meter(Rates(10, 100, 2), 0.0), 0.0, 0, 0
        for pause, count, length in steps:
            now += pause
            stanzas, size = stanzas + count, size + length
            if not meter.spend(count, length):
                now += meter.wait(now)
            self.assertLessEqual(stanzas, 2 * 20 + 10 * now + 1e-3)
            self.assertLessEqual(size, 2 * 200 + 100 * now + 1e-3)


class SourceTests(SynchronousTestCase):
    """Who an address is."""

    def test_addresses(self) -> None:
        for host, who in (
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("127.0.0.1", None),
            ("127.8.9.1", None),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
            ("", None),
            ("/run/xj.sock", None),
        ):
            self.assertEqual(source(host), who, host)
        self.assertEqual(source("::ffff:127.0.0.1", limit_loopback=True), "127.0.0.1")
        self.assertEqual(source("::1", limit_loopback=True), "::1")


class BackOffTests(SynchronousTestCase):
    """Failures in a row."""

    def test_the_first_are_free_then_it_doubles_to_a_ceiling(self) -> None:
        back_off = BackOff(free=2, first=1, ceiling=5)
        waits = []
        for _ in range(6):
            back_off.failed("esa", 0)
            waits.append(back_off.wait("esa", 0))
        self.assertEqual(waits, [0, 0, 1, 2, 4, 5])

    def test_waiting_it_out_success_and_time_forgive(self) -> None:
        back_off = BackOff(free=0, first=10, forget=100)
        back_off.failed("esa", 0)
        self.assertEqual((back_off.wait("esa", 4), back_off.wait("esa", 10)), (6, 0))
        back_off.succeeded("esa")
        self.assertEqual(back_off.wait("esa", 0), 0)
        back_off.failed("esa", 0)
        back_off.failed("esa", 200)
        self.assertEqual(back_off.wait("esa", 200), 10)
        self.assertEqual((back_off.wait("esa", 300), len(back_off)), (0, 0))

    def test_others_are_not_touched(self) -> None:
        back_off = BackOff(free=0)
        back_off.failed("esa", 0)
        self.assertEqual(back_off.wait("fajar", 0), 0)

    def test_memory_is_bounded(self) -> None:
        self.patch(limits, "MAX_REMEMBERED", 10)
        back_off, quota = BackOff(), Quota(1, 1)
        for number in range(100):
            back_off.failed(str(number), number)
            quota.take(str(number), number)
        self.assertEqual((len(back_off), len(quota)), (10, 10))


class QuotaTests(SynchronousTestCase):
    """So many in so much time."""

    def test_it_runs_out_and_comes_back(self) -> None:
        quota = Quota(most=2, period=10)
        self.assertEqual([quota.take("10.0.0.1", 0) for _ in range(3)], [True, True, False])
        self.assertTrue(quota.take("10.0.0.2", 0))
        self.assertEqual([quota.take("10.0.0.1", 5), quota.take("10.0.0.1", 5)], [True, False])


    def test_what_is_given_back_was_not_used(self) -> None:
        quota = Quota(most=1, period=10)
        quota.take("10.0.0.1", 0)
        quota.give_back("10.0.0.1", 0)
        quota.give_back("10.0.0.2", 0)
        self.assertEqual([quota.take("10.0.0.1", 0), quota.take("10.0.0.1", 0)], [True, False])


class SeatsTests(SynchronousTestCase):
    """So many at a time."""

    def test_a_seat_is_free_again_when_somebody_leaves(self) -> None:
        seats = Seats(2)
        self.assertEqual([seats.take("a") for _ in range(3)], [True, True, False])
        seats.leave("a")
        self.assertTrue(seats.take("a"))

    def test_an_empty_address_is_forgotten(self) -> None:
        seats = Seats(2)
        seats.take("a")
        seats.leave("a")
        self.assertEqual(len(seats), 0)
