# SPDX-License-Identifier: MIT
"""Time that passes when it is told to: the fake clock, gone through event by event."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

T = TypeVar("T")

START = 1_800_000_000.0
"""The fake clock's first second: tokens and presences carry times, and zero would be odd."""


class NotYet(Exception):
    """What was waited for didn't come in the time given."""


class Timeline:
    """A fake clock, and how to wait on it.

    Attributes:
        clock: the one clock of all that runs on it.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = START

    def advance(self, seconds: float) -> None:
        """Let time pass, event by event."""
        end = self.clock.seconds() + seconds
        while self._step(end):
            pass
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def step(self) -> None:
        """Go to the next event and no further.

        Raises:
            NotYet: there is none.
        """
        if not self._step(float("inf")):
            raise NotYet("nothing is going to happen")

    def until(self, condition: Callable[[], bool], patience: float = 120.0) -> float:
        """Let time pass until something is so; the seconds it took.

        Raises:
            NotYet: it wasn't, in ``patience`` seconds of the fake clock.
        """
        start = self.clock.seconds()
        while not condition():
            if not self._step(start + patience):
                raise NotYet(f"not in {patience} s")
        return self.clock.seconds() - start

    def run(self, work: Deferred[T] | Coroutine[Deferred[Any], Any, T], patience: float = 120.0) -> T:
        """Let time pass until a Deferred or coroutine has its result; its failure is raised.

        Raises:
            NotYet: there was none in ``patience`` seconds of the fake clock.
        """
        deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
        outcome: list[Any] = []
        failed: list[Any] = []
        deferred.addCallbacks(outcome.append, failed.append)
        self.until(lambda: bool(outcome or failed), patience)
        if failed:
            failed[0].raiseException()
        result: T = outcome[0]
        return result

    def _step(self, end: float) -> bool:
        """Go to the next event, if it comes before ``end``."""
        calls = self.clock.calls
        if not calls or calls[0].getTime() > end:
            return False
        self.clock.advance(max(0.0, calls[0].getTime() - self.clock.seconds()))
        return True
