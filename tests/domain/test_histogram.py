# SPDX-License-Identifier: MIT
"""Durations, counted into steps."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xjrelay.domain.histogram import CREDIT, STEPS, Histogram, Sampling


class HistogramTests(SynchronousTestCase):
    """Values in, counts out."""

    def test_a_step_s_end_belongs_to_it(self) -> None:
        histogram = Histogram()
        for seconds in (STEPS[0], STEPS[1], STEPS[1] + 1e-9, STEPS[-1] + 1):
            histogram.observe(seconds)
        self.assertEqual(histogram.counts[:3], [1, 1, 1])
        self.assertEqual((histogram.counts[-1], len(histogram)), (1, 4))

    def test_each_bucket_holds_those_before(self) -> None:
        histogram = Histogram()
        for seconds in (0.0002, 0.003, 100.0):
            histogram.observe(seconds)
        buckets = dict(histogram.buckets())
        self.assertEqual((buckets["0.0001"], buckets["0.00025"], buckets["0.005"]), (0, 1, 2))
        self.assertEqual((buckets["60.0"], buckets["+Inf"]), (2, 3))
        self.assertEqual(list(buckets.values()), sorted(buckets.values()))

    def test_a_clock_that_was_set_back_takes_nothing_away(self) -> None:
        histogram = Histogram()
        histogram.observe(-5.0)
        self.assertEqual((histogram.total, histogram.counts[0]), (0.0, 1))

    def test_there_are_as_many_samples_a_second_as_there_is_credit(self) -> None:
        sampling = Sampling()
        self.assertEqual(sampling.credit, 0)
        sampling.refill()
        sampling.refill()
        self.assertEqual(sampling.credit, CREDIT)
