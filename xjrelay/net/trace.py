# SPDX-License-Identifier: MIT
"""What a program remembers of the last messages: which way each went, and what became of it.

A ring of a bounded number of events, read when an operator asks for one message's life (``xj trace``).
Never a body. Messages that were said in a row are one event with all their ids, whose list is kept
as it is: so remembering costs a fraction of what carrying does. In a second no more is remembered than is
kept at all: what would be forgotten before anybody can ask is counted, and the count remembered. Knows
no link and no stanza.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

EVENTS: Final = {
    "accepted": "a relay, or a peer, took it from its sender; where it goes",
    "waits": "the same, and its recipient has no connection at the moment, or its mailbox goes first",
    "refused": "it was not taken; why",
    "arrived": "it came from another relay, or from a peer; from which, or whom it is for there",
    "handed over": "its recipient's session ended without acknowledging it: it goes to the mailbox",
    "to store": "a relay asks the manager to keep it; which relay",
    "handed out": "it came out of the mailbox, to this session",
    "taken": "it was acknowledged, and left the mailbox",
    "sent": "it was written to a peer that tells nothing",
    "delivered": "its sender, or the relay that it came from, was told: the recipient has it",
    "stored": "likewise: it is on disk",
    "failed": "likewise: with the code",
    "passed over": "more came in that second than is kept at all: so many events were not remembered",
}
"""What may be remembered, and what it means; what follows the colon in the page is :attr:`Note.where`."""


IN_A_ROW: Final = 0.002
"""Seconds in which messages of one pair that go the same way are one event."""


class Note(NamedTuple):
    """One event.

    Attributes:
        at: seconds since the epoch, by this program's clock.
        event: one of :data:`EVENTS`.
        from_: the sender's address.
        to: the recipient's; empty where only the sender is known.
        ids: the messages'.
        where: to whom, from whom, or why.
    """

    at: float
    event: str
    from_: str
    to: str
    ids: Collection[str]
    where: str


class Trace:
    """The last events of a program.

    Args:
        seconds: the clock.
        most: how many are remembered, each message's counted by itself.
        a_second: of these, how many in one second; as many as there is room for, unless said.

    Attributes:
        on_note: called with each; None when nobody wants it.
        left: how many more are remembered of this second, as far as it has been looked at the clock.
        passed_over: how many were not, since that was last told. A caller to whom a call is dear may add to
            it, when ``left`` is spent and nobody wants each: as long as others go on to call, which see that
            another second has begun.
    """

    __slots__ = (
        *("_a_second", "_at", "_count", "_ids", "_most", "_pair", "_ring", "_second", "_seconds"),
        *("left", "on_note", "passed_over"),
    )

    def __init__(self, seconds: Callable[[], float], most: int, a_second: int | None = None) -> None:
        self._seconds = seconds
        self._a_second = most if a_second is None else a_second
        self.left = self._a_second
        self._second = float("-inf")  # when the next one begins
        self.passed_over = 0
        self._most = most
        self._ring: deque[tuple[float, str, str, str, Collection[str], str]] = deque()
        self._count = 0
        self._pair = ("", "", "", "")  # of the last event that another may join
        self._ids: list[str] = []
        self._at = float("-inf")
        self.on_note: Callable[[Note], None] | None = None

    def __len__(self) -> int:
        """How many events are remembered."""
        return self._count

    def __bool__(self) -> bool:
        """Always true: one that remembers nothing yet is one all the same."""
        return True

    def note(self, event: str, from_: str, to: str, ids: Collection[str], where: str) -> None:
        """Something happened to messages of one pair. Their ids are not to change any more."""
        now = self._seconds()
        if now >= self._second:
            self._begin(now)
        if self.left <= 0 and self.on_note is None:
            self.passed_over += len(ids)
            return
        self.left -= len(ids)
        one = (now, event, from_, to, ids, where)
        self._ring.append(one)
        self._count += len(ids)
        if self._count > self._most:
            self._forget()
        if self.on_note is not None:
            self.on_note(Note(*one))

    def note_one(self, event: str, from_: str, to: str, message_id: str, where: str) -> None:
        """The same of one message. What is said in a row becomes one event here, too."""
        now, pair = self._seconds(), (event, from_, to, where)
        joins = pair == self._pair and now - self._at < IN_A_ROW and self.on_note is None
        if joins and self.left > 0 and now < self._second:
            self._ids.append(message_id)
            self.left -= 1
            self._count += 1
            if self._count > self._most:
                self._forget()
            return
        self._pair, self._at, self._ids = pair, now, [message_id]
        self.note(event, from_, to, self._ids, where)

    def _begin(self, now: float) -> None:
        """Another second, in which as much may be remembered; and how much was not, of the last."""
        self.left = self._a_second
        self._second = now + 1.0
        self._tell_passed_over(now)

    def _tell_passed_over(self, now: float) -> None:
        if self.passed_over:
            self._ring.append((now, "passed over", "", "", (), str(self.passed_over)))
            self.passed_over = 0

    def _forget(self) -> None:
        while self._count > self._most:
            ids = self._ring.popleft()[4]
            self._count -= len(ids)
            if ids is self._ids:  # nothing joins what is forgotten
                self._at = float("-inf")

    def find(self, message_id: str) -> list[Note]:
        """All that is remembered of a message, in order, and whether something was passed over since then.

        Ids of several senders may be alike.
        """
        self._tell_passed_over(self._seconds())
        found = [Note(*one) for one in self._ring if message_id in one[4] or one[1] == "passed over"]
        while found and found[0].event == "passed over":
            del found[0]
        return found
