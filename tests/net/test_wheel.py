# SPDX-License-Identifier: MIT
"""Beats come once an interval, by one timer, whoever comes and goes."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xjrelay.net.wheel import SPOKES, Wheel


class Member:
    """Notes when it beats."""

    def __init__(self, clock: Clock) -> None:
        self.beats: list[float] = []
        self._clock = clock

    def beat(self) -> None:
        self.beats.append(self._clock.seconds())


class Broken(Exception):
    """A beat's."""


class WheelTests(SynchronousTestCase):
    """Sixteen seconds an interval, so a spoke a second."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.wheel = Wheel(self.clock, 16.0)

    def member(self) -> Member:
        made = Member(self.clock)
        self.wheel.add(made)
        return made

    def test_the_only_one_beats_at_the_end_of_each_interval(self) -> None:
        member = self.member()
        self.clock.pump([0.5] * 100)
        self.assertEqual(member.beats, [1016.0, 1032.0, 1048.0])

    def test_others_beat_a_part_of_it_early_and_then_at_each_interval(self) -> None:
        members = []
        for _ in range(40):
            members.append((self.clock.seconds(), self.member()))
            self.clock.pump([0.1] * 7)
        self.clock.pump([0.1] * 600)
        for came, member in members:
            first, *others = member.beats
            self.assertTrue(16 - 16 / SPOKES - 0.2 <= first - came <= 16.2, (came, first))
            for before, after in zip(member.beats, others, strict=False):
                self.assertApproximates(after - before, 16, 0.2)

    def test_one_timer_does_for_all_and_none_for_nobody(self) -> None:
        members = [Member(self.clock) for _ in range(1000)]
        spokes = []
        for member in members:
            spokes.append(self.wheel.add(member))
            self.clock.advance(0.05)
        self.assertEqual((len(self.wheel), len(self.clock.getDelayedCalls())), (1000, 1))
        for member, spoke in zip(members, spokes, strict=True):
            self.wheel.remove(member, spoke)
        self.assertEqual((len(self.wheel), self.clock.getDelayedCalls()), (0, []))

    def test_a_clock_that_leaps_costs_each_one_beat(self) -> None:
        members = []
        for _ in range(16):
            members.append(self.member())
            self.clock.advance(1.0)
        before = [len(member.beats) for member in members]
        self.clock.advance(100.0)
        after = [len(member.beats) for member in members]
        self.assertEqual([now - then for now, then in zip(after, before, strict=True)], [1] * 16)
        self.clock.pump([0.5] * 32)
        self.assertEqual([len(member.beats) for member in members], [count + 1 for count in after])

    def test_a_leap_of_an_interval_is_one_beat_as_an_ordinary_timer_s(self) -> None:
        member = self.member()
        for _ in range(5):
            self.clock.advance(16.0)
        self.assertEqual(len(member.beats), 5)

    def test_who_is_ended_by_another_s_beat_beats_no_more(self) -> None:
        second = Member(self.clock)

        class Ending(Member):
            def beat(self) -> None:
                super().beat()
                wheel.remove(second, spoke)

        wheel, first = self.wheel, Ending(self.clock)
        wheel.add(first)
        spoke = wheel.add(second)
        self.clock.advance(16.0)
        self.assertEqual((len(first.beats), second.beats, len(wheel)), (1, [], 1))

    def test_the_last_may_go_and_another_come_during_a_beat(self) -> None:
        after = Member(self.clock)

        class Leaving(Member):
            def beat(self) -> None:
                super().beat()
                wheel.remove(self, spoke)
                wheel.add(after)

        wheel, leaving = self.wheel, Leaving(self.clock)
        spoke = wheel.add(leaving)
        self.clock.pump([1.0] * 40)
        self.assertEqual((leaving.beats, after.beats), ([1016.0], [1032.0]))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_a_beat_that_breaks_stops_nobody(self) -> None:
        class Breaking(Member):
            def beat(self) -> None:
                super().beat()
                raise Broken

        breaking = Breaking(self.clock)
        self.wheel.add(breaking)
        member = self.member()
        self.clock.pump([16.0, 16.0])
        self.assertEqual((len(breaking.beats), len(member.beats)), (2, 2))
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 2)
