# SPDX-License-Identifier: MIT
"""Whom to tell what became of a message, and how it is told (protocol, section 8).

Where a message came from travels with it: as an :class:`Origin` of its own, or with others of its pair
as a :class:`Run`. What became of it is told to the origin's :class:`Sender`, and gathered in
:class:`Outcomes`. Knows no session and no link.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, NamedTuple, TypeVar
from typing import Protocol as Seam

from xjrelay.domain.pairs import Pair
from xjrelay.net.context import Batch, Context
from xjrelay.wire import codec
from xjrelay.wire.ids import Ids, joined
from xjrelay.wire.stanzas import Receipt

Who = TypeVar("Who", bound=Hashable)

MAX_IDS: Final = 1000
"""Ids in one receipt; fewer where they are too long for a frame."""


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

    def run_settled(self, run: Run, ids: Ids, status: str, code: int | None = None) -> None:
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
        count: how many are on their way to a session here.
        began: when one of them came, where that is timed; else 0.
        timed: how many are before it, and itself.
    """

    __slots__ = ("began", "count", "from_", "pair", "sender", "timed", "to")

    def __init__(self, sender: RunSender, from_: str, to: str, pair: Pair | None) -> None:
        self.sender = sender
        self.from_ = from_
        self.to = to
        self.pair = pair
        self.count = 0
        self.began = 0.0
        self.timed = 0

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
        self._waiting: dict[tuple[Who, str, int | None], list[Ids]] = {}
        self._is_added = False

    def add(self, who: Who, ids: Ids, status: str, code: int | None = None) -> None:
        """Messages have this outcome."""
        self._waiting.setdefault((who, status, code), []).append(ids)
        if self._is_added:
            return
        if self._batch.open:
            self._is_added = True
            self._batch.add(self)
        else:
            self.flush()

    def flush(self) -> None:
        """Write what waits, in the order of the first outcome of each sender and kind."""
        self._is_added = False
        waiting, self._waiting = self._waiting, {}
        for (who, status, code), ids in waiting.items():
            self._tell(who, status, code, ids[0] if len(ids) == 1 else joined(ids))

    def _tell(self, who: Who, status: str, code: int | None, ids: Ids) -> None:
        """Write one receipt, or two with half of the ids each where these are too many or too long."""
        to, count = self._to(who), ids.count
        frame = codec.encode(Receipt(to, ids.array, status, code))  # type: ignore[arg-type]
        if count > 1 and (count > MAX_IDS or len(frame) > self._room):
            for half in ids.cut(count // 2):
                self._tell(who, status, code, half)
            return
        self._counters.outcomes[status, code] += count
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
