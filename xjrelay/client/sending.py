# SPDX-License-Identifier: MIT
"""What the user sends, until its outcome: bounded, in order, on disk where a file was given (U14).

Between the application, which waits for outcomes, and the session at a relay, which writes frames and hears
outcomes. With a file a message goes out when it is on disk, and stays until its outcome, whoever waits for
it: it outlives the caller's patience, and the application.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from xjrelay.client.errors import BadMessage, ClientError, OutboxBroken, TimedOut
from xjrelay.client.inbox import REMEMBERED_FOR, SeenIds
from xjrelay.client.journal import Contents, Journal
from xjrelay.client.model import Notice, Receipt, Status, user_key
from xjrelay.client.network import Cancellable, Network, Promise
from xjrelay.client.outbox import Entry, Outbox
from xjrelay.client.stream import Stream
from xjrelay.wire import address, codec

AGAIN_FIRST = 0.25
AGAIN_FACTOR = 1.6
AGAIN_CEILING = 5.0
"""Pauses before a message answered "not now" goes out again, seconds, with full jitter."""

Outcome = Receipt | ClientError


class Sending:
    """The outbox, its file, and whoever waits for outcomes.

    Args:
        network: the framework.
        stream: hears outcomes that nobody waits for.
        write: writes frames to the relay; called with those that are due while ``is_up``.
        is_up: whether a session is open at this moment.
        path: the file; None keeps everything in memory.

    Attributes:
        outbox: what is under way.
        seen: the ids had, which the file keeps too.
        on_crossed: hears of each pair whose messages go by a direct link from now on.
    """

    def __init__(
        self,
        network: Network,
        stream: Stream,
        write: Callable[[list[bytes]], None],
        is_up: Callable[[], bool],
        path: str | None = None,
    ) -> None:
        self.outbox = Outbox(self._pause_before)
        self.seen = SeenIds()
        self._network = network
        self._stream = stream
        self._write = write
        self._is_up = is_up
        self._path = path
        self._journal: Journal | None = None
        self._unsaved: list[Entry] = []
        self._syncing = False
        self._closing = False
        self._grumbled = False
        self.on_crossed: Callable[[str], None] = lambda pair: None
        self._links: dict[str, Callable[[list[bytes]], None]] = {}  # direct ones, by pair
        self._cleared: set[str] = set()  # pairs that may go on their links as soon as all before is settled
        self._waiting: dict[str, Promise[Receipt]] = {}
        self._ends: dict[str, Cancellable] = {}
        self._retry_timer: Cancellable | None = None

    async def load(self, user: str) -> None:
        """Take up what an earlier life left in the file.

        Args:
            user: whose it must be.

        Raises:
            OutboxBroken: it can't be used.
        """
        path = self._path
        if path is None or self._journal is not None:
            return
        journal = await self._network.compute(partial(Journal, path, user_key(user), lambda: self.seen))
        self._journal = journal
        contents, journal.contents = journal.contents, Contents()
        for sender, message_id, at in contents.had:
            self.seen.given(sender, message_id, at)
        for value, at in contents.unsent.values():
            self._restore(value, at)

    def _restore(self, value: dict[str, Any], at: float) -> None:
        try:
            entry = Entry(value, codec.encode(value), address.parse(str(value.get("to"))).key, self._nobody)
        except address.InvalidAddress as error:
            raise OutboxBroken(f"{self._path} is damaged: {error.msg}") from error
        self._admit(entry, at, bounded=False)

    # -- from the application ----------------------------------------------------------------

    async def send(self, value: dict[str, Any], frame: bytes, pair: str, timeout: float) -> Receipt:
        """A message, until its outcome.

        Args:
            value: the stanza, with its id. With a file, one that is under way already and that nobody
                waits for is not sent again, but waited for.
            frame: the same, encoded.
            pair: the recipient's key.
            timeout: seconds to an outcome.

        Raises:
            OutboxFull, OutboxBroken, BadMessage: it was not taken.
            TimedOut: no outcome came; it may still arrive.
            Disconnected: the client was closed.
        """
        message_id: str = value["id"]
        entry = self.outbox.get(message_id)
        if entry is None or self._journal is None or message_id in self._waiting:
            entry = self._begin(value, frame, pair)
        elif entry.pair != pair:
            raise BadMessage(f"a message to another user with the id {message_id!r} is on its way")
        ticket: Promise[Receipt] = Promise(self._network)
        self._waiting[message_id] = ticket
        deadline = self._network.call_later(timeout, partial(self._late, entry, timeout))
        self.pump()
        try:
            return await ticket.wait()
        finally:
            deadline.cancel()

    def _begin(self, value: dict[str, Any], frame: bytes, pair: str) -> Entry:
        entry = Entry(value, frame, pair, self._nobody)
        now = self._network.wall()
        self._admit(entry, now)
        if self._journal is not None:
            entry.saved = False
            try:
                self._journal.send(value, now)
            except OutboxBroken as error:
                self.outbox.give_up(entry, error, self._network.seconds())
                raise
            self._unsaved.append(entry)
            self._sync_soon()
        return entry

    def _admit(self, entry: Entry, at: float, bounded: bool = True) -> None:
        entry.on_settled = partial(self._settled, entry)
        self.outbox.add(entry, bounded)
        if self._journal is not None:
            left = at + REMEMBERED_FOR - self._network.wall()
            self._ends[entry.id] = self._network.call_later(max(0.0, left), partial(self._expire, entry))

    def abandon(self, error: ClientError) -> None:
        """The client is over: everybody who waits is told ``error``. The file keeps what has no outcome."""
        self.outbox.abandon()
        waiting, self._waiting = self._waiting, {}
        for ticket in waiting.values():
            ticket.settle(error)
        ends, self._ends = self._ends, {}
        for timer in [*ends.values(), *([self._retry_timer] if self._retry_timer is not None else [])]:
            timer.cancel()

    def close(self) -> None:
        """Let go of the file, when what was appended is on disk."""
        self._closing = True
        if self._journal is not None and not self._syncing:
            self._journal.close()

    # -- to the relay ------------------------------------------------------------------------

    def pump(self) -> None:
        """Write what may be written."""
        if self._is_up():
            frames = self.outbox.take()
            if frames:
                self._write(frames)
            self.schedule()
        for pair, write in list(self._links.items()):
            if frames := self.outbox.take_direct(pair):
                write(frames)

    def schedule(self) -> None:
        """Set the timer for the next pair that is held."""
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None
        due = self.outbox.retry_at()
        if due is not None:
            self._retry_timer = self._network.call_later(max(0.0, due - self._network.seconds()), self._retry)

    def _retry(self) -> None:
        self._retry_timer = None
        self.outbox.retry(self._network.seconds())
        if self._is_up():
            self.pump()
        else:
            self.schedule()

    def _pause_before(self, tries: int) -> float:
        ceiling = min(AGAIN_FIRST * AGAIN_FACTOR ** min(tries, 20), AGAIN_CEILING)
        return self._network.random.uniform(0, ceiling)

    # -- a direct link -----------------------------------------------------------------------

    def leave(
        self,
        pair: str,
        marker: dict[str, Any],
        write: Callable[[list[bytes]], None],
        failed: Callable[[], None],
    ) -> None:
        """A pair is about to go by a direct link (section 13).

        Args:
            pair: the friend's key.
            marker: the last message that goes by the relay; it is in no file.
            write: writes on the link.
            failed: called where the marker is refused.

        Raises:
            OutboxFull: too much is under way.
        """

        def settled(outcome: Outcome) -> None:
            if isinstance(outcome, Receipt) and outcome.status != "failed":
                self._cross(pair)
            else:
                failed()

        self.outbox.leave(Entry(marker, codec.encode(marker), pair, settled))
        self._links[pair] = write
        self.pump()

    def go(self, pair: str) -> None:
        """The friend has had all that went by the relay, the marker last."""
        if pair in self._links:
            self._cleared.add(pair)
            self._cross(pair)

    def _cross(self, pair: str) -> None:
        if pair in self._cleared and self.outbox.cross(pair):
            self._cleared.discard(pair)
            self.on_crossed(pair)
            self.pump()

    def arrived(self, pair: str, ids: list[str]) -> None:
        """The friend's application has these."""
        now = self._network.seconds()
        for message_id in ids:
            self.outbox.arrived(pair, message_id, now)
        self.pump()

    def back(self, pair: str) -> None:
        """The link is gone, or never was one: everything without an outcome goes by the relay."""
        self._cleared.discard(pair)
        if self._links.pop(pair, None) is not None:
            self.outbox.back(pair)
            self.pump()

    # -- outcomes ----------------------------------------------------------------------------

    def settle(self, ids: list[str], status: Status, code: int | None, text: str) -> None:
        """The relay said what became of messages."""
        now = self._network.seconds()
        for message_id in ids:
            if not self.outbox.settle(message_id, status, code, now) and status == "failed" and text:
                self._stream.put(Notice("relay", code or 0, text))
        self.pump()

    def _settled(self, entry: Entry, outcome: Outcome) -> None:
        end = self._ends.pop(entry.id, None)
        if end is not None:
            end.cancel()
        if self._journal is not None:
            self._keep(partial(self._journal.done, entry.id))
        ticket = self._waiting.pop(entry.id, None)
        if ticket is not None:
            ticket.settle(outcome)
        elif isinstance(outcome, Receipt) and self._journal is not None:
            self._stream.put(outcome)
        self._cross(entry.pair)

    def _nobody(self, outcome: Outcome) -> None:
        raise AssertionError("an entry that was never admitted")

    def _late(self, entry: Entry, timeout: float) -> None:
        error = TimedOut(f"no outcome in {timeout:g} s; it may still arrive")
        if self._journal is None:
            self.outbox.give_up(entry, error, self._network.seconds())
            self.schedule()
        elif (ticket := self._waiting.pop(entry.id, None)) is not None:
            ticket.settle(error)

    def _expire(self, entry: Entry) -> None:
        self.outbox.give_up(entry, Receipt(entry.id, "failed", 503), self._network.seconds())
        self.schedule()

    # -- the file ----------------------------------------------------------------------------

    def given(self, sender: str, message_id: str) -> None:
        """The application was given a message."""
        now = self._network.wall()
        self.seen.given(sender, message_id, now)
        if self._journal is not None:
            self._keep(partial(self._journal.had, sender, message_id, now))
            self._rewrite_if_outgrown()

    def _keep(self, append: Callable[[], None]) -> None:
        """Where it fails, something may be sent or shown again after a restart; the sending goes on."""
        try:
            append()
            self._grumbled = False
        except OutboxBroken as error:
            if not self._grumbled:
                self._grumbled = True
                self._network.log("the outbox is not kept: {why}", why=str(error))

    def _sync_soon(self) -> None:
        if not self._syncing:
            self._syncing = True
            self._network.spawn(self._sync())

    async def _sync(self) -> None:
        """Bring to disk what was appended, all that came meanwhile in one go."""
        journal = self._journal
        assert journal is not None
        try:
            while self._unsaved:
                batch, self._unsaved = self._unsaved, []
                try:
                    await self._network.compute(journal.sync)
                except OutboxBroken as error:
                    for entry in batch:
                        self.outbox.give_up(entry, error, self._network.seconds())
                for entry in batch:
                    entry.saved = True
                self.pump()
        finally:
            self._syncing = False
            if self._closing:
                journal.close()
        self._rewrite_if_outgrown()

    def _rewrite_if_outgrown(self) -> None:
        journal = self._journal
        if journal is not None and not self._syncing and not self._closing and journal.outgrown:
            self._keep(journal.rewrite)
