# SPDX-License-Identifier: MIT
"""Nothing overtakes: which messages of a pair of users may go on, and which go back (protocol, section 8).

Two rules keep each pair's messages in order through lost links, changed relays and the mailbox. *One
route*: a message doesn't go a new way while an earlier one of its pair is unsettled on the old. *Going
back*: after one was answered "not now", so is every later one, until the sender begins again.
:class:`Pairs` holds both for what one session sends; :class:`Gate` holds the second for what comes over a
link between servers, where whatever follows a refused message may be under way already.

Values in, decisions out: imports nothing but :mod:`xjrelay.wire`. Cost on the message path: one
dictionary look-up and a few comparisons for a :class:`Pair`, none for an empty gate.
"""

from __future__ import annotations

from xjrelay.wire import address
from xjrelay.wire.errors import CloseReason, Code, RemoteError

MAX_PAIRS = 10_000
"""Recipients of one session that may wait to be begun again, and pairs that a gate may be closed to."""


class Pair:
    """What one session sends to one user.

    Attributes:
        unsettled: how many are on their way without an outcome.
        refused: whether one was answered "not now", and none was sent again since.
    """

    __slots__ = ("refused", "route", "unsettled")

    def __init__(self) -> None:
        self.route: object = None
        self.unsettled = 0
        self.refused = False

    def admit(self, route: object, again: bool, count: int = 1) -> bool:
        """Whether a message may go this way now; it is unsettled from then on.

        Args:
            route: where it would go; compared by equality with where the last one went.
            again: whether the sender has begun again with it.
            count: how many messages there are, all or none of which may go.
        """
        if self.refused and not again:
            return False
        self.refused = self.unsettled > 0 and self.route != route
        if self.refused:
            return False
        self.route = route
        self.unsettled += count
        return True

    def settle(self, not_now: bool, count: int = 1) -> None:
        """Admitted messages have their outcome."""
        self.unsettled -= count
        if not_now:
            self.refused = True


class Pairs:
    """The pairs of one session.

    Attributes:
        known: some of them, by what their messages are addressed to; for who asks for each message.
    """

    __slots__ = ("_by_key", "known")

    def __init__(self) -> None:
        self.known: dict[str, Pair] = {}
        self._by_key: dict[str, Pair] = {}

    def get(self, to: str) -> Pair:
        """The pair of a message; all spellings and devices of one user are one.

        Raises:
            InvalidAddress: `to` is no address.
            RemoteError: 429 and close, the session has left too many recipients to be begun again.
        """
        return self.known.get(to) or self._find(to)

    def _find(self, to: str) -> Pair:
        key = address.parse(to).key
        if len(self.known) >= MAX_PAIRS:
            self._sweep()
        pair = self.known[to] = self._by_key.setdefault(key, Pair())
        return pair

    def _sweep(self) -> None:
        """Forget those of whom there is nothing to remember."""
        self.known.clear()
        busy = {key: pair for key, pair in self._by_key.items() if pair.refused or pair.unsettled}
        if len(busy) >= MAX_PAIRS:
            msg = "too many recipients whose messages have no outcome"
            raise RemoteError(Code.SLOW_DOWN, msg, CloseReason.PROTOCOL)
        self._by_key = busy


class Gate:
    """The pairs that a link between servers must begin again: bounded, usually empty."""

    def __init__(self) -> None:
        self._closed: dict[str, set[str]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        """Whether it is closed to anybody."""
        return bool(self._closed)

    def __len__(self) -> int:
        """To how many pairs."""
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether it can't remember more: the link is then to be ended, which settles everything."""
        return self._count >= MAX_PAIRS

    def close(self, sender: str, recipient: str) -> None:
        """A message of a pair was answered "not now". Both are addresses, or the keys of users."""
        recipients = self._closed.setdefault(_key(sender), set())
        before = len(recipients)
        recipients.add(_key(recipient))
        self._count += len(recipients) - before

    def passes(self, sender: str, recipient: str, again: bool) -> bool:
        """Whether a message may pass; with `again` it may, and others behind it."""
        key, other = _key(sender), _key(recipient)
        if other not in self._closed.get(key, ()):
            return True
        if again:
            self._open(key, other)
        return again

    def forget(self, user: str) -> None:
        """A user's session is over: what it sends in another begins anew, and so does what is sent to it."""
        key = _key(user)
        self._count -= len(self._closed.pop(key, ()))
        for sender in [sender for sender, recipients in self._closed.items() if key in recipients]:
            self._open(sender, key)

    def _open(self, sender: str, recipient: str) -> None:
        recipients = self._closed[sender]
        recipients.discard(recipient)
        self._count -= 1
        if not recipients:
            del self._closed[sender]


def _key(text: str) -> str:
    """A user's key; a text that is no address, as only a faulty server would say, stands for itself."""
    try:
        return address.parse(text).key
    except address.InvalidAddress:
        return text
