# SPDX-License-Identifier: MIT
"""Messages on their way over one link, until their outcome comes back or the link ends.

An outcome names a message by its sender and id, so one without an id can't be in here. Knows no
link: whoever has one asks first, and says when it is gone.
"""

from __future__ import annotations

from collections.abc import Callable

from xjrelay.domain.histogram import Sampling
from xjrelay.net.context import Batch
from xjrelay.servers.relay.outcomes import Origin, gathered
from xjrelay.wire.errors import Code


class InFlight:
    """Where each message on its way came from.

    Args:
        most: messages that may be on their way; above it they fail with 503.
        timing: how long outcomes take.
        seconds: the clock.
    """

    def __init__(self, most: int, timing: Sampling, seconds: Callable[[], float]) -> None:
        self._most = most
        self._timing = timing
        self._seconds = seconds
        self._began: dict[tuple[str, str | None], float] = {}  # of those that are timed
        self._origins: dict[tuple[str, str | None], Origin] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._origins)

    def send(self, origin: Origin, frame: bytes, write: Callable[[bytes], bool]) -> None:
        """Send a message; its sender is told what becomes of it, at once where it can't be sent.

        One that is on its way already takes the other's place: one outcome will do for both.

        Args:
            origin: whose, with an id.
            frame: the message.
            write: the link's; False when it went nowhere.
        """
        place = origin.from_, origin.id
        older = self._origins.get(place)
        if older is not None and older.pair is not None:
            older.pair.settle(False)
        if older is None and len(self._origins) >= self._most:
            origin.sender.settled(origin, "failed", Code.NOT_NOW)
            return
        self._origins[place] = origin
        if self._timing.credit:
            self._timing.credit -= 1
            self._began[place] = self._seconds()
        if not write(frame) and self._origins.pop(place, None) is not None:
            origin.sender.settled(origin, "failed", Code.NOT_NOW)

    def pop(self, from_: str, message_id: str | None) -> Origin | None:
        """Its outcome has come; None when nothing was known of it."""
        place = (from_, message_id)
        if self._began and (began := self._began.pop(place, None)) is not None:
            self._timing.observe(self._seconds() - began)
        return self._origins.pop(place, None)

    def fail(self, batch: Batch) -> None:
        """The link is gone: none of them has an outcome, so none will."""
        self._began.clear()
        left, self._origins = self._origins, {}
        with gathered(batch):
            for origin in left.values():
                origin.sender.settled(origin, "failed", Code.NOT_NOW)
