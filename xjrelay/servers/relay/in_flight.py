# SPDX-License-Identifier: MIT
"""Messages on their way over one link, until their outcome comes back or the link ends.

An outcome names a message by its sender and id, so one without an id can't be in here. Outcomes may
come in any order; but what is sent together mostly comes back together, so that a row of messages is
entered, found again and told by a few operations on dicts of ids, none of them a step of the
interpreter a message. Knows no link: whoever has one asks first, and says when it is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby, repeat

from xjrelay.domain.histogram import Sampling
from xjrelay.net.context import Batch
from xjrelay.servers.relay.outcomes import Origin, Run, gathered
from xjrelay.wire import fast
from xjrelay.wire.errors import Code
from xjrelay.wire.ids import Ids


class InFlight:
    """Where each message on its way came from.

    Args:
        most: messages that may be on their way; above it they fail with 503. With ids of twelve characters
            one takes 110 bytes where it stands in a row, else 190.
        timing: how long outcomes take.
        seconds: the clock.
    """

    def __init__(self, most: int, timing: Sampling, seconds: Callable[[], float]) -> None:
        self._most = most
        self._timing = timing
        self._seconds = seconds
        self._began: dict[tuple[str, str], float] = {}  # of those that are timed, by sender and id
        self._origins: dict[str, dict[str, Origin | Run]] = {}  # by sender, then by id; none is empty
        self._count = 0

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    def send(self, origin: Origin, frame: bytes, write: Callable[[bytes], bool]) -> None:
        """Send a message; its sender is told what becomes of it, at once where it can't be sent.

        One that is on its way already takes the other's place: one outcome will do for both.

        Args:
            origin: whose, with an id.
            frame: the message.
            write: the link's; False when it went nowhere.
        """
        from_, message_id = origin.from_, origin.id
        assert message_id is not None
        known = self._origins.get(from_)
        older = None if known is None else known.get(message_id)
        if older is None:
            if self._count >= self._most:
                origin.sender.settled(origin, "failed", Code.NOT_NOW)
                return
            self._count += 1
        elif older.pair is not None:
            older.pair.settle(False)
        if known is None:
            self._origins[from_] = {message_id: origin}
        else:
            known[message_id] = origin
        if self._timing.credit:
            self._time(from_, message_id)
        if not write(frame):
            self.settle(from_, [message_id], "failed", Code.NOT_NOW)

    def send_run(self, run: Run, said: fast.Run, write: Callable[[bytes, int], bool]) -> bool:
        """The same of messages that stand in a row.

        Returns:
            False where there is no room for all, or one is on its way already or stands there twice; then
            nothing has happened, and they are to be sent one by one.
        """
        ids, count, from_ = said.ids, said.count, said.from_
        new: dict[str, Origin | Run] = dict.fromkeys(ids, run)
        if len(new) < count or self._count + count > self._most:
            return False
        known = self._origins.get(from_)
        if known is None:
            self._origins[from_] = new
        elif known.keys().isdisjoint(new):
            known.update(new)
        else:
            return False
        self._count += count
        if self._timing.credit:
            self._time(from_, ids[0])
        if not write(said.lines, count):
            self.settle(from_, ids, "failed", Code.NOT_NOW)
        return True

    def settle(self, from_: str, ids: list[str], status: str, code: int | None) -> None:
        """The same outcome of several messages has come, in any order; their senders are told.

        Args:
            from_: the address they are from.
            ids: theirs; of some nothing may be known.
            status: ``delivered``, ``stored`` or ``failed``.
            code: why they failed.
        """
        _tell(self._take(from_, ids), ids, status, code)

    def pop(self, from_: str, message_id: str) -> Origin | None:
        """One message's outcome has come, which the caller tells; None when nothing was known of it."""
        origins = self._origins.get(from_)
        origin = None if origins is None else origins.pop(message_id, None)
        if origins is None or origin is None:
            return None
        self._count -= 1
        if not origins:
            del self._origins[from_]
        if self._began:
            self._timed(from_, [message_id])
        return origin.origin(message_id) if isinstance(origin, Run) else origin

    def _take(self, from_: str, ids: list[str]) -> list[Origin | Run | None]:
        """Where they came from, which is forgotten; None for whichever is unknown."""
        origins = self._origins.get(from_)
        if origins is None:
            return [None] * len(ids)
        before = len(origins)
        found = list(map(origins.pop, ids, repeat(None)))
        self._count -= before - len(origins)
        if not origins:
            del self._origins[from_]
        if self._began:
            self._timed(from_, ids)
        return found

    def _time(self, from_: str, message_id: str) -> None:
        self._timing.credit -= 1
        self._began[from_, message_id] = self._seconds()

    def _timed(self, from_: str, ids: list[str]) -> None:
        now = self._seconds()
        for place in self._began.keys() & zip(repeat(from_), ids):
            self._timing.observe(now - self._began.pop(place))

    def fail(self, batch: Batch) -> None:
        """The link is gone: none of them has an outcome, so none will."""
        self._began.clear()
        left, self._origins, self._count = self._origins, {}, 0
        with gathered(batch):
            for origins in left.values():
                _tell(list(origins.values()), list(origins), "failed", Code.NOT_NOW)


def _tell(origins: list[Origin | Run | None], ids: list[str], status: str, code: int | None) -> None:
    """Tell the senders of messages; what stands in a row of one run is told together."""
    at = 0
    for origin, row in groupby(origins):
        end = at + len(list(row))
        if isinstance(origin, Run):
            origin.sender.run_settled(origin, Ids.of(ids[at:end]), status, code)
        elif origin is not None:
            origin.sender.settled(origin, status, code)
        at = end
