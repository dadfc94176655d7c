# SPDX-License-Identifier: MIT
"""How long something takes, counted into steps, by integers alone.

:class:`Histogram` is what the hot path can afford: one search among sixteen numbers, and two additions.
:class:`Sampling` keeps even that away from it: so many observations a second, and no more. Values in,
values out; what becomes of them (``net.metrics``) and who tells the time is the caller's.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

STEPS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0),
)
"""Upper ends, in seconds: from a read's work to the longest that a session waits to be resumed."""

CREDIT: Final = 16
"""Observations a second of what is only sampled: every one where there are few, and a bounded cost
where there are a hundred thousand."""


class Histogram:
    """Durations.

    Attributes:
        counts: how many fell into each step; the last is what was longer than all.
        total: their sum, in seconds.
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(STEPS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """One more; a clock that was set back makes it none."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(STEPS, seconds)] += 1
        self.total += seconds

    def __len__(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def __bool__(self) -> bool:
        """Always true: a histogram without observations is one all the same."""
        return True

    def buckets(self) -> list[tuple[str, int]]:
        """Each step's upper end, and how many took no longer: Prometheus's form."""
        sums, so_far = [], 0
        for end, count in zip((*map(repr, STEPS), "+Inf"), self.counts, strict=True):
            so_far += count
            sums.append((end, so_far))
        return sums


class Sampling(Histogram):
    """Durations of which only some are observed.

    Attributes:
        credit: how many more may be observed before :meth:`refill`; none before the first.
    """

    __slots__ = ("credit",)

    def __init__(self) -> None:
        super().__init__()
        self.credit = 0

    def refill(self) -> None:
        """Another second has begun."""
        self.credit = CREDIT
