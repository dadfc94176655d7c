# SPDX-License-Identifier: MIT
"""What has been sent and has no outcome yet, in order (protocol, section 8).

A message stays until its outcome came, and is sent again with the same id: in a new session all of
them, in a resumed one those the relay says it never had. After ``failed`` 503 the pair (this user and that
recipient) is held: nothing new goes out to it until all that is under way has its outcome; then, after a
pause, everything left goes out again in the order it was first sent, the first marked ``"again": true``.
So nothing overtakes.

A pair may leave the relay for a direct link (section 13): :meth:`Outbox.leave` writes a marker, and what
comes after it is parked; :meth:`Outbox.cross`, once all before it has its outcome, sends that on the link;
:meth:`Outbox.back` has everything without an outcome go by the relay again.

Pure: time comes as an argument, and a :class:`Ticket` is whatever waits for the outcome.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from xjrelay.client.errors import BadMessage, ClientError, OutboxFull
from xjrelay.client.model import Receipt, Status
from xjrelay.wire import codec

MAX_MESSAGES = 1000
MAX_BYTES = 4 * 1024 * 1024
"""What may be under way at a time."""


class State(Enum):
    """Where a message stands."""

    WAITING = auto()
    """To be written."""
    SENT = auto()
    """Written in this session, outcome to come."""
    FAILED = auto()
    """Answered 503: to be written again."""
    PARKED = auto()
    """Never written: it waits until its pair is on the other road."""
    SETTLED = auto()
    """It has its outcome."""


class Road(Enum):
    """Which way a pair's messages go."""

    RELAY = auto()
    LEAVING = auto()
    """By the relay until now; what is new is parked."""
    DIRECT = auto()


class Entry:
    """One message under way.

    Attributes:
        saved: it may be written: it is on disk, or is not to be.
    """

    __slots__ = ("frame", "id", "on_settled", "pair", "saved", "state", "value")

    def __init__(
        self,
        value: dict[str, Any],
        frame: bytes,
        pair: str,
        on_settled: Callable[[Receipt | ClientError], None],
    ) -> None:
        self.value = value
        self.frame = frame
        self.id: str = value["id"]
        self.pair = pair
        self.state = State.WAITING
        self.saved = True
        self.on_settled = on_settled


class Pair:
    """One recipient's messages, in the order they were first sent."""

    def __init__(self) -> None:
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self.held = False
        self.again = False  # the next to be written is marked
        self.tries = 0
        self.retry_at: float | None = None

    def under_way(self) -> bool:
        """Whether something written has no outcome."""
        return any(entry.state is State.SENT for entry in self.entries.values())


