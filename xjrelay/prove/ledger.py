# SPDX-License-Identifier: MIT
"""What was acknowledged against what arrived: the judge of the delivery promise (protocol, section 8).

Whoever sends numbered messages (``xj prove`` over real sockets, the sandbox on its fake clock) tells the
ledger what was sent, what outcome its sender heard, and what each application was shown;
:meth:`Ledger.verdict` says what was lost, doubled or out of order. Knows no network and no clock,
imports nothing of ours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MAX_EXAMPLES = 20
"""Faults told one by one, of each kind; the counts are of all."""

ACKNOWLEDGED = frozenset({"delivered", "stored"})
"""The outcomes after which a message must arrive."""

_NONE, _ACKNOWLEDGED, _OTHER, _UNHEARD = range(4)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of everything.

    Attributes:
        sent: messages handed to a library.
        outcomes: how many had each outcome, by its status.
        arrived: different messages that an application was shown.
        unsettled: messages whose sender has heard no outcome.
        lost: acknowledged, and never shown.
        doubled: shown again, each time counted.
        disordered: shown after a later one of the same sender and recipient.
        strange: shown, and never sent.
        examples: the first faults of each kind, as ``SENDER>RECIPIENT NUMBER``.
    """

    sent: int
    outcomes: dict[str, int]
    arrived: int
    unsettled: int
    lost: int
    doubled: int
    disordered: int
    strange: int
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return not (self.lost or self.doubled or self.disordered or self.strange)


class _Pair:
    """One sender's messages to one recipient, numbered from 0; a byte a message."""

    __slots__ = ("arrived", "highest", "outcome")

    def __init__(self) -> None:
        self.outcome = bytearray()  # of _NONE, _ACKNOWLEDGED, _OTHER, _UNHEARD
        self.arrived = bytearray()
        self.highest = -1


class Ledger:
    """The book of one run.

    Attributes:
        owed: messages acknowledged and not shown so far.
    """

    def __init__(self) -> None:
        self.owed = 0
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._outcomes: Counter[str] = Counter()
        self._sent = self._settled = self._arrived = 0
        self._faults: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    @property
    def unsettled(self) -> int:
        """Messages without an outcome so far."""
        return self._sent - self._settled

    def send(self, sender: str, recipient: str) -> int:
        """A message is about to be sent; its number within the pair, rising from 0."""
        pair = self._pairs.setdefault((sender, recipient), _Pair())
        pair.outcome.append(_NONE)
        pair.arrived.append(0)
        self._sent += 1
        return len(pair.outcome) - 1

    def settle(self, sender: str, recipient: str, number: int, status: str) -> None:
        """Its sender heard the outcome: ``delivered``, ``stored``, ``failed``, or a word of the caller's."""
        pair = self._pairs[sender, recipient]
        self._outcomes[status] += 1
        if pair.outcome[number] == _NONE:
            self._settled += 1
        elif pair.outcome[number] == _UNHEARD:
            self._outcomes["unheard"] -= 1
        if pair.outcome[number] == _ACKNOWLEDGED:
            return
        pair.outcome[number] = _ACKNOWLEDGED if status in ACKNOWLEDGED else _OTHER
        if pair.outcome[number] == _ACKNOWLEDGED and not pair.arrived[number]:
            self.owed += 1

    def leave(self, sender: str, recipient: str, number: int) -> None:
        """Its sender went before it heard the outcome: none is waited for, and one may come yet."""
        pair = self._pairs[sender, recipient]
        if pair.outcome[number] == _NONE:
            pair.outcome[number] = _UNHEARD
            self._settled += 1
            self._outcomes["unheard"] += 1

    def arrive(self, sender: str, recipient: str, number: int) -> None:
        """The recipient's application was shown it."""
        pair = self._pairs.get((sender, recipient))
        if pair is None or not 0 <= number < len(pair.arrived):
            self._fault("strange", sender, recipient, number)
        elif pair.arrived[number]:
            self._fault("doubled", sender, recipient, number)
        else:
            pair.arrived[number] = 1
            self._arrived += 1
            self.owed -= pair.outcome[number] == _ACKNOWLEDGED
            if number < pair.highest:
                self._fault("disordered", sender, recipient, number)
            pair.highest = max(pair.highest, number)

    def verdict(self) -> Verdict:
        """The judgement as things stand; messages still on their way count as lost once acknowledged."""
        examples = {kind: list(lines) for kind, lines in self._examples.items()}
        lost = self._lost()
        if lost:
            examples["lost"] = lost[:MAX_EXAMPLES]
        return Verdict(
            sent=self._sent,
            outcomes={status: count for status, count in self._outcomes.items() if count},
            arrived=self._arrived,
            unsettled=self.unsettled,
            lost=len(lost),
            doubled=self._faults["doubled"],
            disordered=self._faults["disordered"],
            strange=self._faults["strange"],
            examples=examples,
        )

    def _lost(self) -> list[str]:
        return [
            _named(*names, number)
            for names, pair in self._pairs.items()
            for number, outcome in enumerate(pair.outcome)
            if outcome == _ACKNOWLEDGED and not pair.arrived[number]
        ]

    def _fault(self, kind: str, sender: str, recipient: str, number: int) -> None:
        self._faults[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(_named(sender, recipient, number))


def _named(sender: str, recipient: str, number: int) -> str:
    return f"{sender}>{recipient} {number}"
