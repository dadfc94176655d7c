# SPDX-License-Identifier: MIT
"""What has been heard from the relay, counted: what to acknowledge, and what was had before.

The relay numbers its messages, error stanzas and receipts a session, and an acknowledgement names the
first n of them (protocol, section 8). A message counts as taken when the application has it, everything
else at once; so ``h`` stops before the oldest message the application hasn't taken.

On a resumption the relay sends again what was not acknowledged. What of it is already here is known by
number, and passed over. In a new session it is known by the message's id.

Pure: no framework, and time comes as an argument.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from xjrelay.client.model import Message, user_key

REMEMBERED_IDS = 10_000
"""Ids remembered a sender."""

REMEMBERED_FOR = 31 * 24 * 3600.0
"""Seconds an id is remembered. Nothing is sent again later than that (protocol, section 8)."""

REMEMBERED_SENDERS = 1_000
"""Senders of whom ids are remembered; the one not heard for longest is forgotten first."""


class SeenIds:
    """The ids had of each sender, bounded in number, in age, and in senders."""

    def __init__(self, ids: int = REMEMBERED_IDS, senders: int = REMEMBERED_SENDERS) -> None:
        self._max_ids = ids
        self._max_senders = senders
        # When the application was given each; None while it wasn't.
        self._senders: OrderedDict[str, OrderedDict[str, float | None]] = OrderedDict()

    def __iter__(self) -> Iterator[tuple[str, str, float]]:
        """Sender, id and time of all that the application was given, each sender's oldest first."""
        for sender, ids in self._senders.items():
            for message_id, at in ids.items():
                if at is not None:
                    yield sender, message_id, at

    def add(self, sender: str, message_id: str) -> bool:
        """Remember an id; false when it was had before."""
        ids = self._ids(sender)
        if message_id in ids:
            return False
        ids[message_id] = None
        if len(ids) > self._max_ids:
            ids.popitem(last=False)
        return True

    def given(self, sender: str, message_id: str, at: float) -> None:
        """The application was given that message.

        Args:
            at: when, in seconds since 1970.
        """
        ids = self._ids(sender)
        ids[message_id] = at
        if len(ids) > self._max_ids:
            ids.popitem(last=False)
        old = [one for one, then in islice(ids.items(), 2) if then is not None and then < at - REMEMBERED_FOR]
        for one in old:
            del ids[one]

    def _ids(self, sender: str) -> OrderedDict[str, float | None]:
        ids = self._senders.setdefault(sender, OrderedDict())
        self._senders.move_to_end(sender)
        if len(self._senders) > self._max_senders:
            self._senders.popitem(last=False)
        return ids


class Taker(Protocol):
    """A direct link, which is told what the application has taken of what came by it."""

    def taken(self, message_id: str) -> None:
        """The application has that message."""


class Arrival:
    """A message on its way to the application, with the numbers it had in this session, and the direct
    links it came by."""

    __slots__ = ("links", "message", "numbers")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.numbers: list[int] = []
        self.links: list[Taker] = []


class Inbox:
    """The relay's numbers of one user, over all its sessions.

    Args:
        seen: the ids had.
        on_given: hears sender and id of each message that the application is given.

    Attributes:
        received: counted frames heard in this session.
    """

    def __init__(
        self,
        seen: SeenIds | None = None,
        on_given: Callable[[str, str], None] = lambda sender, message_id: None,
    ) -> None:
        self._seen = seen or SeenIds()
        self._on_given = on_given
        self.received = 0
        self._skip = 0  # counted frames that a resumption sends again and we have
        self._resume_from = 0
        self._outstanding: deque[int] = deque()  # numbers of messages not taken, rising
        self._done: set[int] = set()  # those of them that are, behind one that isn't
        self._untaken: set[Arrival] = set()
        self._queued: dict[tuple[str, str], Arrival] = {}  # those of them with an id

    @property
    def h(self) -> int:
        """How many of the relay's frames may be acknowledged."""
        return self._outstanding[0] - 1 if self._outstanding else self.received

    def opened(self) -> None:
        """A new session: numbers start again, and what waits for the application has none."""
        self.received = self._skip = 0
        self._outstanding.clear()
        self._done.clear()
        for arrival in self._untaken:
            arrival.numbers.clear()

    def resuming(self) -> int:
        """The ``h`` to say in a hello that resumes."""
        self._resume_from = self.h
        return self._resume_from

    def resumed(self) -> int:
        """The relay took that hello: it now sends everything after its ``h``, which is returned, again."""
        self._skip = self.received - self._resume_from
        return self._resume_from

    def count(self) -> bool:
        """A counted frame came; false when it was had before the connection was lost."""
        if self._skip:
            self._skip -= 1
            return False
        self.received += 1
        return True

    def arrive(self, message: Message) -> Arrival | None:
        """The message of the frame just counted; None when the application has or will get it already."""
        sender = user_key(message.from_)
        if message.id is not None and not self._seen.add(sender, message.id):
            queued = self._queued.get((sender, message.id))
            if queued is not None:
                self._await(queued)
            return None
        arrival = Arrival(message)
        self._untaken.add(arrival)
        if message.id is not None:
            self._queued[sender, message.id] = arrival
        self._await(arrival)
        return arrival

    def arrive_directly(self, message: Message, link: Taker) -> Arrival | None:
        """A message came by a direct link, which is told when it is taken; else as :meth:`arrive`."""
        assert message.id is not None, "a direct link lets in no message without an id"
        sender = user_key(message.from_)
        if self._seen.add(sender, message.id):
            arrival = Arrival(message)
            self._untaken.add(arrival)
            self._queued[sender, message.id] = arrival
            arrival.links.append(link)
            return arrival
        queued = self._queued.get((sender, message.id))
        if queued is None:
            link.taken(message.id)
        elif link not in queued.links:
            queued.links.append(link)
        return None

    def taken(self, arrival: Arrival) -> None:
        """The application has it."""
        message = arrival.message
        for link in arrival.links:
            link.taken(message.id or "")
        self._untaken.discard(arrival)
        if message.id is not None:
            sender = user_key(message.from_)
            self._queued.pop((sender, message.id), None)
            self._on_given(sender, message.id)
        self._done.update(number for number in arrival.numbers if number in self._outstanding)
        arrival.numbers.clear()
        while self._outstanding and self._outstanding[0] in self._done:
            self._done.discard(self._outstanding.popleft())

    def _await(self, arrival: Arrival) -> None:
        arrival.numbers.append(self.received)
        self._outstanding.append(self.received)