class Outbox:
    """Everything under way, bounded.

    Args:
        pause: seconds before a held pair's next try, given how many were made.
        max_messages: the most under way.
        max_bytes: the same in bytes.
    """

    def __init__(
        self,
        pause: Callable[[int], float],
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._pause = pause
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0
        self._pairs: dict[str, Pair] = {}
        self._ready: deque[Entry] = deque()
        self._roads: dict[str, Road] = {}  # of pairs that aren't at the relay
        self._direct: dict[str, deque[Entry]] = {}  # to be written on a direct link, by pair
        self._unacked: deque[Entry] = deque()  # counted by the relay, or to be, in order
        self._acked = 0

    def __len__(self) -> int:
        """How many have no outcome."""
        return len(self._entries)

    def get(self, message_id: str) -> Entry | None:
        """The message under way with this id."""
        return self._entries.get(message_id)

    def add(self, entry: Entry, bounded: bool = True) -> None:
        """A message to be sent; one that was taken in an earlier life has no bound to meet.

        Raises:
            OutboxFull: too much is under way.
            BadMessage: one with this id is.
        """
        if entry.id in self._entries:
            raise BadMessage(f"a message with the id {entry.id!r} is on its way already")
        full = len(self._entries) >= self._max_messages or self._bytes + len(entry.frame) > self._max_bytes
        if full and bounded:
            raise OutboxFull(f"{len(self._entries)} messages are on their way and have no outcome yet")
        self._entries[entry.id] = entry
        self._bytes += len(entry.frame)
        pair = self._pairs.setdefault(entry.pair, Pair())
        pair.entries[entry.id] = entry
        road = self.road(entry.pair)
        if road is Road.DIRECT:
            self._direct[entry.pair].append(entry)
        elif road is Road.LEAVING:
            entry.state = State.PARKED
        elif not pair.held:
            self._ready.append(entry)

    def take(self) -> list[bytes]:
        """The frames to be written now, in order: up to the first that isn't saved yet."""
        frames = []
        while self._ready and (self._ready[0].saved or self._ready[0].state is not State.WAITING):
            entry = self._ready.popleft()
            if entry.state is not State.WAITING:
                continue
            pair = self._pairs[entry.pair]
            entry.state = State.SENT
            self._unacked.append(entry)
            if pair.again:
                pair.again = False
                frames.append(codec.encode({**entry.value, "again": True}))
            else:
                frames.append(entry.frame)
        return frames

    # -- the other road ----------------------------------------------------------------------

    def road(self, pair: str) -> Road:
        """Which way a pair's messages go."""
        return self._roads.get(pair, Road.RELAY)

    def leave(self, marker: Entry) -> None:
        """A pair is about to leave the relay: the marker is its last message there; of a pair at the relay.

        Raises:
            OutboxFull, BadMessage: as for :meth:`add`; the pair stays where it is.
        """
        self.add(marker)
        self._roads[marker.pair] = Road.LEAVING

    def cross(self, pair: str) -> bool:
        """Whether a pair that leaves is on the direct link from now on: all before it has its outcome."""
        entries = self._pairs[pair].entries.values() if pair in self._pairs else ()
        if self.road(pair) is not Road.LEAVING or any(one.state is not State.PARKED for one in entries):
            return False
        for entry in entries:
            entry.state = State.WAITING
        self._roads[pair] = Road.DIRECT
        self._direct[pair] = deque(entries)
        return True

    def take_direct(self, pair: str) -> list[bytes]:
        """The frames to be written on the direct link now, in order: up to the first that isn't saved yet."""
        ready = self._direct.get(pair)
        frames: list[bytes] = []
        while ready and (ready[0].saved or ready[0].state is not State.WAITING):
            entry = ready.popleft()
            if entry.state is State.WAITING:
                entry.state = State.SENT
                frames.append(entry.frame)
        return frames

    def arrived(self, pair: str, message_id: str, now: float) -> bool:
        """The other end of a pair's direct link has one of its messages; false where it has none such."""
        entry = self._entries.get(message_id)
        if entry is None or entry.pair != pair or self.road(pair) is not Road.DIRECT:
            return False
        self._finish(entry, Receipt(message_id, "delivered"), now)
        return True

    def back(self, key: str) -> None:
        """A pair is at the relay from now on: what was parked, or has no outcome on the link, goes there."""
        road = self._roads.pop(key, Road.RELAY)
        self._direct.pop(key, None)
        pair = self._pairs.get(key)
        if pair is None or road is Road.RELAY:
            return
        pair.again = pair.again or road is Road.DIRECT
        for entry in pair.entries.values():
            if road is Road.DIRECT or entry.state is State.PARKED:
                entry.state = State.WAITING
                if not pair.held:
                    self._ready.append(entry)

    # -- sessions ----------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """A new session: whatever has no outcome goes out again."""
        self._acked = 0
        self._unacked.clear()
        self._send_again(now)

    def resumed(self, h: int, now: float) -> bool:
        """The session goes on; the relay has had our first ``h``. False when it can't have."""
        if not self.acknowledged(h):
            return False
        had = {entry.id for entry in self._at_relay() if entry.state is State.SENT}
        had -= {entry.id for entry in self._unacked}
        self._unacked.clear()
        self._send_again(now, but=had)
        return True

    def acknowledged(self, h: int) -> bool:
        """The relay has had our first ``h``; false when that is not possible."""
        count = h - self._acked
        if not 0 <= count <= len(self._unacked):
            return False
        for _ in range(count):
            self._unacked.popleft()
        self._acked = h
        return True

    def _send_again(self, now: float, but: set[str] | None = None) -> None:
        self._ready.clear()
        for entry in self._at_relay():
            if but and entry.id in but:
                continue
            if not self._pairs[entry.pair].held:
                entry.state = State.WAITING
                self._ready.append(entry)
            elif entry.state is State.SENT:
                entry.state = State.FAILED
        for pair in self._pairs.values():
            if pair.held:
                self._pause_when_quiet(pair, now)

    def _at_relay(self) -> list[Entry]:
        """Those that go by the relay, in order."""
        return [
            entry
            for entry in self._entries.values()
            if entry.state is not State.PARKED and self.road(entry.pair) is not Road.DIRECT
        ]

    # -- outcomes ----------------------------------------------------------------------------

    def settle(self, message_id: str, status: Status, code: int | None, now: float) -> bool:
        """An outcome came; false when no message with this id waits for one."""
        entry = self._entries.get(message_id)
        if entry is None or self.road(entry.pair) is Road.DIRECT:
            return False
        if status == "failed" and code == 503:
            self._hold(entry, now)
        else:
            self._finish(entry, Receipt(message_id, status, code), now)
        return True

    def refused(self, message_id: str, code: int, now: float) -> bool:
        """The relay answered 400 or another error to a message.

        One answered 400 or 413 takes no number, so it leaves the count.
        """
        entry = self._entries.get(message_id)
        if entry is not None and code in (400, 413) and entry in self._unacked:
            self._unacked.remove(entry)
        return self.settle(message_id, "failed", code, now)

    def too_large(self, now: float) -> bool:
        """The relay closed the link on a frame too long: of those written it was the largest, for sure."""
        sent = [entry for entry in self._at_relay() if entry.state is State.SENT]
        if not sent:
            return False
        largest = max(sent, key=lambda entry: len(entry.frame))
        return self.refused(largest.id, 413, now)

    def give_up(self, entry: Entry, outcome: Receipt | ClientError, now: float) -> None:
        """No outcome came in time, or it can't be kept: it ends with this one, unless it has one."""
        if entry.state is not State.SETTLED:
            self._finish(entry, outcome, now)

    def abandon(self) -> list[Entry]:
        """The client closes: what has no outcome, in order."""
        left = list(self._entries.values())
        for entry in left:
            entry.state = State.SETTLED
        self._entries.clear()
        self._pairs.clear()
        self._ready.clear()
        self._unacked.clear()
        self._roads.clear()
        self._direct.clear()
        self._bytes = 0
        return left

    def retry_at(self) -> float | None:
        """When :meth:`retry` is due, or None."""
        times = [pair.retry_at for pair in self._pairs.values() if pair.retry_at is not None]
        return min(times, default=None)

    def retry(self, now: float) -> None:
        """Release the pairs whose pause is over."""
        for pair in self._pairs.values():
            if pair.retry_at is not None and pair.retry_at <= now:
                pair.held, pair.retry_at, pair.again = False, None, True
                for entry in pair.entries.values():
                    if entry.state is not State.PARKED:
                        entry.state = State.WAITING
                        self._ready.append(entry)

    def _hold(self, entry: Entry, now: float) -> None:
        pair = self._pairs[entry.pair]
        entry.state = State.FAILED
        pair.held = True
        self._pause_when_quiet(pair, now)

    def _finish(self, entry: Entry, outcome: Receipt | ClientError, now: float) -> None:
        entry.state = State.SETTLED
        del self._entries[entry.id]
        self._bytes -= len(entry.frame)
        pair = self._pairs[entry.pair]
        del pair.entries[entry.id]
        if not pair.entries:
            del self._pairs[entry.pair]
        elif pair.held:
            self._pause_when_quiet(pair, now)
        elif isinstance(outcome, Receipt) and outcome.status != "failed":
            pair.tries = 0
        entry.on_settled(outcome)

    def _pause_when_quiet(self, pair: Pair, now: float) -> None:
        """Once nothing of a held pair is under way, its next try is after a pause."""
        if pair.retry_at is None and not pair.under_way():
            pair.retry_at = now + self._pause(pair.tries)
            pair.tries += 1
