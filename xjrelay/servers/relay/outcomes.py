# SPDX-License-Identifier: MIT
"""Whom to tell what became of a message, and how it is told (protocol, section 8).

Where a message came from travels with it: as an :class:`Origin` of its own, or with others of its pair
as a :class:`Run`. What became of it is told to the origin's :class:`Sender`, and gathered in
:class:`Outcomes`. Knows no session and no link.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar
from typing import Protocol as Seam

from xjrelay.domain import delivery
from xjrelay.domain.delivery import Receipts
from xjrelay.domain.pairs import Pair
from xjrelay.net.context import Batch, Context
from xjrelay.wire import codec
from xjrelay.wire.stanzas import Receipt

Who = TypeVar("Who", bound=Hashable)


class Sender(Seam):
    """Whoever is told what became of a message: a session here, or a link with another relay."""

    def written(self, origin: Origin) -> None:
        """It was written to a recipient that doesn't acknowledge."""

    def settled(self, origin: Origin, status: str, code: int | None = None) -> None:
        """It has one of a receipt's outcomes: ``delivered``, ``stored``, or ``failed`` with a code."""

    def unreachable(self, origin: Origin) -> None:
        """Nobody has its recipient (R15, R20)."""

    def handed_over(self, origin: Origin) -> None:
        """Its recipient's session is over, and it goes another way: what follows must not overtake it."""


class Origin(NamedTuple):
    """Where a message came from. ``from_``, ``to`` and ``id`` are the message's own; ``pair`` is what
    keeps its order, where the sender was promised an outcome here."""

    sender: Sender
    from_: str
    to: str
    id: str | None
    pair: Pair | None = None


class RunSender(Sender, Seam):
    """Whoever is told of several messages at a time, too."""

    def run_settled(self, run: Run, ids: list[str], status: str, code: int | None = None) -> None:
        """Some messages of a run, not necessarily its first, have the same one of a receipt's outcomes."""


class Run:
    """Messages of one pair on their way to one session here, or over one link with another relay.

    As origins they are one object, not one each: so an outcome costs little a message.

    Args:
        sender: whose.
        from_: the sender's address in all of them.
        to: the recipient's.
        pair: of all of them, where the sender was promised their outcomes here.

    Attributes:
        ids: of those that are on their way to a session here, which has them in order; over a link outcomes
            come in any order, and :class:`~xjrelay.servers.relay.in_flight.InFlight` knows the ids.
        began: when one of them came, where that is timed; else 0.
        timed: how many are before it, and itself.
    """

    __slots__ = ("began", "from_", "ids", "pair", "sender", "timed", "to")

    def __init__(self, sender: RunSender, from_: str, to: str, pair: Pair | None) -> None:
        self.sender = sender
        self.from_ = from_
        self.to = to
        self.pair = pair
        self.ids: list[str] = []
        self.began = 0.0
        self.timed = 0

    def take(self, count: int) -> list[str]:
        """The ids of the next ones that have their outcome; they have it in order."""
        ids = self.ids
        if count == len(ids):
            self.ids = []
            return ids
        taken = ids[:count]
        del ids[:count]
        return taken

    def next(self) -> Origin:
        """The next one, as an origin of its own."""
        (message_id,) = self.take(1)
        self.began = 0.0  # it takes another way, whose time is none of this one's
        return self.origin(message_id)

    def origin(self, message_id: str) -> Origin:
        """One of them as an origin of its own."""
        return Origin(self.sender, self.from_, self.to, message_id, self.pair)


class Outcomes(Generic[Who]):
    """Gathers receipts while a read is worked through, and writes each once at its end.

    Args:
        context: the batch of the links' reads, and how long a frame may be.
        to: the address that is told.
        write: sends an encoded receipt.
    """

    def __init__(
        self, context: Context, to: Callable[[Who], str], write: Callable[[Who, bytes], object]
    ) -> None:
        self._batch = context.batch
        self._counters = context.counters
        self._trace = context.trace
        self._to = to
        self._write = write
        self._room = context.limits.max_frame
        self._receipts: Receipts[Who] = Receipts()
        self._waiting = False

    def add(self, who: Who, message_id: str, status: str, code: int | None) -> None:
        """One message's outcome."""
        self._receipts.add(who, message_id, status, code)
        if not self._waiting:
            self._wait()

    def add_all(self, who: Who, ids: list[str], status: str, code: int | None = None) -> None:
        """Several messages' outcome."""
        self._receipts.add_all(who, ids, status, code)
        if not self._waiting:
            self._wait()

    def _wait(self) -> None:
        if self._batch.open:
            self._waiting = True
            self._batch.add(self)
        else:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        self._waiting = False
        for receipt in self._receipts.flush():
            self._tell(receipt)

    def _tell(self, receipt: delivery.Receipt[Who]) -> None:
        """Write one, or two with half of the ids each where they make too long a frame."""
        who, status, code, ids = receipt
        to = self._to(who)
        frame = codec.encode(Receipt(to, ids, status, code))  # type: ignore[arg-type]
        if len(frame) > self._room and len(ids) > 1:
            half = len(ids) // 2
            self._tell(receipt._replace(ids=ids[:half]))
            self._tell(receipt._replace(ids=ids[half:]))
            return
        self._counters.outcomes[status, code] += len(ids)
        if self._trace is not None:
            self._trace.note(status, to, "", ids, "" if code is None else str(int(code)))
        self._write(who, frame)


@contextmanager
def gathered(batch: Batch) -> Iterator[None]:
    """Outside a read: gather all the same, because many outcomes are about to come at once."""
    began = batch.begin()
    try:
        yield
    finally:
        if began:
            batch.end()
