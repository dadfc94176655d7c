# SPDX-License-Identifier: MIT
"""Whose login is worked on, and who waits (docs/protocol.md, section 6).

After a restart everybody comes back at once. If all their logins were begun at once, none would be through
before its client gave up and came again, and relays, without which no login helps anybody, would wait among
them. So a few are worked on at a time, and the others wait in order, none of them refused; those that have
begun go first, because they are nearly through. Who waits is given a sign of life. This module must not know
what a login is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol as Seam

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

PING_EVERY = 10.0
"""Seconds between signs of life: clients take silence for death after 30."""


class Waiting(Seam):
    """A link whose login may have to wait."""

    def ping(self) -> None:
        """Show it that we live."""


class Turns:
    """At most so many at a time.

    Args:
        most: how many; asked each time, for an operator may change it.
        clock: between signs of life.
    """

    def __init__(self, most: Callable[[], int], clock: IReactorTime) -> None:
        self._most = most
        self._clock = clock
        self._working = 0
        self._begun: OrderedDict[Waiting, Deferred[bool]] = OrderedDict()
        self._new: OrderedDict[Waiting, Deferred[bool]] = OrderedDict()
        self._giving = False
        self._call: IDelayedCall | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._begun) + len(self._new)

    def take(self, link: Waiting, *, begun: bool) -> Deferred[bool] | None:
        """A turn for a step of a link's login; :meth:`leave` has to follow it.

        Args:
            link: whose.
            begun: whether an earlier step is behind it.

        Returns:
            None where it has its turn now; else what fires with True when it has, or with False when it
            was forgotten: then nothing has to follow.
        """
        if self._working < self._most() and not self.waiting:
            self._working += 1
            return None
        turn: Deferred[bool] = Deferred()
        (self._begun if begun else self._new)[link] = turn
        if self._call is None:
            self._call = self._clock.callLater(PING_EVERY, self._show_life)
        return turn

    def forget(self, link: Waiting) -> None:
        """A link is gone; if it waited, its turn never comes."""
        for queue in (self._begun, self._new):
            if (turn := queue.pop(link, None)) is not None:
                turn.callback(False)

    def leave(self) -> None:
        """A step is through: the next."""
        self._working -= 1
        if self._giving:  # somebody's step ended at once: the loop below goes on
            return
        self._giving = True
        try:
            while self.waiting and self._working < self._most():
                _, turn = (self._begun or self._new).popitem(last=False)
                self._working += 1
                turn.callback(True)
        finally:
            self._giving = False

    def stop(self) -> None:
        """Show life no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def _show_life(self) -> None:
        self._call = self._clock.callLater(PING_EVERY, self._show_life) if self.waiting else None
        for link in (*self._begun, *self._new):
            link.ping()
