# SPDX-License-Identifier: MIT
"""Beats of many links by one timer: a timing wheel (Varghese and Lauck, 1987).

Why it exists: a timer for each link is 300 bytes and an entry in the reactor's heap, and ten
thousand idle links made the heap most of what a relay did at rest. Here a link is an entry in one
of some dictionaries that come round in turn, and never moves.

Knows a clock and nothing of links. Must not import anything of ours.
"""

from __future__ import annotations

from typing import Protocol as Seam

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

SPOKES = 16
"""Parts of an interval: a beat comes early by at most one of them, the first time."""


class Beating(Seam):
    """Whatever has a beat."""

    def beat(self) -> None:
        """It is time, again."""


class Wheel:
    """Calls every member once an interval.

    The first beat comes within the interval, not later: at its end for whoever comes to an empty
    wheel, at most a sixteenth earlier for others. A clock that leaps costs each member one beat.

    Args:
        clock: tells the time, and wakes.
        interval: seconds.
    """

    __slots__ = ("_call", "_clock", "_count", "_done", "_next", "_spokes", "_start", "_step")

    def __init__(self, clock: IReactorTime, interval: float) -> None:
        self._clock = clock
        self._step = interval / SPOKES
        self._spokes: list[dict[Beating, None]] = [{} for _ in range(SPOKES)]
        self._count = 0
        self._call: IDelayedCall | None = None
        self._start = 0.0  # turn 0; turn n is n steps later, and is the beat of spoke n modulo 16
        self._done = 0  # the last turn that was taken
        self._next = 0  # the one that is waited for

    def __len__(self) -> int:
        """How many members it has."""
        return self._count

    def add(self, member: Beating) -> int:
        """A new member; the spoke it is on, by which it is removed."""
        if not self._count:
            self._start, self._done = self._clock.seconds(), 0
        turn = self._turn()
        spoke = turn % SPOKES
        self._spokes[spoke][member] = None
        self._count += 1
        if self._call is None:
            self._wait(turn + SPOKES)
        return spoke

    def remove(self, member: Beating, spoke: int) -> None:
        """It beats no more."""
        del self._spokes[spoke][member]
        self._count -= 1
        if not self._count and self._call is not None:
            self._call.cancel()
            self._call = None

    def _turn(self) -> int:
        return max(self._done, int((self._clock.seconds() - self._start) / self._step))

    def _wait(self, turn: int) -> None:
        self._next = turn
        due = self._start + turn * self._step
        self._call = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._come_round)

    def _come_round(self) -> None:
        """One turn is due, or several: of a clock that leapt, the last of each spoke."""
        self._call = None
        due = max(self._next, self._turn())
        first = max(self._next, due - SPOKES + 1)  # who came since it was chosen isn't due before it
        self._done = due
        for turn in range(first, due + 1):
            spoke = self._spokes[turn % SPOKES]
            for member in list(spoke):
                if member in spoke:  # another's beat may have ended it
                    _beat(member)
        if self._count and self._call is None:
            self._wait(next(n for n in range(due + 1, due + SPOKES + 1) if self._spokes[n % SPOKES]))


def _beat(member: Beating) -> None:
    try:
        member.beat()
    except Exception:
        _log.failure("a beat broke")
